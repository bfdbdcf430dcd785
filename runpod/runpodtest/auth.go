package runpodtest

import (
	"net/http"
	"strings"
)

// Key is the API key that a server knows if [WithKey] gives it no other.
const Key = "rpa_EXAMPLE0000000000000000000000000000000000"

// Scope is what a key may do.
type Scope int

const (
	// FullAccess is every call of both planes.
	FullAccess Scope = iota
	// JobsOnly is the job plane. The management plane answers 403.
	JobsOnly
	// ReadOnly is every read. GraphQL mutations are refused by an error, REST
	// writes and jobs by 403.
	ReadOnly
	// GraphQLOnly is FullAccess without the REST API, which answers 403.
	GraphQLOnly
	// RESTOnly is FullAccess without GraphQL, which answers 403.
	RESTOnly
)

// authorize answers itself, and returns false, if the request may not go on. A
// key in the URL ends up in other people's logs: the real service takes it,
// this one refuses it.
func (s *Server) authorize(c *call, w http.ResponseWriter, r *http.Request) bool {
	deny := func(status int, text string) bool {
		if c.rest {
			c.problem(w, status, map[string]string{"Unauthorized": "missing bearer token", "Forbidden": "access denied"}[text])
			return false
		}
		c.answer(w, status, "text/plain; charset=utf-8", []byte(text+"\n"))
		return false
	}
	if r.URL.Query().Has("api_key") {
		s.note(c, func(r *Request) { r.KeyInURL = true })
		return deny(http.StatusBadRequest, "runpodtest: the API key belongs into the Authorization header")
	}
	key := r.Header.Get("Authorization")
	bearer, isBearer := strings.CutPrefix(key, "Bearer ")
	if isBearer {
		key = bearer
	}
	scope, known := s.keys[key]
	switch {
	case !known || !isBearer && c.plane == Management:
		return deny(http.StatusUnauthorized, "Unauthorized")
	case scope == JobsOnly && c.plane == Management, scope == GraphQLOnly && c.rest, scope == RESTOnly && !c.rest && c.plane == Management:
		return deny(http.StatusForbidden, "Forbidden")
	case scope == ReadOnly && c.rest && r.Method != http.MethodGet:
		return deny(http.StatusForbidden, "Forbidden")
	case scope == ReadOnly && c.plane == JobPlane && r.Method != http.MethodGet:
		return deny(http.StatusForbidden, "Forbidden")
	}
	c.readOnly = scope == ReadOnly
	return true
}
