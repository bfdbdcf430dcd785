//go:build unix

package postgres_test

import (
	"sync"
	"testing"

	"github.com/changeover-dev/changeover/journal"
)

// BenchmarkAppend has 64 rollouts append at once, each record on disk before
// the next one of its rollout.
func BenchmarkAppend(b *testing.B) {
	s := open(b, installed(b).pool(b, "pool_max_conns=32"), newSchema())
	const rollouts = 64
	todo := make(chan struct{})
	var wg sync.WaitGroup
	for i := range rollouts {
		wg.Go(func() {
			var last journal.Record
			for range todo {
				last = next(b, last)
				if err := s.Append(b.Context(), endpointName(i), last); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		todo <- struct{}{}
	}
	close(todo)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}
