package sagemakertest

import (
	"net/http"
	"time"

	"github.com/changeover-dev/changeover/internal/faultrule"
)

// Fault is something that goes wrong with one call. The zero Fault is none.
//
// Of the ways to replace the answer (Drop, LandsAfter, Status or Code) at most
// one is to be set. Without Applied they happen instead of the call's effect,
// with it after.
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
	// Code and Message are an error as the service words it, such as
	// "ConcurrentUpdateException". Status is the one that goes with the code if
	// only that is set; without Code, it is answered with a page that no SDK
	// can read.
	Code, Message string
	Status        int
	Header        http.Header
	// Then is called after the effect, or where it would have been, and before
	// the answer, to cancel a context or change the account at that very
	// moment. It may call the server.
	Then func()
}

// Dropped is a broken connection, after the call took effect or before.
func Dropped(applied bool) Fault { return Fault{Drop: true, Applied: applied} }

// Refused is an error of the service, such as "ConcurrentUpdateException" or
// "AccessDeniedException", in place of the call's effect.
func Refused(code, message string) Fault { return Fault{Code: code, Message: message} }

// Throttled is how all of AWS answers calls that come too fast.
func Throttled() Fault { return Refused("ThrottlingException", "Rate exceeded") }

// HTTPStatus is an answer with this status and an HTML page, as a proxy in
// front of the service gives it, in place of the call's effect.
func HTTPStatus(status int) Fault { return Fault{Status: status} }

// replaces reports whether the fault stands in for the effect, unless Applied.
func (f Fault) replaces() bool {
	return f.Drop || f.LandsAfter > 0 || f.Status != 0 || f.Code != ""
}

// Call describes which calls a fault is for. Zero fields match every call.
type Call struct {
	// Action is the name of the operation in IAM: "sagemaker:UpdateEndpoint".
	Action  string
	Service Service
	// Mutation: calls that are to change something only.
	Mutation bool
	Nth      int // the first call to fail, of those that match from now on; 1 if zero
	Times    int // how many fail in a row; 1 if zero, all if negative
}

// Fail makes calls fail from now on. If several faults are for one call, the
// one that was asked for first happens, and the others count it.
func (s *Server) Fail(c Call, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.Add(c.matches, c.Nth, c.Times, f)
}

// Clear takes back what [Server.Fail] asked for.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = faultrule.Rules[operation, Fault]{}
}

// OnMutation calls f before every mutation of any of the services takes
// effect, with the number of it, from 1, and its action, such as
// "application-autoscaling:PutScalingPolicy", and lets the fault happen that f
// returns. Attempts of a retrying client are mutations of their own. Faults
// from [Server.Fail] go first. f may call the server; nil switches it off.
func (s *Server) OnMutation(f func(n int, action string) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

// faultFor finds the fault for a call.
func (s *Server) faultFor(op operation) Fault {
	s.mu.Lock()
	f, found := s.rules.Find(op)
	var hook func(int, string) Fault
	if op.write {
		s.writes++
		hook = s.hook
	}
	n := s.writes
	s.mu.Unlock()

	if hook == nil {
		return f
	}
	if asked := hook(n, op.action()); !found {
		f = asked
	}
	return f
}

func (c Call) matches(op operation) bool {
	return (c.Action == "" || c.Action == op.action()) && (c.Service == "" || c.Service == op.service) &&
		(!c.Mutation || op.write)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
