package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/changeover-dev/changeover/waiter"
)

// at is a schedule that looks again at once, and thinks as the default does.
type at struct{ waiter.Schedule }

func (a at) Next(p waiter.Progress) time.Duration {
	_ = a.Schedule.Next(p)
	return 0
}

// BenchmarkPoll is what each library adds to one status call: b.N calls that
// cost nothing are one wait.
func BenchmarkPoll(b *testing.B) {
	probe := func(n int) Probe {
		return func(context.Context) (bool, error) { n--; return n < 0, nil }
	}
	for _, bb := range []struct {
		name string
		wait Waiter
	}{
		{"changeover", func(ctx context.Context, probe Probe) error {
			_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
				done, err := probe(ctx)
				return waiter.Observation{}, done, err
			}, waiter.WithSchedule(at{waiter.Learned(0)}))
			return err
		}},
		{"k8s", func(ctx context.Context, probe Probe) error {
			return wait.PollUntilContextCancel(ctx, time.Nanosecond, true, wait.ConditionWithContextFunc(probe))
		}},
		{"cenkalti", func(ctx context.Context, probe Probe) error {
			return backoff.Retry(func() error {
				if done, err := probe(ctx); err != nil || done {
					return err
				}
				return errors.New("pending")
			}, backoff.WithContext(&backoff.ZeroBackOff{}, ctx))
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			if err := bb.wait(b.Context(), probe(b.N)); err != nil {
				b.Fatal(err)
			}
		})
	}
}
