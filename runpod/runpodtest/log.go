package runpodtest

import (
	"maps"
	"slices"
	"time"
)

// Plane is one of the two services behind an account.
type Plane string

// The planes.
const (
	Management Plane = "management" // https://api.runpod.io/graphql and https://api.runpod.io/v2
	JobPlane   Plane = "jobs"       // https://api.runpod.ai/v2
)

// Request is one request that the server has had, whatever came of it.
type Request struct {
	At     time.Time
	Plane  Plane
	Method string
	Path   string
	// Query and Variables are the GraphQL document and its variables.
	Query     string
	Variables map[string]any
	// Fields are the root fields that were called, such as
	// "updateEndpointWorkersMax"; for myself also those selected of it, such
	// as "endpoint". Over REST it is the operation's id in RunPod's
	// specification, such as "updateEndpoint", "listEndpointWorkers"; for a
	// PATCH also the fields of its body, in order. On the job plane it is the
	// action: "health", "run", "runsync", "status", "cancel", "purge-queue". Empty if the
	// request got no further than being parsed and validated.
	Fields []string
	// Args are the arguments of the mutation as they arrived, variables
	// filled in: {"input": {"endpointId": "…", "workerCount": 0}}. Over REST
	// they are the fields of the body.
	Args map[string]any
	// Mutation: it was to change something.
	Mutation bool
	// Applied: it did, or was without effect because all was so already. A
	// write that lands late becomes applied when it lands.
	Applied bool
	// Status is the HTTP status answered; 0 while there is none, or if the
	// connection broke.
	Status int
	// KeyInURL: the API key was a query parameter, which was refused.
	KeyInURL bool
}

// Requests returns all requests so far, in the order in which they arrived.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	out := make([]Request, len(s.log))
	for i, r := range s.log {
		out[i] = *r
		out[i].Variables, out[i].Args = maps.Clone(r.Variables), maps.Clone(r.Args)
		out[i].Fields = slices.Clone(r.Fields)
	}
	return out
}

// Mutations returns the requests that were to change something and were
// understood, applied or not, in the order in which they arrived.
func (s *Server) Mutations() []Request {
	return slices.DeleteFunc(s.Requests(), func(r Request) bool { return !r.Mutation })
}
