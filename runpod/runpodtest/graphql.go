package runpodtest

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed" // for the schema
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/graph-gophers/graphql-go"
	gqlerrors "github.com/graph-gophers/graphql-go/errors"
	"github.com/graph-gophers/graphql-go/introspection"
)

//go:embed schema.graphql
var schemaText string

// Parsing the schema takes longer than everything that a server does in most
// tests, so it is done once; the resolvers find their server in the context.
var (
	fullSchema = sync.OnceValue(func() *graphql.Schema { return parseSchema(inputNames(schemaText)) })
	bareSchema = sync.OnceValue(func() *graphql.Schema {
		return parseSchema(inputNames(strings.Replace(schemaText, "  maxServerlessConcurrency: Int\n", "", 1)))
	})
)

func inputNames(text string) string {
	return strings.NewReplacer("WORKERS_MIN_INPUT", "Input"+rand.Text()[:8], "WORKERS_MAX_INPUT", "Input"+rand.Text()[:8]).Replace(text)
}

func parseSchema(text string) *graphql.Schema {
	return graphql.MustParseSchema(text, &rootResolver{}, graphql.UseFieldResolvers(),
		graphql.Tracer(observer{}), graphql.PanicHandler(rethrow{}), graphql.Logger(rethrow{}))
}

// rethrow lets a panic through, such as a test's own in a hook, instead of
// making a GraphQL error of it.
type rethrow struct{}

func (rethrow) LogPanic(context.Context, any) {}

func (rethrow) MakePanicError(_ context.Context, v any) *gqlerrors.QueryError { panic(v) }

type callKey struct{}

// callOf returns the call that a resolver works for.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// observer sees every field on its way to its resolver: that is how the
// arguments get into the log, and how introspection is noticed.
type observer struct{}

func (observer) TraceQuery(ctx context.Context, _, _ string, _ map[string]any, _ map[string]*introspection.Type) (context.Context, func([]*gqlerrors.QueryError)) {
	return ctx, func([]*gqlerrors.QueryError) {}
}

func (observer) TraceField(ctx context.Context, _, typeName, fieldName string, _ bool, args map[string]any) (context.Context, func(*gqlerrors.QueryError)) {
	c := callOf(ctx)
	switch {
	case strings.HasPrefix(fieldName, "__") && fieldName != "__typename":
		c.srv.mu.Lock()
		c.meta = true
		c.srv.mu.Unlock()
	case typeName == "Mutation":
		c.srv.note(c, func(r *Request) { r.Args = args })
	}
	return ctx, func(*gqlerrors.QueryError) {}
}

const maxBody = 1 << 20

func (s *Server) serveGraphQL(c *call, w http.ResponseWriter, r *http.Request) {
	bad := func(status int, code, message string) {
		c.answerJSON(w, status, map[string]any{"errors": []any{
			map[string]any{"message": message, "extensions": map[string]any{"code": code}},
		}})
	}
	if !s.graphQLAdmits(c, w) {
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		bad(http.StatusMethodNotAllowed, "BAD_REQUEST", "GraphQL only supports POST requests.")
		return
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		bad(http.StatusBadRequest, "BAD_REQUEST", "Content-Type must be application/json.")
		return
	}
	var body struct {
		Query         string         `json:"query"`
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(data, &body)
	}
	if err != nil || body.Query == "" {
		bad(http.StatusBadRequest, "BAD_REQUEST", "POST body must be a JSON object with a query.")
		return
	}
	s.note(c, func(r *Request) { r.Query, r.Variables = body.Query, body.Variables })

	schema := bareSchema()
	s.inspect(func(st *State) {
		if st.Behaviour.QuotaField {
			schema = fullSchema()
		}
	})
	res := schema.Exec(context.WithValue(r.Context(), callKey{}, c), body.Query, body.OperationName, body.Variables)
	switch {
	case r.Context().Err() != nil: // the answer has no reader
	case c.meta:
		bad(http.StatusBadRequest, "INTROSPECTION_DISABLED", "GraphQL introspection is not allowed, but the query contained __schema or __type.")
	case !c.entered && len(res.Errors) > 0:
		res.Data = nil
		for _, e := range res.Errors {
			e.Extensions = map[string]any{"code": errorCode(e)}
		}
		c.answerJSON(w, http.StatusBadRequest, res)
	default:
		c.answerJSON(w, http.StatusOK, res)
	}
}

// graphQLAdmits answers itself, and returns false, once RunPod has taken GraphQL
// away, or while the limit of the present stage is used up.
func (s *Server) graphQLAdmits(c *call, w http.ResponseWriter) bool {
	s.mu.Lock()
	retired := s.state.Behaviour.GraphQLRetired
	admitted := s.graphQLUsage.admit(s.state.Behaviour.GraphQLLimits, s.state.now, w.Header())
	s.mu.Unlock()
	switch {
	case retired:
		c.answerJSON(w, http.StatusGone, map[string]any{"error": "The GraphQL API has been retired. Use the REST API.", "status": http.StatusGone})
	case !admitted:
		c.answerJSON(w, http.StatusTooManyRequests, map[string]any{"error": "Too Many Requests", "status": http.StatusTooManyRequests})
	}
	return !retired && admitted
}

// errorCode is what Apollo servers call an error from before execution.
func errorCode(e *gqlerrors.QueryError) string {
	switch {
	case errors.Is(e, gqlerrors.ErrSyntax) || e.Rule == "" && len(e.Locations) > 0:
		return "GRAPHQL_PARSE_FAILED"
	case e.Rule == "" || e.Rule == "VariablesOfCorrectType":
		return "BAD_USER_INPUT"
	}
	return "GRAPHQL_VALIDATION_FAILED"
}

func (c *call) answerJSON(w http.ResponseWriter, status int, v any) {
	c.answer(w, status, "application/json; charset=utf-8", encode(v))
}

func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // our own types
	}
	return b.Bytes()
}
