package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// The end of the journal is moved on, or nothing is inserted: two appends of
// one number wait for each other at that row. A transaction that the server
// would acknowledge before it is on disk is made to wait for the disk.
const (
	insertFirst = `WITH head AS (
		INSERT INTO {schema}.journal (endpoint, last, sum) SELECT $1::text, $2::integer, $5::text WHERE $6::text = ''
		ON CONFLICT (endpoint) DO NOTHING RETURNING endpoint
	)`
	moveOn = `WITH head AS (
		UPDATE {schema}.journal SET last = $2::integer, sum = $5::text
		WHERE endpoint = $1::text AND last = $2::integer - 1 AND sum = $6::text RETURNING endpoint
	)`
	insertRecord = ` INSERT INTO {schema}.record (endpoint, seq, rollout, body, writer)
	SELECT endpoint, $2::integer, $3::text, $4::text, $7::text FROM head, (
		SELECT CASE current_setting('synchronous_commit')
			WHEN 'off' THEN set_config('synchronous_commit', 'local', true) ELSE '' END
	) AS durable (setting) WHERE setting IS NOT NULL`
)

const (
	appendTime  = time.Minute      // of an append that the server gives no clear answer to
	recheckTime = 10 * time.Second // of reading whether it has arrived, once the caller has given up
)

// Append implements [journal.Store]. Where the server gives no clear answer, it
// finds out whether the record is there and is this call's own, and tries
// again, for a minute at most: it reports success or a conflict only when it
// knows.
func (s *Store) Append(ctx context.Context, name string, r journal.Record) error {
	if err := checkName(ctx, name, r.Rollout); err != nil {
		return s.wrap(err)
	}
	body, err := journal.Encode(r)
	if err != nil {
		return err
	}
	if r.Seq < 1 {
		return s.wrap(fmt.Errorf("%w: seq is %d", endpoint.ErrInvalid, r.Seq))
	}
	statement, me := s.appendNext, rand.Text()
	if r.Seq == 1 {
		statement = s.appendFirst
	}
	pctx, cancel := context.WithTimeout(ctx, appendTime)
	defer cancel()
	for gap := 20 * time.Millisecond; ; gap = min(2*gap, time.Second) {
		tag, err := s.pool.Exec(pctx, statement, name, r.Seq, r.Rollout, string(body), r.Sum, r.Prev, me)
		switch {
		case err == nil && tag.RowsAffected() == 1:
			return nil
		case err == nil:
			return s.wrap(s.conflict(pctx, name, r.Seq, me))
		case refused(err):
			return s.wrap(err)
		case !wait(pctx, gap):
			return s.wrap(s.givenUp(ctx, name, r.Seq, me, err))
		}
	}
}

// conflict is nil if the record that is there is of an earlier try of this call.
func (s *Store) conflict(ctx context.Context, name string, seq int, me string) error {
	by, err := s.writer(ctx, name, seq)
	switch {
	case err != nil:
		return err
	case by == me:
		return nil
	case by == "":
		return fmt.Errorf("record %d does not continue the journal's last one: %w", seq, journal.ErrConflict)
	}
	return fmt.Errorf("record %d exists: %w", seq, journal.ErrConflict)
}

// givenUp is nil if the record is there although the last try failed with err.
// It asks even if ctx is done: that is the question that is left.
func (s *Store) givenUp(ctx context.Context, name string, seq int, me string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recheckTime)
	defer cancel()
	if by, rerr := s.writer(ctx, name, seq); rerr == nil && by == me {
		return nil
	}
	return err
}

// writer is the call of Append that made a record, "" if there is none.
func (s *Store) writer(ctx context.Context, name string, seq int) (by string, err error) {
	rows := s.pool.QueryRow(ctx, s.sql("SELECT coalesce(max(writer), '') FROM {schema}.record WHERE endpoint = $1 AND seq = $2"), name, seq)
	return by, rows.Scan(&by)
}

// unclear are the answers of a server that refuses nothing about the statement:
// the classes of connections, resources and operators, and transactions that
// are to be tried again.
var unclear = []string{"08", "40", "53", "57", "58"}

// refused reports whether the server answered that the statement itself is wrong.
func refused(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && len(answer.Code) == 5 && !slices.Contains(unclear, answer.Code[:2])
}

// wait reports whether d has passed before ctx was done.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
