//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/journal/journaltest"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/store/postgres"
	"github.com/changeover-dev/changeover/strategy"
)

// schemas numbers the tests' own ones.
var schemas atomic.Int64

func newSchema() string { return fmt.Sprintf(`Test "%d"`, schemas.Add(1)) }

// handle is a store that knows where it is.
type handle struct {
	*postgres.Store
	schema string
}

func TestStore(t *testing.T) {
	pool := installed(t).pool(t, "")
	journaltest.Run(t, journaltest.Harness{
		New: func(t testing.TB) journal.Store {
			schema := newSchema()
			return handle{open(t, pool, schema), schema}
		},
		Reopen: func(t testing.TB, s journal.Store) journal.Store {
			schema := s.(handle).schema
			return handle{open(t, shared.pool(t, ""), schema), schema}
		},
	})
}

// The promises hold with other defaults of the database.
func TestStoreWithOtherDefaults(t *testing.T) {
	installed(t)
	for _, more := range []string{
		"default_transaction_isolation=serializable", "default_transaction_isolation='repeatable read'",
		"default_query_exec_mode=simple_protocol", "search_path=nowhere",
	} {
		t.Run(more, func(t *testing.T) {
			pool := shared.pool(t, more)
			journaltest.Run(t, journaltest.Harness{New: func(t testing.TB) journal.Store { return open(t, pool, newSchema()) }})
		})
	}
}

// next is the record behind last, the zero value before the first one.
func next(t testing.TB, last journal.Record) journal.Record {
	t.Helper()
	r := journal.Record{
		Version: strategy.FormatVersion, Seq: last.Seq + 1, Time: time.Unix(int64(last.Seq), 0), Rollout: "20260102-030405-abcdef",
		Kind: journal.KindDone, Step: "await serving", Note: strings.Repeat("x", 300),
	}
	if r.Seq == 1 {
		r.Kind = journal.KindPlan
	}
	if err := r.Seal(last.Sum); err != nil {
		t.Error(err)
	}
	return r
}

func TestNewRefuses(t *testing.T) {
	for what, call := range map[string]func() (*postgres.Store, error){
		"pool":   func() (*postgres.Store, error) { return postgres.New(nil, "changeover") },
		"schema": func() (*postgres.Store, error) { return postgres.New(&pgxpool.Pool{}, "") },
	} {
		if _, err := call(); !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("New = %v, want it to be %v and to name the %s", err, endpoint.ErrInvalid, what)
		}
	}
}

// Several processes migrate at their start, and again at every start; before
// that, the error says what to do; and a newer schema is left alone.
func TestMigrate(t *testing.T) {
	pool, schema := installed(t).pool(t, ""), newSchema()
	s, err := postgres.New(pool, schema)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), "e"); err == nil || !strings.Contains(err.Error(), "Migrate") {
		t.Errorf("Load before Migrate = %v", err)
	}
	if err := s.Append(t.Context(), "e", next(t, journal.Record{})); err == nil || !strings.Contains(err.Error(), "Migrate") {
		t.Errorf("Append before Migrate = %v", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first := next(t, journal.Record{})
	if err := s.Append(t.Context(), "e", first); err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := s.Load(t.Context(), "e"); err != nil || len(got) != 1 {
		t.Errorf("Load = %v, %v", got, err)
	}
	execute(t, pool, schema, "INSERT INTO {schema}.migration (version) VALUES (99)")
	if err := s.Migrate(t.Context()); !errors.Is(err, endpoint.ErrInvalid) {
		t.Errorf("Migrate of a newer schema = %v, want %v", err, endpoint.ErrInvalid)
	}
}

func execute(t *testing.T, pool *pgxpool.Pool, schema, statement string) {
	t.Helper()
	quoted := `"` + strings.ReplaceAll(schema, `"`, `""`) + `"`
	if tag, err := pool.Exec(t.Context(), strings.ReplaceAll(statement, "{schema}", quoted)); err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
}

// Rows that were changed from outside are refused, with those before.
func TestDamage(t *testing.T) {
	for what, statement := range map[string]string{
		"changed":   `UPDATE {schema}.record SET body = replace(body, '"v":2', '"v":1') WHERE seq = 2`,
		"deleted":   `DELETE FROM {schema}.record WHERE seq = 2`,
		"exchanged": `UPDATE {schema}.record SET body = (SELECT body FROM {schema}.record WHERE seq = 3) WHERE seq = 2`,
	} {
		t.Run(what, func(t *testing.T) {
			pool, schema := installed(t).pool(t, ""), newSchema()
			s := open(t, pool, schema)
			var last journal.Record
			for range 3 {
				last = next(t, last)
				if err := s.Append(t.Context(), "e", last); err != nil {
					t.Fatal(err)
				}
			}
			execute(t, pool, schema, statement)
			_, err := journal.Load(t.Context(), s, "e")
			var partly *journal.ReadError
			if !errors.Is(err, journal.ErrDamaged) || !errors.As(err, &partly) || partly.Line != 2 || len(partly.Records) != 1 {
				t.Errorf("Load = %v, want line 2 and the record before it", err)
			}
		})
	}
}

// A lease ends with its session, and until then keeps other processes out.
// The holder that lost it does not take it from the one after it.
func TestLeaseEndsWithItsSession(t *testing.T) {
	pool, schema := installed(t).pool(t, ""), newSchema()
	first, second := open(t, pool, schema), open(t, pool, schema)
	release, err := first.Lease(t.Context(), "e")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Lease(t.Context(), "e"); !errors.Is(err, endpoint.ErrBusy) {
		t.Errorf("Lease = %v, want %v", err, endpoint.ErrBusy)
	}
	execute(t, pool, schema, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`)
	again := lease(t, second, "e")
	if err := release(); err != nil {
		t.Errorf("release of a lease that has ended = %v", err)
	}
	if _, err := first.Lease(t.Context(), "e"); !errors.Is(err, endpoint.ErrBusy) {
		t.Errorf("Lease = %v, want %v: the second process has it", err, endpoint.ErrBusy)
	}
	if err := again(); err != nil {
		t.Errorf("release = %v", err)
	}
	if err := lease(t, first, "e")(); err != nil {
		t.Errorf("release = %v", err)
	}
}

// A rollout holds the lease: a second runner is refused, whichever process it is in.
func TestRolloutHoldsTheLease(t *testing.T) {
	pool, schema := installed(t).pool(t, ""), newSchema()
	first, second := open(t, pool, schema), open(t, pool, schema)
	u := endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
	})
	r, err := rollout.Begin(t.Context(), first, u, strategy.InPlace{}, rollout.ToRevision("b"))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*postgres.Store{"this process": first, "another process": second} {
		if report, err := rollout.Run(t.Context(), s, u, strategy.InPlace{}, rollout.ToRevision("b")); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("a second runner in %s: %v, %v", name, report, err)
		}
	}
	r.Close()
	if err := lease(t, second, u.Name())(); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// lease takes a lease once the server has noticed that a session ended.
func lease(t *testing.T, s *postgres.Store, name string) (release func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		release, err := s.Lease(ctx, name)
		if err == nil {
			return release
		}
		if !errors.Is(err, endpoint.ErrBusy) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
