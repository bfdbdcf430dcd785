package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/changeover-dev/changeover/endpoint"
)

// ResponseError is a refusal or a failure in the provider's words. [errors.Is] reports
// true for the one condition that it stands for.
type ResponseError struct {
	// StatusCode is the HTTP status; 0 if nothing was sent.
	StatusCode int
	// Code is the provider's own code, such as "ENDPOINT_PAUSED"; "" if it gave none.
	Code string
	// Message is the provider's explanation, or this package's if it gave none. It
	// is one line of at most 1 KiB and never a page of HTML.
	Message string
	// RetryAfterDelay is how long to leave the provider alone, by its own wish and
	// within [Client.MaxDelay]; 0 if it did not ask.
	RetryAfterDelay time.Duration
	// Condition is what it means: one of package endpoint's conditions,
	// [errors.ErrUnsupported], or nil where nothing can be said, as of a redirect.
	Condition error
}

func (e *ResponseError) Error() string {
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
func (e *ResponseError) Is(target error) bool { return target != nil && target == e.Condition }

// RetryAfter is RetryAfterDelay, for [endpoint.RetryAfter].
func (e *ResponseError) RetryAfter() time.Duration { return e.RetryAfterDelay }

// Condition is what a status means if nothing else is known: 401 and 403 are
// ErrUnauthorized, 404 and 410 ErrNotFound, 409 ErrBusy, 429 ErrThrottled, other
// 4xx ErrInvalid, and 408, 425 and 5xx ErrUnavailable. It is nil for 3xx: a
// redirect may have come after the request was carried out.
func Condition(status int) error {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return endpoint.ErrUnauthorized
	case status == http.StatusNotFound, status == http.StatusGone:
		return endpoint.ErrNotFound
	case status == http.StatusConflict:
		return endpoint.ErrBusy
	case status == http.StatusTooManyRequests:
		return endpoint.ErrThrottled
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500, status < 300:
		return endpoint.ErrUnavailable
	case status < 400:
		return nil
	}
	return endpoint.ErrInvalid
}

// Unclear is an answer that came, and does not tell what happened:
// [endpoint.ErrUnavailable] with these words.
func Unclear(format string, args ...any) *ResponseError {
	return &ResponseError{StatusCode: http.StatusOK, Message: Clip(fmt.Sprintf(format, args...)), Condition: endpoint.ErrUnavailable}
}

// foreign is said of a refusal without the provider's words.
const foreign = "the answer is not the provider's own: check the URL, and what is between it and here"

// judge returns nil for a good answer. Texts are as they came.
func (c *Client) judge(ctx context.Context, res *http.Response, body []byte) *ResponseError {
	e := &ResponseError{StatusCode: res.StatusCode, RetryAfterDelay: RetryAfter(res.Header, time.Now()), Condition: Condition(res.StatusCode)}
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		e.Message = "redirects are not followed"
		return e
	case res.StatusCode >= 400:
		var own bool
		if e.Code, e.Message, own = c.explain(res.StatusCode, res.Header, body); own {
			return e
		}
		// A gateway that throttles has not passed the request on either.
		if res.StatusCode != http.StatusTooManyRequests && e.Condition != endpoint.ErrUnavailable { //nolint:errorlint // it is the sentinel itself
			e.Condition, e.Code, e.Message = endpoint.ErrUnavailable, "", foreign
		}
		return e
	case !c.ok(res.StatusCode):
		e.Message = "answer without a result"
		return e
	case len(body) == 0 && res.StatusCode != http.StatusOK:
		return nil
	}
	if !json.Valid(body) {
		what := "answer that is not complete JSON"
		if IsHTML(res.Header, body) {
			what = "answer in HTML"
		}
		return Unclear("%s", what)
	}
	if c.Judge == nil {
		return nil
	}
	found := c.Judge(ctx, body)
	if found != nil {
		found.StatusCode = http.StatusOK
		found.RetryAfterDelay = e.RetryAfterDelay
	}
	return found
}

func (c *Client) explain(status int, h http.Header, body []byte) (code, message string, own bool) {
	if c.Explain != nil {
		return c.Explain(status, h, body)
	}
	return ExplainJSON("message", "error", "detail", "title")(status, h, body)
}

// ExplainJSON makes a [Client.Explain] that takes a JSON object for the
// provider's own body if one of the fields is a text that is not empty: the
// first of them is the message. "code" is its code. Other bodies are taken for
// nobody's.
func ExplainJSON(fields ...string) func(int, http.Header, []byte) (code, message string, own bool) {
	return func(_ int, _ http.Header, body []byte) (code, message string, own bool) {
		var doc map[string]any
		if json.Unmarshal(body, &doc) != nil {
			return "", "", false
		}
		code, _ = doc["code"].(string)
		for _, f := range fields {
			if s, ok := doc[f].(string); ok && s != "" {
				return code, s, true
			}
		}
		return "", "", false
	}
}

// refusal makes the error that the caller sees: classified by the words as they
// came, which are hidden and cut after that.
func (c *Client) refusal(ctx context.Context, e *ResponseError) error {
	err := error(e)
	if c.Classify != nil {
		err = c.Classify(e)
	}
	e.Message, e.Code = c.clean(e.Message), c.clean(e.Code)
	now := time.Now()
	if e.StatusCode == http.StatusTooManyRequests {
		e.RetryAfterDelay = max(e.RetryAfterDelay, c.Limits.exhausted(now))
	}
	if asked := e.RetryAfterDelay; asked > 0 {
		if e.RetryAfterDelay = c.affordable(ctx, asked, now); e.RetryAfterDelay < asked {
			e.Message = strings.TrimPrefix(fmt.Sprintf("%s; asked for %v of rest, until %s, of which %v is given",
				e.Message, asked, now.Add(asked).UTC().Format(time.RFC3339), e.RetryAfterDelay), "; ")
		}
	}
	return err
}

// affordable is how much of a delay that was asked for the caller can give.
func (c *Client) affordable(ctx context.Context, asked time.Duration, now time.Time) time.Duration {
	d := min(asked, c.maxDelay())
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, max(0, deadline.Sub(now)/2))
	}
	return d
}

// IsHTML reports whether an answer is a page, by its header or its beginning.
func IsHTML(h http.Header, body []byte) bool {
	return strings.Contains(h.Get("Content-Type"), "html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// Clip makes a text of others one printable line of at most 1 KiB.
func Clip(s string) string {
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
