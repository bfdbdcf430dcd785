package runpodtest

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// problem answers a refusal as RFC 9457 has it.
func (c *call) problem(w http.ResponseWriter, status int, detail string, violations ...string) {
	body := map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}
	if len(violations) > 0 {
		body["errors"] = violations
	}
	c.answer(w, status, "application/problem+json", encode(body))
}

// errMissing is what REST answers 404 to, and invalid is what it answers 422 to.
var errMissing = errors.New("resource not found")

type invalid []string

func (v invalid) Error() string { return strings.Join(v, "; ") }

// operation is one of the API's operations, found by method and path.
type operation struct {
	id    string
	serve func(ctx context.Context, c *call, id string, body []byte) (any, error)
	// list is the key of the answer's list, which is cut into pages; "" if there is none.
	list string
}

// operations of a path; a segment of the pattern that is "*" is the id.
var operations = []struct {
	pattern string
	methods map[string]operation
}{
	{"serverless", map[string]operation{http.MethodGet: {"listEndpoints", listEndpoints, "endpoints"}}},
	{"serverless/*", map[string]operation{
		http.MethodGet:   {"getEndpoint", getEndpoint, ""},
		http.MethodPatch: {"updateEndpoint", updateEndpoint, ""},
	}},
	{"serverless/*/workers", map[string]operation{http.MethodGet: {"listEndpointWorkers", listWorkers, "workers"}}},
	{"serverless/*/releases", map[string]operation{http.MethodGet: {"listEndpointReleases", listReleases, "releases"}}},
	{"templates", map[string]operation{http.MethodGet: {"listTemplates", listTemplates, "templates"}}},
	{"templates/*", map[string]operation{
		http.MethodGet:    {"getTemplate", getTemplate, ""},
		http.MethodPatch:  {"updateTemplate", updateTemplate, ""},
		http.MethodDelete: {"deleteTemplate", removeTemplate, ""},
	}},
}

func (s *Server) serveREST(c *call, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	admitted := s.usage.admit(s.state.Behaviour.Limits, s.state.now, w.Header())
	s.mu.Unlock()
	if !admitted {
		c.problem(w, http.StatusTooManyRequests, "rate limit exceeded")
		return
	}
	if id, worker, ok := logPath(r.URL.Path); ok && r.Method == http.MethodGet {
		s.serveLogs(c, w, r, id, worker)
		return
	}
	methods, id, ok := match(strings.TrimPrefix(r.URL.Path, "/v2/"))
	if !ok {
		c.problem(w, http.StatusNotFound, "resource not found")
		return
	}
	op, ok := methods[r.Method]
	if !ok {
		w.Header().Set("Allow", strings.Join(sortedKeys(methods), ", "))
		c.problem(w, http.StatusMethodNotAllowed, "The requested method is not allowed for this path.")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		c.problem(w, http.StatusBadRequest, "request could not be processed")
		return
	}
	s.note(c, func(e *Request) { e.Mutation = r.Method != http.MethodGet })
	out, err := op.serve(context.WithValue(r.Context(), operationKey{}, op.id), c, id, body)
	var refused refusal
	var wrong invalid
	switch {
	case r.Context().Err() != nil: // the answer has no reader
	case errors.As(err, &wrong):
		c.problem(w, http.StatusUnprocessableEntity, "Request validation failed.", wrong...)
	case errors.As(err, &refused):
		c.problem(w, http.StatusBadRequest, string(refused))
	case errors.Is(err, errMissing), errors.Is(err, errNull):
		c.problem(w, http.StatusNotFound, "resource not found")
	case r.Method == http.MethodDelete && err == nil:
		c.answer(w, http.StatusNoContent, "application/json", nil)
	default:
		if whole, ok := out.(map[string]any); ok && op.list != "" {
			list, _ := whole[op.list].([]any)
			s.inspect(func(st *State) { maps.Copy(whole, page(st.Behaviour, r.URL.Query(), op.list, list)) })
		}
		c.answer(w, http.StatusOK, "application/json", encode(out))
	}
}

type operationKey struct{}

// operationOf names the operation that is being served.
func operationOf(ctx context.Context) string { return ctx.Value(operationKey{}).(string) }

func match(path string) (methods map[string]operation, id string, ok bool) {
	parts := strings.Split(path, "/")
	for _, o := range operations {
		pattern := strings.Split(o.pattern, "/")
		if len(pattern) != len(parts) {
			continue
		}
		id, fits := "", true
		for i, p := range pattern {
			if p == "*" {
				id = parts[i]
			} else if p != parts[i] {
				fits = false
			}
		}
		if fits {
			return o.methods, id, true
		}
	}
	return nil, "", false
}

// readOne answers a read about one endpoint.
func readOne(ctx context.Context, c *call, id string, show func(st *State, e *endpoint, now time.Time) any) (out any, err error) {
	err = c.query(ctx, func(st *State, now time.Time) {
		if e := st.endpoint(id); e != nil {
			out = show(st, e, now)
		}
	}, operationOf(ctx))
	if err == nil && out == nil {
		err = errMissing
	}
	return out, err
}

func getEndpoint(ctx context.Context, c *call, id string, _ []byte) (any, error) {
	return readOne(ctx, c, id, func(st *State, e *endpoint, _ time.Time) any { return restEndpoint(st, e) })
}

func listEndpoints(ctx context.Context, c *call, _ string, _ []byte) (any, error) {
	list := []any{}
	err := c.query(ctx, func(st *State, _ time.Time) {
		for _, e := range st.endpoints {
			list = append(list, restEndpoint(st, e))
		}
	}, operationOf(ctx))
	return map[string]any{"endpoints": list}, err
}

func listWorkers(ctx context.Context, c *call, id string, _ []byte) (any, error) {
	return readOne(ctx, c, id, func(_ *State, e *endpoint, now time.Time) any {
		if lag := c.srv.state.Behaviour.WorkersLag; lag > 0 {
			if old := c.srv.history.before(c.srv.state, lag).endpoint(id); old != nil {
				e, now = old, now.Add(-lag)
			}
		}
		return workersOf(e, now, c.srv.state.Behaviour)
	})
}

func listReleases(ctx context.Context, c *call, id string, _ []byte) (any, error) {
	return readOne(ctx, c, id, func(_ *State, e *endpoint, _ time.Time) any {
		return releasesOf(e, c.srv.state.Behaviour.HideReleaseValues)
	})
}

func listTemplates(ctx context.Context, c *call, _ string, _ []byte) (any, error) {
	list := []any{}
	err := c.query(ctx, func(st *State, _ time.Time) {
		for _, t := range st.templates {
			if !t.Foreign && t.boundTo == "" {
				list = append(list, restTemplate(t.Template))
			}
		}
	}, operationOf(ctx))
	return map[string]any{"templates": list}, err
}

func getTemplate(ctx context.Context, c *call, id string, _ []byte) (out any, err error) {
	err = c.query(ctx, func(st *State, _ time.Time) {
		if t := st.template(id); t != nil && (!t.Foreign || t.Public) {
			out = restTemplate(t.Template)
		}
	}, operationOf(ctx))
	if err == nil && out == nil {
		err = errMissing
	}
	return out, err
}

func updateEndpoint(ctx context.Context, c *call, id string, body []byte) (out any, err error) {
	p, err := decodePatch(body)
	if err != nil {
		return nil, err
	}
	c.srv.note(c, func(r *Request) { r.Args = p.raw })
	err = c.mutate(ctx, func(st *State) error {
		e, err := st.patchEndpoint(id, p)
		if err == nil {
			out = restEndpoint(st, e)
		}
		return err
	}, append([]string{operationOf(ctx)}, p.fields()...)...)
	return out, err
}

func updateTemplate(ctx context.Context, c *call, id string, body []byte) (out any, err error) {
	p, err := decodeTemplatePatch(body)
	if err != nil {
		return nil, err
	}
	c.srv.note(c, func(r *Request) { r.Args = p.raw })
	err = c.mutate(ctx, func(st *State) error {
		t, err := st.patchTemplate(id, p)
		if err == nil {
			out = restTemplate(t.Template)
		}
		return err
	}, append([]string{operationOf(ctx)}, p.fields()...)...)
	return out, err
}

func removeTemplate(ctx context.Context, c *call, id string, _ []byte) (any, error) {
	return nil, c.mutate(ctx, func(st *State) error {
		t := st.template(id)
		if t == nil || t.Foreign {
			return errMissing
		}
		return st.deleteTemplate(t.Name)
	}, operationOf(ctx))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
