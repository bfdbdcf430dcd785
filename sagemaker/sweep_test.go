package sagemaker_test

import (
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// swept is a rollout to sweep, on an account with one scaled variant and one
// that is not.
type swept struct {
	name     string
	strategy strategy.Strategy
	level    sagemaker.AutoscalingMode
	fails    bool          // the model does not come up
	lag      time.Duration // of reads, which is less than the settle time
	foreign  *foreign      // what somebody else changes
}

func sweeps() []swept {
	const lag = 20 * time.Second
	swap := strategy.ScaleProtectedSwap{Prescale: 4}
	return []swept{
		{name: "in place", strategy: strategy.InPlace{}, level: sagemaker.AutoscalingAuto},
		{name: "in place, lagging, model fails", strategy: strategy.InPlace{}, level: sagemaker.AutoscalingAuto, fails: true, lag: lag},
		{name: "retain, lagging", strategy: swap, level: sagemaker.AutoscalingRetain, lag: lag},
		{name: "retain, model fails", strategy: swap, level: sagemaker.AutoscalingRetain, fails: true},
		{name: "suspend, lagging", strategy: swap, level: sagemaker.AutoscalingSuspend, lag: lag},
		{name: "suspend, model fails", strategy: swap, level: sagemaker.AutoscalingSuspend, fails: true},
		{name: "deregister", strategy: swap, level: sagemaker.AutoscalingDeregister},
		{name: "deregister, lagging, model fails", strategy: swap, level: sagemaker.AutoscalingDeregister, fails: true, lag: lag},
	}
}

// shiftsSweep is the one in steps of traffic, on an endpoint of one variant.
func shiftsSweep(fails bool, lag time.Duration) rollouttest.Sweep {
	sw := swept{strategy: strategy.CanaryByWeight{Steps: []strategy.TrafficStep{{Percent: 10, Soak: time.Minute}, {Percent: 50, Soak: time.Minute}}}, fails: fails, lag: lag}
	s := sw.sweep()
	s.Goal = "model-3"
	if fails {
		s.Goal = ""
	}
	s.New = func(t testing.TB) rollouttest.Environment {
		srv := weighted()
		scaled(srv, "main", 6)
		srv.Behave(func(b *sagemakertest.Behaviour) { b.ReadLag, b.ReadFlaps, b.ConfigLag = lag, lag > 0, lag/2 })
		if fails {
			srv.SetOutcome("model-3", sagemakertest.RollsBack, "the container does not start")
		}
		return worldOf(t, srv)
	}
	return s
}

// sweep is the rollout, over the SDK's own clients, with something befalling
// each write, or each read.
func (sw swept) sweep() rollouttest.Sweep {
	s := rollouttest.Sweep{
		New: sw.world, OneIn: sampled.OneIn(128),
		Strategy: sw.strategy, Target: rollout.ToArtifact("model-3"), Goal: "model-3 model-3",
		Options: []rollout.Option{rollout.WithInterval(2 * time.Minute)}, // fewer looks, and the same writes
		// All but Forgotten: AWS forgets nothing that it has accepted.
		Only: []rollouttest.FaultCase{
			rollouttest.DiesBefore, rollouttest.DiesAfter, rollouttest.DiesSending, rollouttest.HangsSending, rollouttest.LostBefore,
			rollouttest.LostAfter, rollouttest.Late, rollouttest.RefusedOnce, rollouttest.RefusedAlways, rollouttest.RefusedForGood,
			rollouttest.ThrottledOnce, rollouttest.CancelledBefore, rollouttest.CancelledAfter, rollouttest.PanicsBefore, rollouttest.PanicsAfter,
			rollouttest.NeverReturns, rollouttest.NeverReturnsAfter, rollouttest.Deleted,
			rollouttest.DiesReading, rollouttest.CancelledReading, rollouttest.PanicsReading, rollouttest.SilentReading,
		},
	}
	if sw.fails {
		s.Goal = ""
	}
	return s
}

func (sw swept) world(t testing.TB) rollouttest.Environment {
	srv := account()
	scaled(srv, "main", 6)
	srv.Behave(func(b *sagemakertest.Behaviour) {
		b.ReadLag, b.ReadFlaps, b.TargetLag, b.ConfigLag = sw.lag, sw.lag > 0, sw.lag/4, sw.lag/2
		if sw.foreign == nil {
			b.Autoscale = 7 * time.Minute // else all counts are protective
		}
	})
	if sw.fails {
		srv.SetOutcome("model-3", sagemakertest.RollsBack, "the container does not start")
	}
	w := worldOf(t, srv, sagemaker.WithAutoscalingMode(sw.level))
	w.Live = func() string {
		is := srv.Endpoint(name)
		return is.Variants["main"].Model + " " + is.Variants["side"].Model
	}
	if sw.foreign != nil {
		w.Foreign = []rollouttest.Foreign{{Name: sw.foreign.name, Do: func() bool { return sw.foreign.do(srv) }, Serves: sw.foreign.serves}}
	}
	return w
}

// worldOf is the endpoint of an account, which serves what its variant main does.
func worldOf(t testing.TB, srv *sagemakertest.Server, opts ...sagemaker.Option) rollouttest.Environment {
	reader := &reader{base: srv.Client().Transport}
	return rollouttest.Environment{
		Updater: openBy(t, srv, reader, opts...), Guarded: func() any { return srv.Guarded() },
		Secrets: []string{secret, "AWS4-HMAC", "X-Amz-"},
		Live:    func() string { return srv.Endpoint(name).Variants["main"].Model },
		OnWrite: func(hook func(string) endpointtest.Fault) {
			srv.OnMutation(func(int, string) sagemakertest.Fault {
				all := srv.Requests()
				return fault(hook(what(all[len(all)-1])))
			})
		},
		Applied: func(n int) bool { return srv.Mutations()[n-1].Applied },
		OnRead:  func(hook func()) { reader.hook = hook },
		Delete: func() bool {
			_, err := srv.Do(&sm.DeleteEndpointInput{EndpointName: aws.String(name)})
			if err != nil { // while a change is in progress
				return false
			}
			srv.Seed(&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")})
			return true
		},
	}
}

// what tells writes apart.
func what(r sagemakertest.Request) string {
	switch in := r.Input.(type) {
	case *sm.UpdateEndpointWeightsAndCapacitiesInput:
		return "set capacity of " + *in.DesiredWeightsAndCapacities[0].VariantName
	case *aas.PutScalingPolicyInput:
		return r.Operation + " " + *in.PolicyName
	case *aas.PutScheduledActionInput:
		return r.Operation + " " + *in.ScheduledActionName
	}
	return r.Operation
}

// fault is the sweep's fault in the fake's words.
func fault(f endpointtest.Fault) (is sagemakertest.Fault) {
	switch f.Kind { //nolint:exhaustive // a sweep asks for no other
	case endpointtest.FaultLostBefore, endpointtest.FaultLostAfter:
		is = sagemakertest.Dropped(f.Kind.Applies())
	case endpointtest.FaultLate:
		is = sagemakertest.Fault{LandsAfter: f.After}
	case endpointtest.FaultRefused:
		is = sagemakertest.Refused("ValidationException", "One or more endpoint features are not supported using this configuration.")
	case endpointtest.FaultThrottled:
		is = sagemakertest.Throttled()
		is.Header = http.Header{"Retry-After": {strconv.Itoa(int(f.After.Seconds()))}}
	}
	is.Then = f.Then
	return is
}

// reader is a transport that tells of each request that only reads.
type reader struct {
	base http.RoundTripper
	hook func()
}

func (r *reader) RoundTrip(req *http.Request) (*http.Response, error) {
	_, op, ok := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	if !ok {
		op = path.Base(req.URL.Path)
	}
	if r.hook != nil && (strings.HasPrefix(op, "Describe") || strings.HasPrefix(op, "List")) {
		r.hook()
	}
	return r.base.RoundTrip(req)
}

// Each misfortune at the writes, and a death at the reads, while the
// autoscaler moves what it may.
func TestSweep(t *testing.T) {
	eachSweep(t, sweeps(), func(t *testing.T, sw swept) int {
		t.Helper()
		return sw.sweep().Run(t)
	})
}

// Each fault at each write of a rollout in steps of traffic: the weights are as
// before, whatever becomes of it.
func TestShiftSweep(t *testing.T) {
	for name, s := range map[string]rollouttest.Sweep{
		"as it should": shiftsSweep(false, 0), "lagging": shiftsSweep(false, 20*time.Second), "model fails": shiftsSweep(true, 0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.Run(t)
		})
	}
}

// Somebody else's change of each protective value, and of what is served, at the writes and the reads.
func TestForeignSweep(t *testing.T) {
	// A read that lags shows somebody's change no better than one of before it.
	all := slices.DeleteFunc(sweeps(), func(sw swept) bool { return sw.lag > 0 })
	eachSweep(t, all, func(t *testing.T, sw swept) (n int) {
		t.Helper()
		for _, f := range foreignChanges() {
			if f.gone && sw.level == sagemaker.AutoscalingDeregister {
				continue
			}
			t.Run(f.name, func(t *testing.T) {
				sw.foreign = &f
				s := sw.sweep()
				s.Only = []rollouttest.FaultCase{rollouttest.ForeignChange, rollouttest.ForeignReading}
				n += s.Run(t)
			})
		}
		return n
	})
}

// Each pair of misfortunes on each pair of writes: all of them with
// SWEEP=pairs, else a sample.
func TestSweepPairs(t *testing.T) {
	oneIn := 2400
	if sampled.Pairs() {
		oneIn = 1
	}
	eachSweep(t, sweeps(), func(t *testing.T, sw swept) int { return sw.sweep().Pairs(t, oneIn) })
}

func eachSweep(t *testing.T, all []swept, run func(t *testing.T, sw swept) int) {
	t.Helper()
	points := make([]atomic.Int64, len(all))
	t.Cleanup(func() {
		for i, sw := range all {
			if n := points[i].Load(); n > 0 { // a sample of pairs may have none of it
				t.Logf("swept %d points of %s, none of them lost anything", n, sw.name)
			}
		}
	})
	for i, sw := range all {
		t.Run(sw.name, func(t *testing.T) {
			t.Parallel()
			points[i].Add(int64(run(t, sw)))
		})
	}
}
