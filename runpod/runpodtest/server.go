package runpodtest

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/internal/faultrule"
	"github.com/changeover-dev/changeover/internal/inproc"
)

// Server is a RunPod account behind its HTTP APIs: the management plane at
// POST /graphql and below /v2/serverless and /v2/templates, and the job plane
// at /v2/{endpoint}/…, told apart by path, so that one server can stand in for
// every base URL. It is an [http.Handler] for
// use behind a socket; [Server.Client] needs none. It is safe for concurrent
// use.
//
// A server that is used in a testing/synctest bubble is to be made in it.
type Server struct {
	mu      sync.Mutex
	state   *State
	history history
	keys    map[string]Scope
	log     []*Request
	rules   faultrule.Rules[met, Fault]
	hook    func(n int, field string) Fault
	writes  int // mutations seen so far
	usage   usage

	graphQLUsage usage
}

// Option configures a server.
type Option func(*Server)

// WithKey adds an API key. [Key] is known, with every right, if no option adds one.
func WithKey(key string, scope Scope) Option {
	return func(s *Server) { s.keys[key] = scope }
}

// WithQuota bounds the sum of WorkersMax over all endpoints. The default is 10.
func WithQuota(n int) Option {
	return func(s *Server) { s.state.Quota = n }
}

// WithBehaviour sets the switches that the server starts with. The default is
// the zero [Behaviour].
func WithBehaviour(b Behaviour) Option {
	return func(s *Server) { s.state.Behaviour = b }
}

// New returns a server with an empty account.
func New(opts ...Option) *Server {
	s := &Server{
		keys:    map[string]Scope{},
		history: history{reads: map[Plane]int{}},
		state: &State{
			Quota:  10,
			now:    time.Now(),
			ids:    rand.New(rand.NewPCG(1, 2)),
			images: map[string]Image{},
		},
	}
	for _, o := range opts {
		o(s)
	}
	if len(s.keys) == 0 {
		s.keys[Key] = FullAccess
	}
	return s
}

// Client returns an HTTP client whose every request, whatever its host, is
// served by s in the caller's goroutine.
func (s *Server) Client() *http.Client { return inproc.Client(s) }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	plane, ok := route(r.URL.Path)
	c := s.begin(r, plane)
	if !ok {
		c.answer(w, http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found\n"))
		return
	}
	if !s.authorize(c, w, r) {
		return
	}
	switch {
	case c.rest:
		s.serveREST(c, w, r)
	case plane == Management:
		s.serveGraphQL(c, w, r)
	default:
		s.serveJobs(c, w, r)
	}
}

// route tells the plane of a path.
func route(path string) (Plane, bool) {
	if path == "/graphql" || isREST(path) {
		return Management, true
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	return JobPlane, ok && strings.Count(rest, "/") >= 1
}

// isREST tells the management API from the job plane, which is at /v2 of
// another host: no endpoint's id is one of these words.
func isREST(path string) bool {
	rest, ok := strings.CutPrefix(path, "/v2/")
	first, _, _ := strings.Cut(rest, "/")
	return ok && (first == "serverless" || first == "templates")
}

// Do changes the account now, as another writer would. What is changed before
// the first request counts as having been so for long: no read lags behind it.
// f must not call s.
func (s *Server) Do(f func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	f(s.state)
	s.state.settle()
	if len(s.log) == 0 {
		s.history.records = nil
	}
	s.history.add(s.state)
}

// At changes the account at a time, to the instant: a later read shows what
// followed from it. f must not call s.
func (s *Server) At(t time.Time, f func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	s.state.schedule(t, f)
}

// advance brings the account up to now; the caller holds the lock.
func (s *Server) advance() {
	s.state.advance(time.Now(), func() { s.history.add(s.state) })
}

// AddTemplate is [State.AddTemplate], now.
func (s *Server) AddTemplate(t Template) (id string) {
	s.Do(func(st *State) { id = st.AddTemplate(t) })
	return id
}

// AddEndpoint is [State.AddEndpoint], now.
func (s *Server) AddEndpoint(e Endpoint) (id string) {
	s.Do(func(st *State) { id = st.AddEndpoint(e) })
	return id
}

// AddImage is [State.AddImage], now.
func (s *Server) AddImage(i Image) { s.Do(func(st *State) { st.AddImage(i) }) }

// AddJobs is [State.AddJobs], now.
func (s *Server) AddJobs(endpointID string, durations ...time.Duration) {
	s.Do(func(st *State) { st.AddJobs(endpointID, durations...) })
}

// Endpoint returns an endpoint as it really is now, whatever reads lag. It is
// the zero Endpoint if there is none.
func (s *Server) Endpoint(id string) (e Endpoint) {
	s.inspect(func(st *State) {
		if ep := st.endpoint(id); ep != nil {
			e = ep.clone()
		}
	})
	return e
}

// Template returns a template as it really is now, the zero Template if there
// is none.
func (s *Server) Template(id string) (t Template) {
	s.inspect(func(st *State) {
		if tm := st.template(id); tm != nil {
			t = tm.clone()
		}
	})
	return t
}

// Workers returns the workers of an endpoint as they really are now, in the
// order in which they were started.
func (s *Server) Workers(endpointID string) (ws []Worker) {
	s.inspect(func(st *State) {
		if e := st.endpoint(endpointID); e != nil {
			for _, w := range e.workers {
				ws = append(ws, w.Worker)
			}
		}
	})
	return ws
}

// Jobs counts the jobs of an endpoint as they really are now.
func (s *Server) Jobs(endpointID string) (c JobCounts) {
	s.inspect(func(st *State) {
		if e := st.endpoint(endpointID); e != nil {
			c = e.jobCounts()
		}
	})
	return c
}

func (s *Server) inspect(f func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	f(s.state)
}

// read shows f the account as a plane sees it now, and the time that it sees.
func (s *Server) read(p Plane, f func(st *State, now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	f(s.history.view(s.state, p))
}
