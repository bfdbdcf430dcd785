package hfendpoint_test

import (
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/examples/huggingface/hfendpoint"
	"github.com/changeover-dev/changeover/examples/huggingface/hftest"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/strategy"
)

// behaviours are what the service may do.
var behaviours = map[string]hftest.Behaviour{
	"as assumed":            {},
	"counts new replicas":   {CountsNew: true},
	"initializes":           {Initializes: true},
	"refuses while busy":    {Busy: true},
	"checks commits":        {Checks: true},
	"gives no explanations": {Vague: true},
}

func open(t testing.TB, wire *endpointtest.Wire) *hfendpoint.Endpoint {
	t.Helper()
	e, err := hfendpoint.New(hftest.Namespace, hftest.Name, hftest.Token, "", wire.Client())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func revision(id string) endpoint.Revision {
	return endpoint.Revision{Kind: hfendpoint.KindModel, ID: id, Artifact: id}
}

func subject(t testing.TB, b hftest.Behaviour) endpointtest.Subject {
	fake := hftest.New(b)
	wire := fake.Wire()
	do := func(edit func(s *hftest.State)) func() { return func() { fake.Do(edit) } }
	return endpointtest.Subject{
		Updater: open(t, wire), Wire: wire, To: revision(hftest.V2), Actual: fake.Actual,
		BreakTarget: do(func(s *hftest.State) { s.Fails = hftest.V2 }),
		Pause:       do(func(s *hftest.State) { s.Pause = true }),
		Empty:       do(func(s *hftest.State) { s.Empty = true }),
		Confuse:     do(func(s *hftest.State) { s.Strange = true }),
		Key:         hfendpoint.MaxReplica, Value: 6, Others: endpoint.Settings{hfendpoint.MinReplica: 1},
		Secrets: []string{hftest.Token, hftest.Secret},
	}
}

func TestConformance(t *testing.T) {
	for name, b := range behaviours {
		t.Run(name, func(t *testing.T) {
			h := endpointtest.Harness{
				New:    func(t testing.TB) endpointtest.Subject { return subject(t, b) },
				Sweeps: map[string]endpointtest.Sweep{"in place": sweep(b, ""), "in place, to one that fails": sweep(b, hftest.V2)},
			}
			endpointtest.Run(t, h)
			endpointtest.RunAnswers(t, h)
		})
	}
}

// sweep is a rollout to V2; fails is the revision that does not come up.
func sweep(b hftest.Behaviour, fails string) rollouttest.Sweep {
	s := rollouttest.Sweep{
		New: func(t testing.TB) rollouttest.Environment {
			fake := hftest.New(b)
			fake.Do(func(s *hftest.State) { s.Fails = fails })
			wire := fake.Wire()
			return rollouttest.Environment{
				Updater: open(t, wire), OnWrite: wire.OnWrite, Applied: wire.Applied,
				OnRead: func(hook func()) {
					wire.OnRead(func(string) endpointtest.Fault { hook(); return endpointtest.Fault{} })
				},
				Guarded: func() any { return fake.Bounds() }, Live: fake.Live,
				Secrets: []string{hftest.Token, hftest.Secret},
				Foreign: foreign(fake),
			}
		},
		Strategy: strategy.InPlace{}, Target: rollout.ToRevision(hftest.V2), Goal: hftest.V2,
	}
	if fails != "" {
		s.Goal = ""
	}
	return s
}

// foreign are the changes that a third party may make.
func foreign(fake *hftest.Fake) []rollouttest.Foreign {
	edit := func(f func(s *hftest.State)) func() bool {
		return func() bool { fake.Do(f); return true }
	}
	return []rollouttest.Foreign{
		{Name: hfendpoint.MinReplica, Do: edit(func(s *hftest.State) { s.Min = 1 })},
		{Name: hfendpoint.MaxReplica, Do: edit(func(s *hftest.State) { s.Max = 9 })},
		{Name: "model", Serves: hftest.V3, Do: edit(func(s *hftest.State) { s.Desired = hftest.V3 })},
	}
}
