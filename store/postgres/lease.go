package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/changeover-dev/changeover/endpoint"
)

// leases is the session that holds the advisory locks of a Store. A server
// that gets no answer from its machine ends it, and them, within a minute.
type leases struct {
	turn    chan struct{} // held while the session is used
	session *pgx.Conn     // nil if there is none
	number  int           // of the session
	held    map[string]int
}

const keepAlive = `SELECT set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false),
	set_config('tcp_keepalives_count', '6', false)`

// releaseTime is how long giving a lease back may take.
const releaseTime = 10 * time.Second

// Lease implements [journal.Leaser].
func (s *Store) Lease(ctx context.Context, name string) (release func() error, err error) {
	if err := checkName(ctx, name); err != nil {
		return nil, s.wrap(err)
	}
	l := &s.leases
	if err := l.lock(ctx); err != nil {
		return nil, s.wrap(err)
	}
	defer l.unlock()
	if _, ok := l.held[name]; ok {
		return nil, fmt.Errorf("journal of %s is leased in this process: %w", name, endpoint.ErrBusy)
	}
	got, err := s.tryLock(ctx, name)
	if err != nil {
		return nil, s.wrap(err)
	}
	if !got {
		return nil, fmt.Errorf("journal of %s is leased: %w", name, endpoint.ErrBusy)
	}
	number := l.number
	l.held[name] = number
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
		defer cancel()
		return s.wrap(s.release(ctx, name, number))
	}, nil
}

// tryLock takes an advisory lock. A session that turns out to be broken, which
// holds nothing any more, is replaced once.
func (s *Store) tryLock(ctx context.Context, name string) (got bool, err error) {
	l := &s.leases
	for fresh := false; ; {
		if l.session == nil {
			if err := s.connect(ctx); err != nil {
				return false, err
			}
			fresh = true
		}
		err := l.session.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", s.lockKey(name)).Scan(&got)
		if err == nil || !l.session.IsClosed() {
			return got, err
		}
		l.session = nil
		if fresh || ctx.Err() != nil {
			return false, err
		}
	}
}

// connect opens the session. It takes a connection out of the pool, since the
// pool knows how its connections are made.
func (s *Store) connect(ctx context.Context) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	session := pooled.Hijack()
	if _, err := session.Exec(ctx, keepAlive); err != nil {
		_ = session.Close(ctx)
		return err
	}
	s.leases.session = session
	s.leases.number++
	return nil
}

// release gives a lease back, unless it ended with its session.
func (s *Store) release(ctx context.Context, name string, number int) error {
	l := &s.leases
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if held, ok := l.held[name]; !ok || held != number {
		return nil // it was closed, or released before
	}
	delete(l.held, name)
	if l.session == nil || l.number != number {
		return nil
	}
	_, err := l.session.Exec(ctx, "SELECT pg_advisory_unlock($1)", s.lockKey(name))
	if l.session.IsClosed() {
		l.session = nil // and the lease has ended with it
		return nil
	}
	return err
}

func (l *leases) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *leases) unlock() { <-l.turn }

// close ends the session, and with it the leases.
func (l *leases) close() error {
	l.turn <- struct{}{}
	defer l.unlock()
	clear(l.held)
	if l.session == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime) //nolint:forbidigo // Close has no context
	defer cancel()
	err := l.session.Close(ctx)
	l.session = nil
	return err
}

// lockKey is the number of an advisory lock, which a database shares among all
// that use it.
func (s *Store) lockKey(name string) int64 {
	sum := sha256.Sum256([]byte("changeover\x00" + s.schema + "\x00" + name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}
