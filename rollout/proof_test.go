package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// looping is an endpoint whose workers on the target die again after some seconds,
// and show as ready in every view in between.
type looping struct {
	*endpointtest.Workers
	lives time.Duration
	from  time.Duration // how long they stay up before that
	up    time.Time
	count bool // it counts the restarts
}

func (l *looping) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := l.Workers.Status(ctx)
	if err != nil || s.Desired.ID == "a" || s.Live() == 0 {
		return s, err
	}
	now := time.Now()
	if l.up.IsZero() {
		l.up = now
	}
	s.UpSince = l.up
	if past := now.Sub(l.up) - l.from; past > 0 {
		n := past / l.lives
		s.UpSince = l.up.Add(l.from + n*l.lives)
		if l.count {
			s.Restarts = int(n) + 1
		}
	}
	return s, nil
}

// A crash loop whose workers show as running proves nothing, on any path.
func TestCrashLoopIsNoProof(t *testing.T) {
	for _, count := range []bool{false, true} {
		eachWay(t, func(t *testing.T, fx *fixture) {
			ep := &looping{Workers: fx.Workers, lives: 12 * time.Second, count: count}
			_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target)
			cause := rollout.ErrStepTimeout
			if count {
				cause = endpoint.ErrUnhealthy
			}
			fx.wantRolledBack(t, err, cause)
		})
	}
	// One that begins after the target was proven is seen by the verification.
	eachWay(t, func(t *testing.T, fx *fixture) {
		ep := &looping{Workers: fx.Workers, lives: 12 * time.Second, from: 70 * time.Second}
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target)
		if err == nil && fx.strategy.String() != (strategy.FlushToZero{}).String() { // which has ended by then
			t.Error("it succeeded with workers that do not stay up")
		}
	})
	// A clock of the provider's that is ahead, or back, changes nothing.
	eachWay(t, func(t *testing.T, fx *fixture) {
		for _, skew := range []time.Duration{-time.Hour, time.Hour} {
			ep := &skewed{Workers: flushFixture().Workers, skew: skew}
			if _, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target); err != nil {
				t.Errorf("skew %v: %v", skew, err)
			}
		}
	})
}

type skewed struct {
	*endpointtest.Workers
	skew time.Duration
	up   time.Time
}

func (k *skewed) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := k.Workers.Status(ctx)
	if err == nil && s.Desired.ID != "a" && s.Live() > 0 {
		if k.up.IsZero() {
			k.up = time.Now().Add(k.skew)
		}
		s.UpSince = k.up
	}
	return s, err
}

// queueless is an endpoint whose jobs cannot be counted.
type queueless struct{ *endpointtest.Workers }

func (queueless) Jobs(context.Context) (endpoint.Jobs, error) {
	return endpoint.Jobs{}, fmt.Errorf("it has no queue: %w", errors.ErrUnsupported)
}

// Jobs that cannot be counted are not waited for: a flush needs none, and a drain
// is refused before anything is written.
func TestJobsThatCannotBeCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		_, err := rollout.Run(t.Context(), journal.NewMemory(), queueless{fx.Workers}, strategy.FlushToZero{Drain: time.Minute}, fx.target)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "without a drain") || len(fx.writes()) > 0 {
			t.Errorf("Run = %v, writes %v", err, fx.writes())
		}
		if _, err := rollout.Run(t.Context(), journal.NewMemory(), queueless{fx.Workers}, fx.strategy, fx.target); err != nil {
			t.Errorf("Run without a drain = %v", err)
		}
	})
}

// A rollout that timed out for want of hardware says so, and advises no flush.
func TestNoHardwareIsSaidAsSuch(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.Foreign(func(s *endpointtest.WorkersState) { s.NoCapacity = time.Now().Add(24 * time.Hour) })
		_, err := fx.run(t.Context(), rollout.WithCapacityTimeout(0))
		if !errors.Is(err, rollout.ErrNoCapacity) || errors.Is(err, rollout.ErrNotConverged) || strings.Contains(err.Error(), "flush-to-zero rollout") ||
			!strings.Contains(err.Error(), "1 of ") {
			t.Errorf("Run = %v\nwant it to say that there is no capacity", err)
		}
	})
}

// fielded is an endpoint that shows its other settings, which another may change.
type fielded struct {
	*endpointtest.Workers
	fields map[string]string
}

func (f *fielded) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := f.Workers.Status(ctx)
	s.Fields = map[string]string{}
	maps.Copy(s.Fields, f.fields)
	return s, err
}

// Another's change of a setting that the rollout does not write is drift of that
// setting: kept and named, forward and back, and it supersedes nothing.
func TestForeignFieldIsDrift(t *testing.T) {
	for _, fails := range []bool{false, true} {
		eachWay(t, func(t *testing.T, fx *fixture) {
			ep := &fielded{Workers: fx.Workers, fields: map[string]string{"idleTimeout": "5", "env": "sha256:1"}}
			if fails {
				fx.FailOn(fx.goal, "image pull backoff")
			}
			r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
				if e.Kind == rollout.EventWrite {
					ep.fields["idleTimeout"] = "77"
				}
			}))
			if fails != errors.Is(err, rollout.ErrRolledBack) || !fails && err != nil {
				t.Errorf("Run = %v", err)
			}
			if diff := cmp.Diff([]journal.Drift{{Thing: "idleTimeout", Want: "5", Found: "77"}}, r.Drift); diff != "" {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
		})
	}
}
