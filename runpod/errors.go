package runpod

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// APIError is a refusal or a failure in RunPod's words, with its status, code and
// message. It is the one of package endpoint's conditions that fits:
// ErrUnauthorized (401, 403), ErrNotFound (404), ErrThrottled (429), ErrBusy
// (409), ErrQuota (a sentence about the worker quota), ErrUnavailable (5xx, an
// answer that cannot be read, an answer without data, and a refusal that is not
// RunPod's own, such as a gateway's page), and ErrInvalid for every other definite
// refusal. That GraphQL is gone (410), and an answer to a read in a shape that is
// not known, is [errors.ErrUnsupported]. GraphQL refuses with status 200. Get one
// by [errors.As].
type APIError struct {
	*httpx.ResponseError

	most    int // that would be accepted, if limited
	limited bool
	noPorts bool // it is about portsConfig
}

// AtMost is the highest value that a quota refusal says it would accept, and
// false if e says nothing like it.
func (e *APIError) AtMost() (int, bool) { return e.most, e.limited }

// classify reads what a refusal means from its words. They are RunPod's own and
// not yet redacted: an ordinary word of them may be an environment's value too.
func classify(e *httpx.ResponseError) error {
	a := &APIError{ResponseError: e, noPorts: strings.Contains(e.Message, "portsConfig")}
	a.most, a.limited = atMost(e.Message)
	e.Condition = condition(e)
	return a
}

func atMost(message string) (int, bool) {
	const words = "at most "
	text := strings.ToLower(message)
	for i := 0; ; i += len(words) {
		next := strings.Index(text[i:], words)
		if next < 0 {
			return 0, false
		}
		i += next
		rest := text[i+len(words):]
		number := rest[:len(rest)-len(strings.TrimLeft(rest, digits))]
		if number == "" || i > 0 && strings.ContainsAny(text[i-1:i], lower+digits+"_") { // in the middle of a word
			continue
		}
		n, err := strconv.Atoi(number)
		return n, err == nil
	}
}

const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
)

var (
	authWords   = []string{"unauthorised", "unauthorized", "unauthenticated", "forbidden", "permission denied", "invalid api key"}
	absentWords = []string{"not found", "does not exist", "doesn't exist", "could not find"}
	busyWords   = []string{"too many requests", "rate limit"}
	// The texts that RunPod's own tools take for passing trouble, and those
	// that a gateway in front of it uses.
	faultWords = []string{
		"try again", "internal error", "internal server error", "service unavailable", "temporarily unavailable",
		"something went wrong", "timed out", "bad gateway", "connection reset", "connection refused",
	}
)

// says reports whether RunPod's words have one of these in them.
func says(message string, words []string) bool {
	text := strings.ToLower(message)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// ofQuota reports whether RunPod speaks of a quota and its number. It has worded
// that in several ways: "exceed your workers quota (5)", "worker concurrency
// cannot go beyond the maximum limit of (20)".
func ofQuota(message string) bool {
	text := strings.ToLower(message)
	for _, word := range []string{"quota", "concurrency"} {
		if _, after, ok := strings.Cut(text, word); ok && strings.ContainsAny(after, digits) {
			return true
		}
	}
	return false
}

// condition decides by the status where there is one that means something, and
// by RunPod's words in an answer of 200. A doubt is ErrUnavailable, which
// leaves open whether a write was applied.
func condition(e *httpx.ResponseError) error {
	open := errors.Is(e.Condition, endpoint.ErrUnavailable)
	switch {
	case open && e.StatusCode < 500, errors.Is(e.Condition, errors.ErrUnsupported):
		return e.Condition // an answer that cannot be read, or is not RunPod's
	case ofQuota(e.Message) && e.StatusCode != http.StatusTooManyRequests && !malformed(e.Code):
		return endpoint.ErrQuota
	case e.StatusCode == http.StatusOK, e.StatusCode == http.StatusBadRequest:
		return spoken(e.Code, e.Message)
	case errors.Is(e.Condition, endpoint.ErrInvalid):
		return spoken(e.Code, e.Message)
	}
	return e.Condition
}

// spoken is what the words mean if the status means nothing.
func spoken(code, message string) error {
	upper := strings.ToUpper(code)
	switch {
	case malformed(code):
		return endpoint.ErrInvalid
	case says(message, busyWords):
		return endpoint.ErrThrottled
	case upper == "INTERNAL_SERVER_ERROR", says(message, faultWords):
		return endpoint.ErrUnavailable
	case upper == "UNAUTHENTICATED", upper == "FORBIDDEN", says(message, authWords):
		return endpoint.ErrUnauthorized
	case says(message, absentWords):
		return endpoint.ErrNotFound
	}
	return endpoint.ErrInvalid
}

// malformed is true if the server did not even start to carry out the request.
func malformed(code string) bool {
	return code == "GRAPHQL_VALIDATION_FAILED" || code == "GRAPHQL_PARSE_FAILED" || code == "BAD_USER_INPUT"
}

// unclear is an answer that came, and does not tell what happened.
func unclear(format string, args ...any) error {
	return &APIError{ResponseError: httpx.Unclear(format, args...)}
}
