package sagemakertest

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"strconv"

	"github.com/changeover-dev/changeover/internal/inproc"
)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, enc, err := route(r)
	if err != nil {
		enc.answer(w, nil, asAPIError(err))
		return
	}
	t, err := enc.read(r)
	if err != nil {
		enc.answer(w, nil, asAPIError(err))
		return
	}
	c := s.begin(op, t)
	f := s.faultFor(op)
	if f.Delay > 0 && !f.Applied {
		if inproc.Sleep(r.Context(), f.Delay) != nil {
			panic(http.ErrAbortHandler)
		}
	}
	out, err := c.run(f)
	f.finish(r.Context())
	c.answer(w, enc, f, out, err)
}

// call is one request being served.
type call struct {
	srv   *Server
	op    operation
	tree  any
	entry *Request // in the log; written under the server's lock
}

// begin logs the request.
func (s *Server) begin(op operation, t any) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	e := &Request{At: s.account.now, Service: op.service, Operation: op.name, Mutation: op.write}
	in := reflect.New(op.input)
	if fromTree(t, in.Elem()) == nil {
		e.Input = in.Interface()
	}
	s.log = append(s.log, e)
	return &call{srv: s, op: op, tree: t, entry: e}
}

// run carries the call out, unless the fault stands in for it.
func (c *call) run(f Fault) (any, error) {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	apply := func() (any, error) {
		out, err := s.perform(c.op, c.tree)
		c.entry.finish(err)
		return out, err
	}
	switch {
	case f.LandsAfter > 0 && c.op.write && !f.Applied:
		s.account.schedule(s.account.now.Add(f.LandsAfter), func() { _, _ = apply() })
		return nil, nil //nolint:nilnil // there is no answer
	case f.replaces() && !f.Applied:
		c.entry.Code, c.entry.Message = f.Code, f.Message
		return nil, nil //nolint:nilnil // the fault is the answer
	case c.op.write:
		return apply()
	default:
		out, err := s.read(c.op, c.tree)
		c.entry.finish(err)
		return out, err
	}
}

// finish is the second half of a fault, after the effect.
func (f Fault) finish(ctx context.Context) {
	if f.Then != nil {
		f.Then()
	}
	if f.Delay > 0 && f.Applied && inproc.Sleep(ctx, f.Delay) != nil {
		panic(http.ErrAbortHandler)
	}
}

// answer sends the answer, or what the fault makes of it.
func (c *call) answer(w http.ResponseWriter, enc encoding, f Fault, out any, err error) {
	if f.Drop || f.LandsAfter > 0 {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), f.Header)
	var failed *apiError
	switch {
	case f.Code != "":
		failed = &apiError{orDefault(f.Status, statusOf(f.Code)), f.Code, f.Message}
	case f.Status != 0:
		c.status(f.Status)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(f.Status)
		page := strconv.Itoa(f.Status) + " " + http.StatusText(f.Status)
		_, _ = w.Write([]byte("<html><head><title>" + page + "</title></head><body></body></html>\n"))
		return
	case err != nil:
		failed = asAPIError(err)
	}
	if failed != nil {
		c.status(failed.status)
	} else {
		c.status(http.StatusOK)
	}
	enc.answer(w, out, failed)
}

func (c *call) status(n int) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.entry.Status = n
}

// answer writes an output or an error.
func (e encoding) answer(w http.ResponseWriter, out any, failed *apiError) {
	e.header(w.Header(), failed)
	if failed != nil {
		w.WriteHeader(failed.status)
		_, _ = w.Write(e.encode(failed.body()))
		return
	}
	_, _ = w.Write(e.encode(toTree(reflect.ValueOf(out))))
}
