package runpod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/changeover-dev/changeover/endpoint"
)

// APIError is a refusal or a failure in RunPod's words. It is the one of
// package endpoint's conditions that fits: ErrUnauthorized (401, 403),
// ErrNotFound (404), ErrThrottled (429), ErrBusy (409), ErrQuota (a sentence
// about the worker quota), ErrUnavailable (5xx, an answer that cannot be read,
// an answer without data), and ErrInvalid for every other definite refusal.
type APIError struct {
	// StatusCode is the HTTP status. GraphQL refuses with 200.
	StatusCode int
	// Code is RunPod's own code, such as "RUNPOD" or "ENDPOINT_PAUSED"; empty
	// if it gave none.
	Code string
	// Message is RunPod's explanation, or this package's if RunPod gave none.
	// It is at most 1 KiB and never a page of HTML.
	Message string
	// RetryAfterDelay is how long RunPod asked to be left alone; 0 if it did not.
	RetryAfterDelay time.Duration

	// vague marks an answer that does not tell what happened.
	vague bool
	// decided is what was read from the words before any were hidden; nil if
	// none were.
	decided *decision
}

// decision is what the words of a refusal mean.
type decision struct {
	condition error
	most      int // that would be accepted, if limited
	limited   bool
	noPorts   bool // it is about portsConfig
}

func (e *APIError) decision() decision {
	if e.decided != nil {
		return *e.decided
	}
	d := decision{condition: e.condition(), noPorts: strings.Contains(e.Message, "portsConfig")}
	d.most, d.limited = e.atMost()
	return d
}

func (e *APIError) Error() string {
	var b strings.Builder
	if e.StatusCode != 0 && e.StatusCode != http.StatusOK {
		b.WriteString(strings.TrimSpace(strconv.Itoa(e.StatusCode) + " " + http.StatusText(e.StatusCode)))
	}
	if e.Message != "" {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.Message)
	}
	if b.Len() == 0 {
		b.WriteString("refused without a word")
	}
	if e.Code != "" {
		b.WriteString(" (" + e.Code + ")")
	}
	return b.String()
}

// Is reports whether target is the condition that e stands for.
func (e *APIError) Is(target error) bool {
	return target != nil && target == e.decision().condition
}

// RetryAfter is RetryAfterDelay, for [endpoint.RetryAfter].
func (e *APIError) RetryAfter() time.Duration { return e.RetryAfterDelay }

// AtMost is the highest value that a quota refusal says it would accept, and
// false if e says nothing like it.
func (e *APIError) AtMost() (int, bool) {
	d := e.decision()
	return d.most, d.limited
}

func (e *APIError) atMost() (int, bool) {
	const words = "at most "
	text := strings.ToLower(e.Message)
	for i := 0; ; i += len(words) {
		next := strings.Index(text[i:], words)
		if next < 0 {
			return 0, false
		}
		i += next
		rest := text[i+len(words):]
		number := rest[:len(rest)-len(strings.TrimLeft(rest, digits))]
		if number == "" || i > 0 && made(text[i-1:i], lower+digits+"_") { // in the middle of a word
			continue
		}
		n, err := strconv.Atoi(number)
		return n, err == nil
	}
}

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
func (e *APIError) says(words []string) bool {
	text := strings.ToLower(e.Message)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// ofQuota reports whether RunPod speaks of a quota and its number. It has worded
// that in several ways: "exceed your workers quota (5)", "worker concurrency
// cannot go beyond the maximum limit of (20)".
func (e *APIError) ofQuota() bool {
	text := strings.ToLower(e.Message)
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
func (e *APIError) condition() error {
	switch {
	case e.vague:
		return endpoint.ErrUnavailable
	case e.ofQuota() && e.StatusCode != http.StatusTooManyRequests && !e.malformed():
		return endpoint.ErrQuota
	case e.StatusCode == http.StatusUnauthorized, e.StatusCode == http.StatusForbidden:
		return endpoint.ErrUnauthorized
	case e.StatusCode == http.StatusNotFound:
		return endpoint.ErrNotFound
	case e.StatusCode == http.StatusConflict:
		return endpoint.ErrBusy
	case e.StatusCode == http.StatusTooManyRequests:
		return endpoint.ErrThrottled
	case e.StatusCode == http.StatusRequestTimeout, e.StatusCode == http.StatusTooEarly, e.StatusCode >= 500:
		return endpoint.ErrUnavailable
	case e.StatusCode >= 300 && e.StatusCode < 400:
		// Whoever redirects may have carried the request out: neither refused
		// nor worth repeating.
		return nil
	}
	return e.spoken()
}

// spoken is what the words mean if the status means nothing.
func (e *APIError) spoken() error {
	code := strings.ToUpper(e.Code)
	switch {
	case e.malformed():
		return endpoint.ErrInvalid
	case e.says(busyWords):
		return endpoint.ErrThrottled
	case code == "INTERNAL_SERVER_ERROR", e.says(faultWords):
		return endpoint.ErrUnavailable
	case code == "UNAUTHENTICATED", code == "FORBIDDEN", e.says(authWords):
		return endpoint.ErrUnauthorized
	case e.says(absentWords):
		return endpoint.ErrNotFound
	}
	return endpoint.ErrInvalid
}

// malformed is true if the server did not even start to carry out the request.
func (e *APIError) malformed() bool {
	return e.Code == "GRAPHQL_VALIDATION_FAILED" || e.Code == "GRAPHQL_PARSE_FAILED" || e.Code == "BAD_USER_INPUT"
}

// unclear is an answer that came, and does not tell what happened.
func unclear(format string, args ...any) error {
	return &APIError{StatusCode: http.StatusOK, Message: clip(fmt.Sprintf(format, args...)), vague: true}
}

// asType is errors.AsType, which comes with Go 1.26. The reflection that
// errors.As is made of adds 30 kB to a program.
func asType[E error](err error) (e E, ok bool) {
	for err != nil {
		if e, ok = err.(E); ok { //nolint:errorlint // this is what looks at the wrapped ones
			return e, true
		}
		switch w := err.(type) { //nolint:errorlint // as above
		case interface{ Unwrap() error }:
			err = w.Unwrap()
		case interface{ Unwrap() []error }:
			for _, err := range w.Unwrap() {
				if e, ok = asType[E](err); ok {
					return e, true
				}
			}
			return e, false
		default:
			return e, false
		}
	}
	return e, false
}

// sendError makes what an HTTP client returned an error that says one thing:
// the context's if that is done, what RunPod answered if it did, and
// ErrUnavailable for everything in between, which includes the HTTP client's
// own timeout although that claims to be a context's.
func sendError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctxErr := contextError(ctx); ctxErr != nil {
		return ctxErr
	}
	if api, ok := asType[*APIError](err); ok {
		return api
	}
	u, ok := asType[*url.Error](err)
	if !ok {
		// Nothing was wrong with sending: the answer could not be taken in. The
		// decoder's error repeats parts of it, which may be anything.
		return unclear("answer in another shape than was asked for")
	}
	err = u.Err // the URL says nothing that the endpoint's name does not
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %s", endpoint.ErrUnavailable, clip(err.Error()))
	}
	return fmt.Errorf("%w: %w", endpoint.ErrUnavailable, err)
}

// contextError is nil while ctx is not done, and else an error that is both
// ctx.Err and its cause.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// clip makes foreign text one printable line of at most 1 KiB.
func clip(s string) string {
	const limit = 1 << 10
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)), " ")
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
