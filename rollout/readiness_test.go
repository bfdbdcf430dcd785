package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// updating is an endpoint that somebody else's update keeps busy for 15 minutes.
func updating() *endpointtest.Variants {
	ep := newVariants(func(c *endpointtest.VariantsConfig) { c.Revisions["c0"], c.Live = "model-0", "c0" })
	ep.Foreign(func(s *endpointtest.VariantsState) { s.Pending = "c1" })
	return ep
}

func TestChangeInProgressIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep, start := updating(), time.Now()
		var began time.Time
		ep.OnMutation(func(n int, _ string) endpointtest.Fault {
			if n == 1 {
				began = time.Now()
			}
			return endpointtest.Fault{}
		})
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), rollout.WithInterval(5*time.Second),
			rollout.WithStartTimeout(time.Hour))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatal(err)
		}
		if r.Plan.Source.ID != "c1" {
			t.Errorf("the source is %s, want what the other party's update ended on", r.Plan.Source)
		}
		// The update ends after 15 minutes, and a second look has to agree.
		if got := began.Sub(start); got != 15*time.Minute {
			t.Errorf("began to write after %v, want 15m", got)
		}
	})
}

// An endpoint that does not come to rest in time is refused, untouched.
func TestNotReadyInTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []rollout.Option
		took time.Duration
	}{
		{"by default", nil, 5 * time.Minute},
		{"as asked for", []rollout.Option{rollout.WithStartTimeout(90 * time.Second)}, 90 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep, start, store := updating(), time.Now(), journal.NewMemory()
				r, err := rollout.Run(t.Context(), store, ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), tt.opts...)
				wantRefused(t, store, ep, r, err, rollout.ErrNotReady)
				if took := time.Since(start); took != tt.took {
					t.Errorf("refused after %v, want %v", took, tt.took)
				}
				if !strings.Contains(err.Error(), "updating") {
					t.Errorf("error %q does not say what was last seen", err)
				}
			})
		})
	}
}

// A provider's failure that does not end by itself is not waited for.
func TestFailedEndpointIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep, start, store := newVariants(), time.Now(), journal.NewMemory()
		ep.Foreign(func(s *endpointtest.VariantsState) { s.Failed, s.Reason = true, "no such role" })
		r, err := rollout.Run(t.Context(), store, ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
		wantRefused(t, store, ep, r, err, rollout.ErrNotReady)
		if !errors.Is(err, endpoint.ErrFailed) || !strings.Contains(err.Error(), "no such role") {
			t.Errorf("Run = %v, want %v with the provider's words", err, endpoint.ErrFailed)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("refused after %v, want at once", took)
		}
	})
}

func wantRefused(t *testing.T, store journal.Store, ep *endpointtest.Variants, r *rollout.Report, err, want error) {
	t.Helper()
	if r.Outcome != rollout.OutcomeRefused || !errors.Is(err, rollout.ErrRefused) || !errors.Is(err, want) {
		t.Fatalf("Run = %v, %v; want it refused by %v", r, err, want)
	}
	for _, c := range ep.Calls() {
		if c.Write > 0 {
			t.Errorf("it wrote %s", c.Name)
		}
	}
	if records, err := store.Load(t.Context(), ep.Name()); err != nil || len(records) > 0 {
		t.Errorf("the journal holds %v (%v)", records, err)
	}
}

// The snapshot is what two looks agree on: one alone may be from before
// somebody's write.
func TestTwoLooksMustAgree(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edits map[int]func(*endpointtest.WorkersState) // before which look
		took  time.Duration
		want  endpoint.Settings
	}{
		{"undisturbed", nil, 5 * time.Second, endpoint.Settings{"workers.min": 1, "workers.max": 3}},
		{"a setting changes", map[int]func(*endpointtest.WorkersState){
			2: func(s *endpointtest.WorkersState) { s.Max = 5 },
		}, 10 * time.Second, endpoint.Settings{"workers.min": 1, "workers.max": 5}},
		{"settings change twice", map[int]func(*endpointtest.WorkersState){
			2: func(s *endpointtest.WorkersState) { s.Max = 5 },
			3: func(s *endpointtest.WorkersState) { s.Min = 0 },
		}, 15 * time.Second, endpoint.Settings{"workers.min": 0, "workers.max": 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx, start := flushFixture(), time.Now()
				fx.OnRead(func(n int, _ string) endpointtest.Fault {
					if edit := tt.edits[n]; edit != nil {
						fx.Foreign(edit)
					}
					return endpointtest.Fault{}
				})
				p, err := rollout.Preview(t.Context(), fx, fx.strategy, fx.target, rollout.WithInterval(5*time.Second))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, p.Settings); diff != "" {
					t.Errorf("settings in the plan (-want +got):\n%s", diff)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// What is refused for being paused says why, and how to go on.
func TestPausedIsRefusedWithAWayOut(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
					Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a",
				})
				_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, w.strategy, w.target, rollout.WithInterval(5*time.Second))
				if !errors.Is(err, endpoint.ErrPaused) {
					t.Fatalf("Run = %v, want %v", err, endpoint.ErrPaused)
				}
				for _, part := range []string{ep.Name(), "workers.max is 0", "accident", "agree"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("error %q does not say %q", err, part)
					}
				}
				p, err := rollout.Preview(t.Context(), ep, w.strategy, w.target, rollout.AllowPaused())
				if err != nil || !strings.Contains(p.String(), "the endpoint is paused, and is left paused") {
					t.Errorf("with consent: %v; the plan does not say that the endpoint is left paused:\n%s", err, p)
				}
			})
		})
	}
}
