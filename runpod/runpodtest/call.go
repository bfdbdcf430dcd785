package runpodtest

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/changeover-dev/changeover/internal/inproc"
)

// errFaulted stands in for the result of a call whose answer is replaced.
var errFaulted = errors.New("runpodtest: fault")

// errNull is a result that is null without an error: not found.
var errNull = errors.New("runpodtest: null")

// refusal is a business error: GraphQL answers it with HTTP status 200, REST
// with 400.
type refusal string

func (r refusal) Error() string { return string(r) }

// Extensions is what the GraphQL library puts next to the message.
func (refusal) Extensions() map[string]any { return map[string]any{"code": "RUNPOD"} }

// call is one request being served.
type call struct {
	srv      *Server
	plane    Plane
	entry    *Request // in the log; written under the server's lock
	readOnly bool
	fault    Fault // what the answer is to be replaced by
	faulted  bool
	entered  bool // a root field was reached
	rest     bool // answers are those of the REST API
	meta     bool // the schema was asked for
}

// begin logs the request.
func (s *Server) begin(r *http.Request, p Plane) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	e := &Request{At: s.state.now, Plane: p, Method: r.Method, Path: r.URL.Path}
	s.log = append(s.log, e)
	return &call{srv: s, plane: p, entry: e, rest: isREST(r.URL.Path)}
}

// note adds to the log entry.
func (s *Server) note(c *call, f func(*Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(c.entry)
}

// query runs a read with whatever fault there is for it.
func (c *call) query(ctx context.Context, f func(st *State, now time.Time), fields ...string) error {
	fault, err := c.enter(ctx, Query, fields...)
	if err != nil {
		return err
	}
	if !fault.replaces() {
		c.srv.read(c.plane, f)
	}
	return c.leave(ctx, fault)
}

// mutate runs a write with whatever fault there is for it.
func (c *call) mutate(ctx context.Context, f func(*State) error, fields ...string) error {
	fault, err := c.enter(ctx, Mutation, fields...)
	if err != nil {
		return err
	}
	switch {
	case fault.Forgotten:
		c.srv.inspect(func(st *State) {
			other := st.clone()
			other.ids = st.ids
			err = f(other)
		})
	case !fault.replaces() || fault.Applied:
		err = c.apply(f)
	case fault.LandsAfter > 0:
		c.srv.At(time.Now().Add(fault.LandsAfter), func(st *State) { c.entry.Applied = f(st) == nil })
	}
	if ferr := c.leave(ctx, fault); ferr != nil {
		return ferr
	}
	return err
}

func (c *call) apply(f func(*State) error) (err error) {
	c.srv.Do(func(st *State) {
		err = f(st)
		c.entry.Applied = err == nil
	})
	return err
}

// enter logs the call and finds its fault.
func (c *call) enter(ctx context.Context, op Op, fields ...string) (Fault, error) {
	c.srv.mu.Lock()
	stop := c.faulted // by an earlier root field of the same request
	c.entered = true
	c.entry.Fields = append(c.entry.Fields, fields...)
	c.entry.Mutation = op == Mutation
	c.srv.mu.Unlock()
	if stop {
		return Fault{}, errFaulted
	}
	if op == Mutation && c.readOnly {
		return Fault{}, refusal("Unauthorized")
	}
	fault := c.srv.faultFor(c.plane, op, fields...)
	if fault.Delay > 0 && !fault.Applied {
		if err := inproc.Sleep(ctx, fault.Delay); err != nil {
			return Fault{}, err
		}
	}
	return fault, nil
}

// leave is the second half of a fault, after the effect.
func (c *call) leave(ctx context.Context, f Fault) error {
	if f.Then != nil {
		f.Then()
	}
	if f.Delay > 0 && f.Applied {
		if err := inproc.Sleep(ctx, f.Delay); err != nil {
			return err
		}
	}
	switch {
	case f.Message != "":
		return refusal(f.Message)
	case f.Null:
		return errNull
	case f.replaces() || f.Truncate || f.Pad > 0:
		c.srv.mu.Lock()
		c.fault, c.faulted = f, f.replaces()
		c.srv.mu.Unlock()
		if f.replaces() {
			return errFaulted
		}
	}
	return nil
}

// answer sends the answer, or what the call's fault makes of it.
func (c *call) answer(w http.ResponseWriter, status int, contentType string, body []byte) {
	f := c.fault
	if f.Drop || f.LandsAfter > 0 {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	if f.Status != 0 || f.Body != "" {
		status, body = orDefault(f.Status, http.StatusOK), []byte(f.Body)
		h.Del("Content-Type")
		maps.Copy(h, f.Header)
	}
	for range f.Pad {
		body = append(body, ' ')
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.srv.note(c, func(r *Request) { r.Status = status })
	w.WriteHeader(status)
	if !f.Truncate {
		_, _ = w.Write(body)
		return
	}
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush() // or a real server would send nothing at all
	panic(http.ErrAbortHandler)
}
