package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

const (
	selectRecords = `SELECT seq, body FROM {schema}.record WHERE endpoint = $1 AND seq > $2 ORDER BY seq`
	selectLast    = `SELECT j.endpoint, j.last, coalesce(r.body, '') FROM {schema}.journal j
	LEFT JOIN {schema}.record r ON r.endpoint = j.endpoint AND r.seq = j.last ORDER BY j.endpoint COLLATE "C"`
	deleteRecords = `WITH gone AS (
		DELETE FROM {schema}.record WHERE endpoint = $1 AND seq < $2 RETURNING rollout
	) DELETE FROM {schema}.attachment WHERE endpoint = $1
	AND rollout IN (SELECT rollout FROM gone)
	AND rollout NOT IN (SELECT rollout FROM {schema}.record WHERE endpoint = $1 AND seq >= $2)`
)

// Load implements [journal.Store].
func (s *Store) Load(ctx context.Context, name string) ([]journal.Record, error) {
	return s.LoadAfter(ctx, name, 0)
}

// LoadAfter implements [journal.Tailer].
func (s *Store) LoadAfter(ctx context.Context, name string, after int) ([]journal.Record, error) {
	if err := checkName(ctx, name); err != nil {
		return nil, s.wrap(err)
	}
	rows, err := s.pool.Query(ctx, s.load, name, after)
	if err != nil {
		return nil, s.wrap(err)
	}
	var records []journal.Record
	var seq int
	var body []byte
	_, err = pgx.ForEachRow(rows, []any{&seq, &body}, func() error {
		r, err := decode(seq, body)
		if err != nil {
			return &journal.ReadError{Records: records, Line: len(records) + 1, Err: err}
		}
		records = append(records, r)
		return nil
	})
	if err != nil {
		return nil, s.wrap(err)
	}
	return records, nil
}

func decode(seq int, body []byte) (journal.Record, error) {
	r, err := journal.Decode(body)
	if err == nil && r.Seq != seq {
		err = fmt.Errorf("it is record %d: %w", r.Seq, journal.ErrDamaged)
	}
	if err != nil {
		return journal.Record{}, fmt.Errorf("row %d: %w", seq, err)
	}
	return r, nil
}

// List implements [journal.Lister]. It is one query.
func (s *Store) List(ctx context.Context) ([]journal.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, s.list)
	if err != nil {
		return nil, s.wrap(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e journal.Entry, err error) {
		var last int
		var body []byte
		if err := row.Scan(&e.Endpoint, &last, &body); err != nil {
			return e, err
		}
		e.Last, e.Err = decode(last, body)
		return e, nil
	})
	return list, s.wrap(err)
}

// Trim implements [journal.Trimmer].
func (s *Store) Trim(ctx context.Context, name string, first int) error {
	if err := checkName(ctx, name); err != nil {
		return s.wrap(err)
	}
	var last int // which only grows
	err := s.pool.QueryRow(ctx, s.sql("SELECT last FROM {schema}.journal WHERE endpoint = $1"), name).Scan(&last)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return s.wrap(err)
	case first > last:
		return s.wrap(fmt.Errorf("%w: trim to record %d, above the last record %d", endpoint.ErrInvalid, first, last))
	}
	_, err = s.pool.Exec(ctx, s.trim, name, first)
	return s.wrap(err)
}
