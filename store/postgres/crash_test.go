//go:build unix

package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/store/postgres"
)

// 64 rollouts append while the server is killed and started again, three
// times. Each record that was acknowledged is there, each append ends, and no
// record is there twice. The database would rather acknowledge before it has
// written, which the store does not leave to it.
func TestServerKilled(t *testing.T) {
	installed(t)
	own, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	defer own.remove()
	if err := own.start(); err != nil {
		t.Fatal(err)
	}
	const rollouts, kills = 64, 3
	pool := own.pool(t, "pool_max_conns=32 synchronous_commit=off")
	s := open(t, pool, "changeover")
	var acknowledged [rollouts]atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range rollouts {
		wg.Go(func() { appendUntil(t, s, i, &acknowledged[i], &stop) })
	}
	for range kills {
		time.Sleep(time.Second)
		own.kill(t)
		before := sum(&acknowledged)
		began := time.Now()
		if err := own.start(); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed after %d records, answers again after %v", before, time.Since(began).Round(time.Millisecond))
	}
	time.Sleep(300 * time.Millisecond)
	stop.Store(true)
	wg.Wait()
	missing(t, s, &acknowledged)
	t.Logf("%d records in the end", sum(&acknowledged))
}

func endpointName(i int) string { return fmt.Sprintf("runpod/endpoint-%02d", i) }

// appendUntil appends one record after the other.
func appendUntil(t *testing.T, s *postgres.Store, i int, acknowledged *atomic.Int64, stop *atomic.Bool) {
	t.Helper()
	var last journal.Record
	for !stop.Load() {
		last = next(t, last)
		if err := s.Append(t.Context(), endpointName(i), last); err != nil {
			t.Errorf("record %d of rollout %d: %v", last.Seq, i, err)
			return
		}
		acknowledged.Store(int64(last.Seq))
	}
}

// missing fails for each record that was acknowledged and is not there.
func missing(t *testing.T, s *postgres.Store, acknowledged *[64]atomic.Int64) {
	t.Helper()
	for i := range acknowledged {
		want := acknowledged[i].Load()
		got, err := journal.Load(t.Context(), s, endpointName(i))
		if err != nil || int64(len(got)) < want {
			t.Errorf("rollout %d: %d records, %v; %d were acknowledged", i, len(got), err, want)
		}
	}
}

func sum(acknowledged *[64]atomic.Int64) (n int64) {
	for i := range acknowledged {
		n += acknowledged[i].Load()
	}
	return n
}
