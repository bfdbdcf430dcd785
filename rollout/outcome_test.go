package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

var outcomes = map[rollout.Outcome]error{
	rollout.OutcomeRolledBack: rollout.ErrRolledBack, rollout.OutcomeSuperseded: rollout.ErrSuperseded,
	rollout.OutcomeIncomplete: rollout.ErrIncomplete, rollout.OutcomeDetached: rollout.ErrDetached,
	rollout.OutcomeRefused: rollout.ErrRefused,
}

// An error is the one outcome that it has, whatever its cause.
func TestOutcomesExcludeEachOther(t *testing.T) {
	cause := fmt.Errorf("%w to c1: alarm 5xx: %w", endpoint.ErrRolledBack, context.Canceled)
	for outcome, want := range outcomes {
		err := error(&rollout.Error{Endpoint: "fake/x", Strategy: "in-place", Outcome: outcome, Cause: cause})
		for _, other := range outcomes {
			if got := errors.Is(err, other); got != (other == want) { //nolint:errorlint // the very value
				t.Errorf("%s is %q: %t", outcome, other, got)
			}
		}
		if errors.Is(err, endpoint.ErrRolledBack) {
			t.Errorf("%s is what the provider did", outcome)
		}
		if !errors.Is(err, context.Canceled) || !errors.Is(rollout.Cause(err), endpoint.ErrRolledBack) {
			t.Errorf("%s has not its cause", outcome)
		}
	}
	plain := errors.New("plain")
	if rollout.Cause(plain) != plain || rollout.Cause(nil) != nil { //nolint:errorlint // the very value
		t.Error("Cause changes an error that is no rollout's")
	}
}

// The provider went back by itself, and autoscaling could not be restored: that
// is not "fine, old version".
func TestIncompleteAfterTheProvidersRollback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newVariants()
		ep.FailOn("model-2", "alarm 5xx")
		ep.OnMutation(func(_ int, name string) endpointtest.Fault {
			if strings.HasPrefix(name, "restore") {
				return endpointtest.Refuse(endpoint.ErrUnauthorized)
			}
			return endpointtest.Fault{}
		})
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
		if !errors.Is(err, rollout.ErrIncomplete) || errors.Is(err, rollout.ErrRolledBack) || errors.Is(err, endpoint.ErrRolledBack) {
			t.Fatalf("Run = %s, %v; want it incomplete and nothing else", r.Outcome, err)
		}
		if !errors.Is(rollout.Cause(err), endpoint.ErrRolledBack) {
			t.Errorf("the cause %v does not say what the provider did", rollout.Cause(err))
		}
		if !slices.ContainsFunc(r.Residue, func(x rollout.Remainder) bool { return x.Kind == rollout.RemainderAutoscaling && x.Remedy != "" }) {
			t.Errorf("residue %+v does not name autoscaling", r.Residue)
		}
	})
}

// The caller's deadline says nothing of the revision, and advises nothing.
func TestDeadlinesTellWhoseTheyAre(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []rollout.Option
		ctx  time.Duration
		want error
		says string
	}{
		"the caller's":  {nil, 5 * time.Minute, context.DeadlineExceeded, ""},
		"the step's":    {[]rollout.Option{rollout.WithStepTimeout(5 * time.Minute)}, time.Hour, rollout.ErrStepTimeout, "acme/sdxl:v2"},
		"the rollout's": {[]rollout.Option{rollout.WithTimeout(5 * time.Minute)}, time.Hour, rollout.ErrTimeout, "acme/sdxl:v2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := flushFixture()
				fx.strategy = strategy.InPlace{}
				fx.StallOn(fx.goal)
				ctx, cancel := context.WithTimeout(t.Context(), tt.ctx)
				defer cancel()
				_, err := fx.run(ctx, tt.opts...)
				fx.wantRolledBack(t, err, tt.want)
				for _, other := range []error{context.DeadlineExceeded, rollout.ErrStepTimeout, rollout.ErrTimeout} {
					if other != tt.want && errors.Is(err, other) { //nolint:errorlint // the very value
						t.Errorf("%v is %v too", err, other)
					}
				}
				if errors.Is(err, rollout.ErrNotConverged) || strings.Contains(err.Error(), "flush") {
					t.Errorf("%v advises a flush", err)
				}
				if started := errors.Is(err, rollout.ErrNotStarted); started != (tt.says != "") || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v: says that no worker started: %t", err, started)
				}
			})
		})
	}
}

// Arguments and options that mean nothing are refused by name, before the first request.
func TestMisuseIsRefusedByName(t *testing.T) {
	ok, to := strategy.InPlace{}, rollout.ToRevision("b")
	memory := func() journal.Store { return journal.NewMemory() }
	type call struct {
		name  string
		names string
		run   func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error)
	}
	with := func(name string, opts ...rollout.Option) call {
		return call{name, strings.Fields(name)[0], func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Run(ctx, memory(), ep, ok, to, opts...)
		}}
	}
	check := rollout.CheckFunc(func(context.Context, rollout.Sample) (rollout.Verdict, error) { return rollout.Verdict{}, nil })
	job := func(context.Context) (string, error) { return "", nil }
	var noFiles *journal.Files
	for _, tt := range []call{
		{"nil store", "store", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Run(ctx, nil, ep, ok, to)
		}},
		{"nil pointer as store", "store", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Run(ctx, noFiles, ep, ok, to)
		}},
		{"nil store to resume", "store", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Resume(ctx, nil, ep)
		}},
		{"nil updater", "updater", func(ctx context.Context, _ endpoint.Updater) (*rollout.Report, error) {
			return rollout.Run(ctx, memory(), nil, ok, to)
		}},
		{"nil updater to resume", "updater", func(ctx context.Context, _ endpoint.Updater) (*rollout.Report, error) {
			return rollout.Resume(ctx, memory(), nil)
		}},
		{"nil strategy", "strategy", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Run(ctx, memory(), ep, nil, to)
		}},
		{"empty target", "target", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Run(ctx, memory(), ep, ok, rollout.ToRevision(""))
		}},
		{"empty exact target", "target", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Run(ctx, memory(), ep, ok, rollout.ToExact(endpoint.Revision{}))
		}},
		{"nil plan", "plan", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Apply(ctx, memory(), ep, nil)
		}},
		{"strategy that this endpoint cannot be served by", "scale-protected", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Run(ctx, memory(), ep, strategy.ScaleProtectedSwap{}, to)
		}},
		{"negative drain", "drain", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Run(ctx, memory(), ep, strategy.FlushToZero{Drain: -1}, to)
		}},
		{"resume first to resume", "WithResumeFirst", func(ctx context.Context, ep endpoint.Updater) (*rollout.Report, error) {
			return rollout.Resume(ctx, memory(), ep, rollout.WithResumeFirst())
		}},
		with("option 1 is nil", nil),
		with("WithForward without a resume", rollout.WithForward()),
		with("WithBake negative", rollout.WithBake(-1)), with("WithBake endless", rollout.WithBake(math.MaxInt64)),
		with("WithCheck nil", rollout.WithCheck(strategy.Check{Name: "c"}, nil)), with("WithCheck without a name", rollout.WithCheck(strategy.Check{}, check)),
		with("WithCheck doubled", rollout.WithCheck(strategy.Check{Name: "c"}, check), rollout.WithCheck(strategy.Check{Name: "c"}, check)),
		with("WithApproval without a name", rollout.WithApproval(strategy.Approval{})), with("WithFreeze nil", rollout.WithFreeze(nil)),
		with("WithFreezeOverride without a reason", rollout.WithFreezeOverride("")),
		with("WithSettle negative", rollout.WithSettle(-1)), with("WithStepTimeout zero", rollout.WithStepTimeout(0)),
		with("WithCapacityTimeout negative", rollout.WithCapacityTimeout(-1)), with("WithTimeout negative", rollout.WithTimeout(-1)),
		with("WithStartTimeout zero", rollout.WithStartTimeout(0)), with("WithInterval negative", rollout.WithInterval(-1)),
		with("WithSchedule nil", rollout.WithSchedule(nil)), with("WithHistory nil", rollout.WithHistory(nil)),
		with("WithWake nil", rollout.WithWake(nil)), with("WithShared nil", rollout.WithShared(nil)),
		with("WithObserver nil", rollout.WithObserver(nil)), with("WithObserver of no logger", rollout.WithObserver(rollout.Slog(nil))),
		with("WithObserver of no writer", rollout.WithObserver(rollout.Text(nil))),
		with("WithHardStop nil", rollout.WithHardStop(nil)), with("WithProof unknown", rollout.WithProof("perhaps")),
		with("WithProof probe without a job", rollout.WithProof(strategy.ProofProbe)),
		with("WithProbe without a job", rollout.WithProbe("p", nil)), with("WithProbe without a name", rollout.WithProbe("", job)),
		with("WithChangeOptions no JSON", rollout.WithChangeOptions([]byte("{"))), with("WithOwner empty", rollout.WithOwner("")),
		with("WithKeep zero", rollout.WithKeep(0)),
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := flushFixture()
				r, err := tt.run(t.Context(), fx)
				if !errors.Is(err, rollout.ErrRefused) || !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), tt.names) {
					t.Errorf("error %v, want it invalid and to name %q", err, tt.names)
				}
				if r == nil || r.Outcome != rollout.OutcomeRefused {
					t.Errorf("report %+v", r)
				}
				if calls := fx.Calls(); len(calls) > 0 {
					t.Errorf("it called %v", calls)
				}
			})
		})
	}
}

// An interval of zero is the default, not a busy loop.
func TestZeroIntervalIsTheDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx, plain := flushFixture(), flushFixture()
		if _, err := fx.run(t.Context(), rollout.WithInterval(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := plain.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := len(fx.reads()), len(plain.reads()); got > 2*want {
			t.Errorf("%d polls, want %d as by default", got, want)
		}
	})
}

// The zero values say in words that they are of no use.
func TestZeroValues(t *testing.T) {
	var r rollout.Rollout
	next, report, err := r.Advance(t.Context())
	if !next.IsZero() || report == nil || !errors.Is(err, endpoint.ErrInvalid) {
		t.Errorf("Advance = %v, %v, %v", next, report, err)
	}
	r.Close()
	if (&rollout.Error{}).Error() == "" || (rollout.Event{}).String() != "" || (rollout.Remainder{}).String() != "" {
		t.Error("a zero value does not print")
	}
}

// noAbilities is the least that can be rolled out.
type noAbilities struct{ endpoint.Updater }

func TestBareUpdater(t *testing.T) {
	for name, to := range map[string]rollout.Target{
		"by its ID": rollout.ToRevision("b"),
		"exactly":   rollout.ToExact(endpoint.Revision{Kind: "template", ID: "b", Artifact: "acme/sdxl:v2"}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := flushFixture()
				r, err := rollout.Run(t.Context(), journal.NewMemory(), noAbilities{fx.Workers}, strategy.InPlace{}, to)
				if err != nil || fx.artifact() != "acme/sdxl:v2" {
					t.Errorf("Run = %+v, %v; serves %s", r, err, fx.artifact())
				}
			})
		})
	}
}
