package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// Heartbeat implements [journal.Heartbeater].
func (s *Store) Heartbeat(ctx context.Context, name string, h journal.Heartbeat) error {
	body, err := json.Marshal(h)
	if err == nil {
		err = checkName(ctx, name)
	}
	if err == nil {
		_, err = s.pool.Exec(ctx, s.sql(`INSERT INTO {schema}.heartbeat (endpoint, body) VALUES ($1, $2)
			ON CONFLICT (endpoint) DO UPDATE SET body = excluded.body`), name, string(body))
	}
	return s.wrap(err)
}

// LastHeartbeat implements [journal.Heartbeater].
func (s *Store) LastHeartbeat(ctx context.Context, name string) (h journal.Heartbeat, err error) {
	var body []byte
	if err = checkName(ctx, name); err == nil {
		err = s.pool.QueryRow(ctx, s.sql("SELECT body FROM {schema}.heartbeat WHERE endpoint = $1"), name).Scan(&body)
	}
	if err == nil {
		err = json.Unmarshal(body, &h)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("heartbeat of %s: %w", name, endpoint.ErrNotFound)
	}
	return h, s.wrap(err)
}

// Attach implements [journal.Attacher].
func (s *Store) Attach(ctx context.Context, name, rollout string, document []byte) error {
	if len(document) > journal.MaxAttachment {
		return s.wrap(fmt.Errorf("attachment: %w: %d bytes, more than %d", endpoint.ErrInvalid, len(document), journal.MaxAttachment))
	}
	if document == nil {
		document = []byte{} // nil is NULL
	}
	err := checkName(ctx, name, rollout)
	if err == nil {
		_, err = s.pool.Exec(ctx, s.sql(`INSERT INTO {schema}.attachment (endpoint, rollout, body) VALUES ($1, $2, $3)
			ON CONFLICT (endpoint, rollout) DO UPDATE SET body = excluded.body`), name, rollout, document)
	}
	return s.wrap(err)
}

// Attachment implements [journal.Attacher].
func (s *Store) Attachment(ctx context.Context, name, rollout string) (document []byte, err error) {
	if err = checkName(ctx, name, rollout); err == nil {
		err = s.pool.QueryRow(ctx, s.sql("SELECT body FROM {schema}.attachment WHERE endpoint = $1 AND rollout = $2"), name, rollout).Scan(&document)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("attachment of %s, rollout %s: %w", name, rollout, endpoint.ErrNotFound)
	}
	return document, s.wrap(err)
}
