package strategy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/strategy"
)

// way is a strategy on an endpoint in RunPod's shape that serves template a.
type way struct {
	strategy strategy.Strategy
	target   strategy.Target
	goal     string // the artifact it goes to
}

func ways() []way {
	return []way{
		{strategy.InPlace{}, strategy.ToRevision("b"), "acme/sdxl:v2"},
		{strategy.FlushToZero{}, strategy.ToRevision("b"), "acme/sdxl:v2"},
		{strategy.AlternatingTemplate{Templates: [2]string{"b", "a"}}, strategy.ToArtifact("acme/sdxl:v3"), "acme/sdxl:v3"},
	}
}

// fixture is one endpoint with what a test wants to know of it.
type fixture struct {
	*endpointtest.Workers
	way
	before map[string]string
	events []strategy.Event
}

// eachWay runs f for every strategy in a bubble of its own.
func eachWay(t *testing.T, f func(t *testing.T, fx *fixture)) {
	t.Helper()
	for _, w := range ways() {
		t.Run(w.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
					Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Quota: 10,
				})
				fx := &fixture{Workers: ep, way: w, before: ep.Protective()}
				f(t, fx)
			})
		})
	}
}

func (fx *fixture) run(ctx context.Context, opts ...strategy.Option) (*strategy.Report, error) {
	opts = append(opts, strategy.WithObserver(func(e strategy.Event) { fx.events = append(fx.events, e) }))
	return strategy.Run(ctx, strategy.NewMemory(), fx, fx.strategy, fx.target, opts...)
}

func (fx *fixture) artifact() string { s := fx.Truth(); return s.Templates[s.Live] }

// wantRolledBack fails unless the endpoint is as it was and err says so.
func (fx *fixture) wantRolledBack(t *testing.T, err, cause error) {
	t.Helper()
	if !errors.Is(err, endpoint.ErrRolledBack) || !errors.Is(err, cause) {
		t.Errorf("error is %v\nwant it to be %q and %q", err, endpoint.ErrRolledBack, cause)
	}
	fx.wantAsBefore(t)
}

func (fx *fixture) wantAsBefore(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
		t.Errorf("protective values (-before +after):\n%s", diff)
	}
	if got := fx.Truth().Live; got != "a" {
		t.Errorf("serves template %s, want a", got)
	}
}

// writes are the remote writes that reached the endpoint, in order.
func (fx *fixture) writes() []string {
	var names []string
	for _, c := range fx.Calls() {
		if c.Write > 0 {
			names = append(names, c.Name)
		}
	}
	return names
}

func TestSuccess(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		r, err := fx.run(t.Context())
		if err != nil || r.Outcome != strategy.Succeeded || r.Proof != "workers" {
			t.Fatalf("Run = %s (proof %q), %v", r.Outcome, r.Proof, err)
		}
		if got := fx.artifact(); got != fx.goal {
			t.Errorf("serves %s, want %s", got, fx.goal)
		}
		if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
			t.Errorf("protective values (-before +after):\n%s", diff)
		}
		want := map[string][]string{
			"in-place":             {"update b"},
			"flush-to-zero":        {"set workers.min=0", "set workers.max=0", "update b", "set workers.max=3", "set workers.min=1"},
			"alternating-template": {"stage b", "update b"},
		}[fx.strategy.String()]
		if diff := cmp.Diff(want, fx.writes()); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	})
}

func TestUnhealthyImageIsRolledBack(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.FailOn(fx.goal, "image pull backoff")
		r, err := fx.run(t.Context())
		fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
		if r.Outcome != strategy.RolledBack || !strings.Contains(err.Error(), "image pull backoff") {
			t.Errorf("outcome %s, error %q: want the provider's own words", r.Outcome, err)
		}
		var re *strategy.RolloutError
		if !errors.As(err, &re) || re.Step != "await serving" || re.Endpoint != "fake/workers" {
			t.Errorf("error %#v does not say which step failed on which endpoint", re)
		}
	})
}

func TestStuckImageIsRolledBackAtTheTimeout(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.StallOn(fx.goal)
		start := time.Now()
		_, err := fx.run(t.Context(), strategy.WithTimeout(10*time.Minute))
		fx.wantRolledBack(t, err, strategy.ErrTimeout)
		if took := time.Since(start); took < 10*time.Minute || took > 15*time.Minute {
			t.Errorf("took %v, want ten minutes and the way back", took)
		}
	})
}

func TestStepTimeoutIsNamed(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.StallOn(fx.goal)
		_, err := fx.run(t.Context(), strategy.WithPatience(7*time.Minute))
		fx.wantRolledBack(t, err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "longer than 7m0s") {
			t.Errorf("error %q does not say which deadline it was", err)
		}
	})
}

// A cancelled context at every look and every write.
func TestCancelledAnywhere(t *testing.T) {
	for at := 1; ; at++ {
		reached := false
		eachWay(t, func(t *testing.T, fx *fixture) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			why := errors.New("the deploy was cancelled")
			looks := 0
			fx.OnRead(func(n int, _ string) endpointtest.Fault {
				if looks = n; n != at {
					return endpointtest.Fault{}
				}
				reached = true
				return endpointtest.RunBefore(func() { cancel(why) })
			})
			r, err := fx.run(ctx)
			switch {
			case looks < at:
				return // the rollout was over before
			case r == nil:
				if !errors.Is(err, why) || len(fx.writes()) > 0 {
					t.Errorf("cancelled at look %d before the start: error %v, writes %v", at, err, fx.writes())
				}
			case r.Outcome == strategy.Succeeded:
				// Cancelled after the commit point: what is left is done.
				if err != nil || fx.artifact() != fx.goal {
					t.Errorf("cancelled at look %d: %v, serves %s", at, err, fx.artifact())
				}
			default:
				fx.wantRolledBack(t, err, why)
			}
		})
		if !reached {
			t.Logf("cancelled at %d looks", at-1)
			return
		}
	}
}

func TestDoneContextChangesNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := fx.run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want %v", err, context.Canceled)
		}
		if calls := fx.Calls(); len(calls) > 0 {
			t.Errorf("it called %v", calls)
		}
	})
}

func TestWorkerThatNeverDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		if err := fx.Enqueue(1, endpointtest.Forever); err != nil {
			t.Fatal(err)
		}
		_, err := fx.run(t.Context(), strategy.WithPatience(20*time.Minute))
		fx.wantRolledBack(t, err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "await empty") || !strings.Contains(err.Error(), "1 worker left") {
			t.Errorf("error %q does not say what was waited for", err)
		}
	})
}

func flushFixture() *fixture {
	ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Quota: 10,
	})
	return &fixture{Workers: ep, way: ways()[1], before: ep.Protective()}
}

func TestDrainFirst(t *testing.T) {
	t.Run("drained", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fx := flushFixture()
			fx.strategy = strategy.FlushToZero{Drain: time.Hour}
			if err := fx.Enqueue(5, 2*time.Minute); err != nil {
				t.Fatal(err)
			}
			_, err := fx.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range fx.Calls() {
				if c.Write == 1 && time.Until(c.At) > 0 {
					t.Errorf("wrote before the jobs were done")
				}
			}
		})
	})
	t.Run("never drained", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fx := flushFixture()
			fx.strategy = strategy.FlushToZero{Drain: 10 * time.Minute}
			if err := fx.Enqueue(1, endpointtest.Forever); err != nil {
				t.Fatal(err)
			}
			_, err := fx.run(t.Context())
			fx.wantRolledBack(t, err, context.DeadlineExceeded)
			if w := fx.writes(); len(w) > 0 {
				t.Errorf("it wrote %v", w)
			}
		})
	})
}

// Somebody else changes a value in the middle: theirs stays, ours is undone.
func TestForeignBounds(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		changed := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name != "update b" || changed {
				return endpointtest.Fault{}
			}
			changed = true
			return endpointtest.RunAfter(func() {
				fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 7 })
			})
		})
		r, err := fx.run(t.Context())
		if err != nil || r.Outcome != strategy.Succeeded {
			t.Fatalf("Run = %v, %v", r.Outcome, err)
		}
		want := []strategy.Drift{{Thing: "workers.max", Want: "3", Found: "7"}}
		if diff := cmp.Diff(want, r.Drift); diff != "" {
			t.Errorf("drift (-want +got):\n%s", diff)
		}
		if s := fx.Truth(); s.Max != 7 || s.Min != 1 || fx.artifact() != fx.goal {
			t.Errorf("ended at min %d, max %d, serving %s", s.Min, s.Max, fx.artifact())
		}
	})
}

func TestForeignRevisionIsNotRolledOver(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Templates["c"] = "acme/sdxl:v9" })
		changed := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name != "update b" || changed {
				return endpointtest.Fault{}
			}
			changed = true
			return endpointtest.RunAfter(func() {
				fx.Foreign(func(s *endpointtest.WorkersState) { s.Live = "c" })
			})
		})
		r, err := fx.run(t.Context())
		if !errors.Is(err, endpoint.ErrDrift) || r.Outcome != strategy.Superseded {
			t.Errorf("Run = %s, %v; want it superseded", r.Outcome, err)
		}
		if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
			t.Errorf("protective values (-before +after):\n%s", diff)
		}
		if got := fx.Truth().Live; got != "c" {
			t.Errorf("serves %s: the third party's choice was overwritten", got)
		}
	})
}

// The quota is taken by somebody else while the bounds are down.
func TestRestoreRefusedByQuotaIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		taken := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update b" {
				taken = true
			}
			if taken && name == "set workers.max=3" {
				return endpointtest.Refuse(endpoint.ErrQuota)
			}
			return endpointtest.Fault{}
		})
		store := strategy.NewMemory()
		r, err := strategy.Run(t.Context(), store, fx, fx.strategy, fx.target)
		if !errors.Is(err, strategy.ErrIncomplete) || r.Outcome != strategy.Incomplete {
			t.Fatalf("Run = %s, %v; want it incomplete", r.Outcome, err)
		}
		if !slices.ContainsFunc(r.Residue, func(s string) bool { return strings.Contains(s, "set workers.max to 3") }) {
			t.Errorf("residue %q does not name workers.max and its value", r.Residue)
		}
		if _, err := strategy.Run(t.Context(), store, fx, fx.strategy, fx.target); !errors.Is(err, strategy.ErrUnfinished) {
			t.Errorf("a second rollout: %v, want %v", err, strategy.ErrUnfinished)
		}
		taken = false // the other party has given the quota back
		_, err = strategy.Resume(t.Context(), store, fx)
		fx.wantRolledBack(t, err, endpoint.ErrRolledBack)
	})
}

func TestDetachAndResume(t *testing.T) {
	for name, opts := range map[string][]strategy.Option{"back": nil, "forward": {strategy.WithForward()}} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				fx.OnMutation(func(_ int, name string) endpointtest.Fault {
					if name == "update b" {
						return endpointtest.RunAfter(cancel)
					}
					return endpointtest.Fault{}
				})
				store := strategy.NewMemory()
				r, err := strategy.Run(ctx, store, fx, fx.strategy, fx.target, strategy.WithDetach())
				if !errors.Is(err, strategy.ErrDetached) || r.Outcome != strategy.Detached {
					t.Fatalf("Run = %s, %v; want it detached", r.Outcome, err)
				}
				if n := len(fx.writes()); fx.writes()[n-1] != "update b" {
					t.Errorf("it went on to write %v", fx.writes())
				}
				fx.OnMutation(nil)
				r, err = strategy.Resume(t.Context(), store, fx, opts...)
				if name == "back" {
					fx.wantRolledBack(t, err, endpoint.ErrRolledBack)
					return
				}
				if err != nil || r.Outcome != strategy.Succeeded || fx.artifact() != fx.goal {
					t.Errorf("Resume = %s, %v; serves %s", r.Outcome, err, fx.artifact())
				}
			})
		})
	}
}

func TestAbandonStopsTheWayBack(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		abandon := make(chan struct{})
		fx.FailOn(fx.goal, "crash loop")
		updates := 0
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if strings.HasPrefix(name, "update") {
				if updates++; updates == 1 {
					return endpointtest.RunAfter(cancel)
				}
				close(abandon)
				return endpointtest.LostBefore()
			}
			return endpointtest.Fault{}
		})
		store := strategy.NewMemory()
		start := time.Now()
		_, err := strategy.Run(ctx, store, fx, fx.strategy, fx.target, strategy.WithAbandon(abandon))
		if !errors.Is(err, strategy.ErrIncomplete) || !errors.Is(err, strategy.ErrAbandoned) {
			t.Errorf("Run = %v, want it incomplete and abandoned", err)
		}
		if took := time.Since(start); took > 3*time.Minute {
			t.Errorf("it went on for %v", took)
		}
		fx.OnMutation(nil)
		_, err = strategy.Resume(t.Context(), store, fx)
		fx.wantRolledBack(t, err, endpoint.ErrRolledBack)
	})
}

func TestGates(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		calls := 0
		slow := errors.New("p99 latency 900ms over 500ms")
		_, err := fx.run(t.Context(), strategy.WithBake(5*time.Minute), strategy.WithGate("latency", func(_ context.Context, s endpoint.Status) error {
			if s.Serving.Artifact != fx.goal {
				return fmt.Errorf("called on %s", s.Serving)
			}
			if calls++; calls > 10 {
				return slow
			}
			return nil
		}))
		fx.wantRolledBack(t, err, strategy.ErrGate)
		if !errors.Is(err, slow) || calls != 11 {
			t.Errorf("after %d calls: %v", calls, err)
		}
	})
}

func TestGateMissingOnResume(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		store := strategy.NewMemory()
		_, err := strategy.Run(ctx, store, fx, fx.strategy, fx.target, strategy.WithDetach(),
			strategy.WithBake(time.Minute), strategy.WithGate("latency", func(context.Context, endpoint.Status) error {
				cancel()
				return nil
			}))
		if !errors.Is(err, strategy.ErrDetached) {
			t.Fatal(err)
		}
		_, err = strategy.Resume(t.Context(), store, fx, strategy.WithForward())
		fx.wantRolledBack(t, err, strategy.ErrGate)
	})
}

func TestNoOp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		fx.target = strategy.ToRevision("a")
		r, err := fx.run(t.Context())
		if err != nil || r.Outcome != strategy.NoOp || len(fx.writes()) > 0 {
			t.Errorf("Run = %v, %v; writes %v", r, err, fx.writes())
		}
	})
}

func TestRefusals(t *testing.T) {
	pair := func(a, b string) strategy.Strategy {
		return strategy.AlternatingTemplate{Templates: [2]string{a, b}}
	}
	for _, tt := range []struct {
		name     string
		min, max int
		strategy strategy.Strategy
		target   strategy.Target
		opts     []strategy.Option
		want     error
		text     string
	}{
		{"unknown template", 1, 3, strategy.FlushToZero{}, strategy.ToRevision("zz"), nil, endpoint.ErrNotFound, "zz"},
		{"no target", 1, 3, strategy.InPlace{}, strategy.Target{}, nil, endpoint.ErrInvalid, "target"},
		{"same artifact", 1, 3, strategy.InPlace{}, strategy.ToRevision("same"), nil, endpoint.ErrSameArtifact, "acme/sdxl:v1"},
		{"paused", 0, 0, strategy.FlushToZero{}, strategy.ToRevision("b"), nil, endpoint.ErrPaused, "workers.max"},
		{"alternating with one", 1, 3, pair("a", "a"), strategy.ToArtifact("acme/sdxl:v3"), nil, endpoint.ErrInvalid, "two different"},
		{"alternating, none live", 1, 3, pair("b", "same"), strategy.ToArtifact("acme/sdxl:v3"), nil, endpoint.ErrInvalid, "neither"},
		{"alternating to a revision", 1, 3, pair("a", "b"), strategy.ToRevision("b"), nil, endpoint.ErrInvalid, "artifact"},
		{"prescale without variants", 1, 3, strategy.ScaleProtectedSwap{Prescale: 2}, strategy.ToRevision("b"), nil, endpoint.ErrInvalid, "prescale"},
		{"negative prescale", 1, 3, strategy.ScaleProtectedSwap{Prescale: -1}, strategy.ToRevision("b"), nil, endpoint.ErrInvalid, "negative"},
		{"negative settle", 1, 3, strategy.InPlace{}, strategy.ToRevision("b"), []strategy.Option{strategy.WithSettle(-1)}, endpoint.ErrInvalid, "settle"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
					Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2", "same": "acme/sdxl:v1"},
					Live:      "a", Min: tt.min, Max: tt.max,
				})
				store := strategy.NewMemory()
				_, err := strategy.Run(t.Context(), store, ep, tt.strategy, tt.target, tt.opts...)
				var began *strategy.RolloutError
				if !errors.Is(err, tt.want) || errors.As(err, &began) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("Run = %v\nwant it to be %v and to name %q", err, tt.want, tt.text)
				}
				for _, c := range ep.Calls() {
					if c.Write > 0 {
						t.Errorf("it wrote %s", c.Name)
					}
				}
				if _, err := strategy.Preview(t.Context(), ep, tt.strategy, tt.target, tt.opts...); !errors.Is(err, tt.want) {
					t.Errorf("Preview = %v, want %v", err, tt.want)
				}
				if records, err := store.Load(t.Context(), ep.Name()); err != nil || len(records) > 0 {
					t.Errorf("the journal holds %v (%v)", records, err)
				}
			})
		})
	}
}

func TestPausedWithConsent(t *testing.T) {
	for _, proof := range []strategy.Proof{strategy.ProveConfig, strategy.ProveBoot} {
		for _, s := range []strategy.Strategy{strategy.InPlace{}, strategy.FlushToZero{}} {
			t.Run(fmt.Sprintf("%s/%s", s, proof), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
						Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a",
					})
					before := ep.Protective()
					r, err := strategy.Run(t.Context(), strategy.NewMemory(), ep, s, strategy.ToRevision("b"),
						strategy.AllowPaused(), strategy.WithProof(proof))
					if err != nil {
						t.Fatal(err)
					}
					want := map[strategy.Proof]string{strategy.ProveConfig: "configuration", strategy.ProveBoot: "workers"}[proof]
					if r.Proof != want || ep.Truth().Live != "b" {
						t.Errorf("proof %q, live %s", r.Proof, ep.Truth().Live)
					}
					if diff := cmp.Diff(before, ep.Protective()); diff != "" {
						t.Errorf("protective values (-before +after):\n%s", diff)
					}
				})
			})
		}
	}
}

// A broken revision must not keep its own replacement from being rolled back.
func TestBrokenSource(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Templates["a"] = "acme/sdxl:bad" })
		fx.FailOn("acme/sdxl:bad", "crash loop")
		time.Sleep(time.Hour)
		fx.FailOn(fx.goal, "also bad")
		_, err := fx.run(t.Context())
		fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
	})
}
