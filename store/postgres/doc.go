// Package postgres keeps the journals of rollouts in a PostgreSQL database, for
// services that already have one and run on several machines.
//
//	pool, err := pgxpool.New(ctx, "postgres://…?pool_max_conns=16")
//	store, err := postgres.New(pool, "changeover")
//	defer store.Close()
//	if err := store.Migrate(ctx); err != nil { … }
//	report, err := rollout.Run(ctx, store, endpoint, strategy.InPlace{}, target)
//
// # Appends
//
// An append is one statement: it moves the end of the journal on by one, and
// inserts the record, if the end is where the runner takes it to be. It returns
// once the record is on the server's disk, also where the database's
// synchronous_commit is off. Where the server gives no clear answer, because it
// was restarted for instance, the store finds out whether the record is there
// and appends it again, for a minute at most.
//
// A standby that is promoted without having received a record has lost it: set
// synchronous_standby_names if a machine may be lost for good.
//
// # Leases
//
// A lease is an advisory lock, all of one Store in one session of their own. It
// ends with the session: at once when the process dies, and within a minute
// when its machine or the network does. A runner that was cut off may be alive,
// so a takeover still waits for its heartbeats to end. A connection pooler in
// front of the server must pool by session.
//
// # Tables
//
// [Store.Migrate] makes them in a schema of their own, by the files in
// migrations. It needs the right to create there; the store itself needs USAGE
// on the schema, and SELECT, INSERT, UPDATE and DELETE on its tables. No record
// holds a secret. The database's encoding must be UTF-8.
//
// An endpoint of which no rollout is unfinished may be deleted, from all tables
// at once, journal last.
package postgres
