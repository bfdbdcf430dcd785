package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/changeover-dev/changeover/endpoint"
)

// migrations are applied in order of their names, the first one as version 1.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the store's tables to the version of this program, and makes
// the schema if there is none. It may be called at each start, by several
// processes at once. A database that a newer program has migrated is
// [endpoint.ErrInvalid].
func (s *Store) Migrate(ctx context.Context) error {
	return s.wrap(pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.migrate(ctx, tx) }))
}

func (s *Store) migrate(ctx context.Context, tx pgx.Tx) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", s.lockKey("migrate")); err != nil {
		return err
	}
	version, err := s.version(ctx, tx)
	if err != nil {
		return err
	}
	if version > len(files) {
		return fmt.Errorf("%w: schema %s is of version %d, this program knows up to %d", endpoint.ErrInvalid, s.schema, version, len(files))
	}
	for i, file := range files[version:] {
		statements, err := migrations.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, string(statements)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO migration (version) VALUES ($1)", version+i+1); err != nil {
			return err
		}
	}
	return nil
}

// version makes the schema and its table of migrations, if they are missing,
// and returns the last one applied. The rest of the transaction works in the schema.
func (s *Store) version(ctx context.Context, tx pgx.Tx) (version int, err error) {
	var encoding string
	if err := tx.QueryRow(ctx, "SHOW server_encoding").Scan(&encoding); err != nil {
		return 0, err
	}
	if encoding != "UTF8" {
		return 0, fmt.Errorf("%w: the database's encoding is %s, want UTF8", endpoint.ErrInvalid, encoding)
	}
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", s.schema).Scan(&exists); err != nil {
		return 0, err
	}
	if !exists { // asked before, since CREATE … IF NOT EXISTS takes the right to create
		if _, err := tx.Exec(ctx, s.sql("CREATE SCHEMA {schema}")); err != nil {
			return 0, err
		}
	}
	for _, statement := range []string{
		"SET LOCAL search_path TO {schema}",
		"CREATE TABLE IF NOT EXISTS migration (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())",
	} {
		if _, err := tx.Exec(ctx, s.sql(statement)); err != nil {
			return 0, err
		}
	}
	return version, tx.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM migration").Scan(&version)
}
