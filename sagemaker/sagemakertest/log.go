package sagemakertest

import (
	"slices"
	"time"
)

// Request is one call that reached the server or was made by [Server.Do],
// whatever came of it.
type Request struct {
	At        time.Time
	Service   Service
	Operation string // such as "UpdateEndpoint"
	// Input is the SDK's input of the operation as it arrived; nil if it could
	// not be understood. It is not to be changed.
	Input any
	// Mutation: it was to change something.
	Mutation bool
	// Foreign: it was made by another program, through [Server.Do] or the like.
	Foreign bool
	// Applied: it was carried out. A write that lands late becomes applied
	// when it lands.
	Applied bool
	// Code is the error that the service gave to the call, such as
	// "ValidationException", whether or not the caller heard of it.
	Code    string
	Message string
	// Status is the HTTP status answered; 0 while there is none, or if the
	// connection broke.
	Status int
}

// Action is the name of the operation in IAM, such as "sagemaker:UpdateEndpoint".
func (r *Request) Action() string { return string(r.Service) + ":" + r.Operation }

// finish notes what came of the call.
func (r *Request) finish(err error) {
	r.Applied = err == nil
	if err != nil {
		e := asAPIError(err)
		r.Code, r.Message = e.code, e.message
	}
}

// Requests returns all calls so far, in the order in which they arrived.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	out := make([]Request, len(s.log))
	for i, r := range s.log {
		out[i] = *r
	}
	return out
}

// Mutations returns the calls that were to change something, applied or not,
// in the order in which they arrived. Those of others are not among them.
func (s *Server) Mutations() []Request {
	return slices.DeleteFunc(s.Requests(), func(r Request) bool { return !r.Mutation || r.Foreign })
}
