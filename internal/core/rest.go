package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// restShare is which part of the time that is left a server's wish to be left alone
// may take: one in so many.
const restShare = 3

// maxRestDown is how long a server is left alone at most while a setting is lowered.
const maxRestDown = time.Minute

// maxStoreRest is how long a store's wish to be left alone is honoured.
const maxStoreRest = 30 * time.Second

// restError is an error whose server wants to be left alone for longer than can be
// afforded: it is asked again after at most.
type restError struct {
	error

	now    time.Time
	wanted time.Duration
	most   time.Duration
}

func (e *restError) Error() string {
	return fmt.Sprintf("%v; it wants to be left alone for %v, until %s, and is asked again after %v, since the step has no more time",
		e.error, e.wanted, e.now.Add(e.wanted).UTC().Format(time.RFC3339), e.most)
}

func (e *restError) Unwrap() error { return e.error }

// RetryAfter is how long the server is left alone.
func (e *restError) RetryAfter() time.Duration { return e.most }

// down reports whether a setting that the rollout has lowered may still be so.
func down(j *Ledger) bool {
	return slices.ContainsFunc(j.writes, func(w written) bool {
		return j.lowered(w.Thing) && j.leaves(w.Thing) < j.Plan.Settings[w.Thing]
	})
}

// atMost bounds how long a server is left alone because of err.
func atMost(err error, now time.Time, most time.Duration) error {
	if wanted := endpoint.RetryAfter(err); wanted > most {
		return &restError{err, now, wanted, most}
	}
	return err
}
