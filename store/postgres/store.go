package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// Store is a [journal.Store] in a PostgreSQL database. It is safe for
// concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	schema string
	leases leases

	appendFirst, appendNext, load, list, trim string // statements
}

var (
	_ journal.Store       = (*Store)(nil)
	_ journal.Leaser      = (*Store)(nil)
	_ journal.Heartbeater = (*Store)(nil)
	_ journal.Tailer      = (*Store)(nil)
	_ journal.Lister      = (*Store)(nil)
	_ journal.Trimmer     = (*Store)(nil)
	_ journal.Attacher    = (*Store)(nil)
)

// New returns a store with its tables in a schema, such as "changeover". It
// asks the server nothing. The pool stays the caller's; one connection beyond
// it is opened for leases, which [Store.Close] closes.
func New(pool *pgxpool.Pool, schema string) (*Store, error) {
	switch {
	case pool == nil:
		return nil, fmt.Errorf("journals in PostgreSQL: %w: pool is nil", endpoint.ErrInvalid)
	case schema == "" || strings.ContainsRune(schema, 0):
		return nil, fmt.Errorf("journals in PostgreSQL: %w: schema is %q", endpoint.ErrInvalid, schema)
	}
	s := &Store{pool: pool, schema: schema}
	s.leases = leases{turn: make(chan struct{}, 1), held: map[string]int{}}
	s.appendFirst, s.appendNext = s.sql(insertFirst+insertRecord), s.sql(moveOn+insertRecord)
	s.load, s.list, s.trim = s.sql(selectRecords), s.sql(selectLast), s.sql(deleteRecords)
	return s, nil
}

// Close gives the leases back. The pool stays open.
func (s *Store) Close() error { return s.wrap(s.leases.close()) }

// sql puts the schema's name into a statement.
func (s *Store) sql(statement string) string {
	return strings.ReplaceAll(statement, "{schema}", pgx.Identifier{s.schema}.Sanitize())
}

// undefinedTable is what the server answers before the first Migrate.
const undefinedTable = "42P01"

func (s *Store) wrap(err error) error {
	if err == nil {
		return nil
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == undefinedTable {
		return fmt.Errorf("journal in PostgreSQL: the tables are missing, Migrate makes them: %w", err)
	}
	return fmt.Errorf("journal in PostgreSQL: %w", err)
}

// checkName refuses what no text of PostgreSQL can hold.
func checkName(ctx context.Context, names ...string) error {
	for _, name := range names {
		if strings.ContainsRune(name, 0) || strings.ToValidUTF8(name, "") != name {
			return fmt.Errorf("%w: name %q is not text", endpoint.ErrInvalid, name)
		}
	}
	return ctx.Err()
}
