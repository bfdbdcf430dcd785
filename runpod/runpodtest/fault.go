package runpodtest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong with one call. The zero Fault is none.
//
// Of the ways to replace the answer (Drop, LandsAfter, Status or Body, Message,
// Null) at most one is to be set. Without Applied they happen instead of the
// call's effect, with it after.
type Fault struct {
	// Delay is how long the call takes, by the request's own context: a caller
	// that gives up earlier gets its context's error. It comes before the
	// effect, which then does not happen for such a caller; with Applied, after.
	Delay time.Duration
	// Applied: the call takes effect before it goes wrong.
	Applied bool
	// Drop breaks the connection instead of answering.
	Drop bool
	// LandsAfter breaks the connection at once, and lets a mutation take
	// effect that much later, as a request does that was stuck on the way.
	LandsAfter time.Duration
	// Forgotten answers a mutation as if it took effect, which it does not.
	Forgotten bool
	// Status, Header and Body are the answer. Status is 200 if only Body is set.
	Status int
	Header http.Header
	Body   string
	// Message is a GraphQL error with HTTP status 200 and the field null; over
	// REST it is a problem with status 400.
	Message string
	// Null is HTTP status 200 with the field null and no error; over REST it is
	// status 404.
	Null bool
	// Truncate sends half of the true answer and breaks the connection.
	Truncate bool
	// Pad appends that many blanks to the true answer.
	Pad int
	// Then is called after the effect, or where it would have been, and before
	// the answer, to cancel a context or change the account at that very
	// moment. It may call the server.
	Then func()
}

// Dropped is a broken connection, after the call took effect or before.
func Dropped(applied bool) Fault { return Fault{Drop: true, Applied: applied} }

// HTTPStatus is an answer with this status and an HTML page, as a proxy in
// front of the service gives it, in place of the call's effect.
func HTTPStatus(status int) Fault {
	return Fault{
		Status: status,
		Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		Body:   "<html><head><title>" + strconv.Itoa(status) + " " + http.StatusText(status) + "</title></head><body></body></html>\n",
	}
}

// TextPage is an answer with this status and a line of text, as a proxy or a
// router in front of the service gives it, in place of the call's effect.
func TextPage(status int) Fault {
	return Fault{
		Status: status,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		Body:   strconv.Itoa(status) + " " + strings.ToLower(http.StatusText(status)) + "\n",
	}
}

// RateLimited is status 429 with Retry-After in whole seconds.
func RateLimited(after time.Duration) Fault {
	f := HTTPStatus(http.StatusTooManyRequests)
	f.Header.Set("Retry-After", strconv.Itoa(int(after/time.Second)))
	return f
}

// Refused is a GraphQL error with status 200, as business errors are, or a
// REST problem with status 400.
func Refused(message string) Fault { return Fault{Message: message} }

// replaces reports whether the fault stands in for the effect, unless Applied.
func (f Fault) replaces() bool {
	return f.Drop || f.LandsAfter > 0 || f.Status != 0 || f.Body != "" || f.Message != "" || f.Null
}

// Op tells reads from writes.
type Op int

const (
	// AnyOp is either.
	AnyOp Op = iota
	// Query is a read.
	Query
	// Mutation is a write; on the job plane that is run, runsync, cancel and purge-queue.
	Mutation
)

// Call describes which calls a fault is for. Zero fields match every call.
type Call struct {
	Plane Plane
	Op    Op
	Field string // one of [Request.Fields]
	Nth   int    // the first call to fail, of those that match from now on; 1 if zero
	Times int    // how many fail in a row; 1 if zero, all if negative
}

// met is a call as it arrived.
type met struct {
	plane  Plane
	op     Op
	fields []string
}

// Fail makes calls fail from now on. If several faults are for one call, the
// one that was asked for first happens, and the others count it.
func (s *Server) Fail(c Call, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.Add(c.matches, c.Nth, c.Times, f)
}

// OnMutation calls f before every mutation of the management plane takes
// effect, with the number of it, from 1, and its field, and lets the fault
// happen that f returns. Faults from [Server.Fail] go first. f may call the
// server; nil switches it off.
func (s *Server) OnMutation(f func(n int, field string) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

// faultFor finds the fault for a call, which goes by any of the fields.
func (s *Server) faultFor(p Plane, op Op, fields ...string) Fault {
	s.mu.Lock()
	f, found := s.rules.Find(met{p, op, fields})
	var hook func(int, string) Fault
	if op == Mutation && p == Management {
		s.writes++
		hook = s.hook
	}
	n := s.writes
	s.mu.Unlock()

	if hook == nil {
		return f
	}
	if asked := hook(n, fields[0]); !found {
		f = asked
	}
	return f
}

func (c Call) matches(m met) bool {
	if c.Plane != "" && c.Plane != m.plane || c.Op != AnyOp && c.Op != m.op {
		return false
	}
	return c.Field == "" || slices.Contains(m.fields, c.Field)
}
