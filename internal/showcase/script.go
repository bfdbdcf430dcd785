package showcase

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// Script writes a journal record by record, with times of its own, for what no
// fake can play.
type Script struct {
	t      testing.TB
	Store  *journal.Memory
	Plan   *strategy.Plan
	Began  time.Time
	At     time.Duration // since Began
	seq    int
	sum    string
	points [][7]int64
}

// NewScript begins a rollout by a plan.
func NewScript(t testing.TB, store *journal.Memory, plan *strategy.Plan, began time.Time) *Script {
	t.Helper()
	s := &Script{t: t, Store: store, Plan: plan, Began: began.UTC().Round(0)}
	if last, err := store.Load(t.Context(), plan.Endpoint); err == nil && len(last) > 0 {
		s.seq, s.sum = last[len(last)-1].Seq, last[len(last)-1].Sum
	}
	s.Add(0, journal.Record{Kind: journal.KindPlan, Plan: plan})
	s.Add(0, journal.Record{Kind: journal.KindClaim, Owner: "ci job 4711"})
	return s
}

// Add appends a record some time after the one before.
func (s *Script) Add(after time.Duration, r journal.Record) {
	s.t.Helper()
	s.At += after
	s.seq++
	r.Version, r.Seq, r.Time, r.Rollout = strategy.FormatVersion, s.seq, s.Began.Add(s.At), s.Plan.Rollout
	if err := r.Seal(s.sum); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Store.Append(s.t.Context(), s.Plan.Endpoint, r); err != nil {
		s.t.Fatal(err)
	}
	s.sum = r.Sum
}

// Done ends a step.
func (s *Script) Done(after time.Duration, step, note string) {
	s.t.Helper()
	s.Add(after, journal.Record{Kind: journal.KindDone, Step: step, Note: note})
}

// Write is a step that is one write.
func (s *Script) Write(step string, took time.Duration, w journal.Write) {
	s.t.Helper()
	s.Add(2*time.Second, journal.Record{Kind: journal.KindIntent, Step: step, Write: &w, NotAfter: s.Began.Add(s.At + time.Minute)})
	s.Done(took, step, "")
}

// Judge is what a check says.
func (s *Script) Judge(after time.Duration, step, check, result string, value, limit float64, reason string) {
	s.t.Helper()
	v := journal.Verdict{Check: check, Result: result, Value: &value, Limit: &limit, Reason: reason}
	if result == string(rollout.ResultUnknown) {
		v.Value, v.Limit = nil, nil
	}
	s.Add(after, journal.Record{Kind: journal.KindCheck, Step: step, Verdict: &v})
}

// Poll is what a poll shows now.
func (s *Script) Poll(source, target, starting, failed, share int) {
	s.t.Helper()
	s.points = append(s.points, [7]int64{s.At.Milliseconds(), int64(source), int64(target), int64(starting), int64(failed), 0, int64(share)})
	b, err := json.Marshal(map[string]any{
		"v": 1, "rollout": s.Plan.Rollout, "began": s.Began, "until": s.At.Milliseconds(), "polls": 10 * len(s.points), "points": s.points,
	})
	if err == nil {
		err = s.Store.Attach(s.t.Context(), s.Plan.Endpoint, s.Plan.Rollout, b)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// CanaryPlan is a plan of [strategy.CanaryByWeight] with a check.
func CanaryPlan(t testing.TB, name, id string) *strategy.Plan {
	t.Helper()
	source := endpoint.Revision{Kind: "endpoint-config", ID: "sdxl-41", Artifact: "sdxl-model-v1"}
	target := endpoint.Revision{Kind: "endpoint-config", ID: "sdxl-42", Artifact: "sdxl-model-v2"}
	canary := endpoint.Canary{
		Draft:  endpoint.Draft{Revision: endpoint.Revision{Kind: "endpoint-config", ID: "sdxl-41-42"}, Base: source},
		Source: []string{"AllTraffic"}, Target: []string{"AllTraffic-next"},
	}
	checks := []strategy.Check{
		{Name: "error rate", Interval: 30 * time.Second, Failures: 1}, {Name: "p99 latency", Interval: 30 * time.Second, Failures: 1},
	}
	for i := range checks {
		checks[i] = checks[i].WithDefaults()
	}
	how := strategy.CanaryByWeight{Steps: []strategy.TrafficStep{
		{Percent: 5, Soak: 3 * time.Minute},
		{Percent: 25, Soak: 3 * time.Minute, Approval: strategy.Approval{Name: "go-wide", Expires: 4 * time.Hour}},
		{Percent: 50, Soak: 3 * time.Minute},
	}}
	p, err := how.Plan(strategy.Facts{
		Status: endpoint.Status{
			Phase: endpoint.PhaseReady, Desired: source, Serving: source, Settings: endpoint.Settings{"variant/AllTraffic/instances": 4},
			Pools: []endpoint.Pool{{Name: "AllTraffic", Ready: 4}},
		},
		Target: target, Canary: &canary, Checks: checks, Settle: 30 * time.Second, StepTimeout: 30 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Version, p.Rollout, p.Endpoint, p.Strategy = strategy.FormatVersion, id, name, how.String()
	p.Source, p.Target, p.Canary, p.Checks = source, target, &canary, checks
	p.Settings, p.Settle = endpoint.Settings{"variant/AllTraffic/instances": 4}, 30*time.Second
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	return &p
}
