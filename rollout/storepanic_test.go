package rollout_test

import (
	"context"
	"testing"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// panicking is a store whose Load panics.
type panicking struct{ *journal.Memory }

func (panicking) Load(context.Context, string) ([]journal.Record, error) { panic("out of range") }

// A panic in a store does not leave its lock held in a process that goes on.
func TestPanicInLoadReleasesTheLock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx, store := flushFixture(), panicking{journal.NewMemory()}
		for name, call := range map[string]func() error{
			"Run": func() error {
				_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
				return err
			},
			"Resume": func() error {
				_, err := rollout.Resume(t.Context(), store, fx)
				return err
			},
		} {
			func() {
				defer func() { _ = recover() }()
				if err := call(); err == nil {
					t.Errorf("%s succeeded", name)
				}
			}()
			unlock, err := store.Lock(t.Context(), fx.Name())
			if err != nil {
				t.Fatalf("after a panic in %s the lock is held: %v", name, err)
			}
			if err := unlock(); err != nil {
				t.Error(err)
			}
		}
	})
}
