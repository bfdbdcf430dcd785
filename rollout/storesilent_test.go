package rollout_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// silent is a store of which one append is never answered, whether it arrives
// or not, nor the look after it.
type silent struct {
	journal.Store
	at      int
	arrives bool
	hung    bool
}

func (s *silent) Append(ctx context.Context, name string, r journal.Record) error {
	if r.Seq != s.at {
		return s.Store.Append(ctx, name, r)
	}
	s.at, s.hung = 0, true
	if s.arrives {
		if err := s.Store.Append(ctx, name, r); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *silent) Load(ctx context.Context, name string) ([]journal.Record, error) {
	if s.hung {
		s.hung = false
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return s.Store.Load(ctx, name)
}

// A store that does not answer costs minutes, and no more.
func TestStoreThatDoesNotAnswer(t *testing.T) {
	for _, arrives := range []bool{false, true} {
		for at := 1; at <= 25; at++ {
			bubble(t, func(t *testing.T) {
				fx, mem, began := flushFixture(), journal.NewMemory(), time.Now()
				_, err := rollout.Run(t.Context(), &silent{Store: unlocked{mem}, at: at, arrives: arrives}, fx, fx.strategy, fx.target)
				if took := time.Since(began); took > 15*time.Minute {
					t.Errorf("record %d: it took %v", at, took)
				}
				if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
					t.Errorf("record %d: %v; protective values (-before +after):\n%s", at, err, diff)
				}
				if (err == nil) != (fx.artifact() == fx.goal) {
					t.Errorf("record %d: %v, serving %s", at, err, fx.artifact())
				}
			})
		}
	}
}
