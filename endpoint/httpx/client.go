package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

const (
	// DefaultMaxBody is the largest answer that a [Client] reads, in bytes.
	DefaultMaxBody = 4 << 20
	// DefaultTimeout is the limit of a single request if [Client.HTTP] is nil. A
	// connection that never answers must not use up a whole rollout.
	DefaultTimeout = 30 * time.Second
	// DefaultMaxDelay is how long a server's wish to be left alone is honoured.
	DefaultMaxDelay = 2 * time.Minute
)

// Client talks to one HTTP API with one key. Its fields are set before the first
// request and not changed after; then it is safe for concurrent use.
type Client struct {
	// URL is what the paths of requests are added to.
	URL string
	// HTTP sends the requests; nil is a client with [http.DefaultTransport] and
	// [DefaultTimeout]. It is copied, and its own redirect policy is not used.
	HTTP *http.Client
	// Authorize adds the credentials to the header of a request; nil adds none.
	Authorize func(http.Header)
	// Explain finds the provider's code and words in the body of a refusal, and
	// reports whether the body is the provider's own. Nil takes every body for the
	// provider's own that is a JSON object.
	Explain func(status int, h http.Header, body []byte) (code, message string, own bool)
	// Judge finds fault with the body of a good answer that is valid JSON, such as
	// a refusal with status 200; nil finds none. ctx is the request's.
	Judge func(ctx context.Context, body []byte) *ResponseError
	// Classify may give a refusal another condition than [Condition] has for its
	// status, and may return an error of the provider's own type that embeds it.
	// It is called before secrets are hidden. Nil leaves it as it is.
	Classify func(*ResponseError) error
	// Hide takes secrets out of a text; nil takes out none. Every text of an error
	// passes it, those of net/http included.
	Hide func(string) string
	// OK are the statuses of a good answer; nil is 200 alone.
	OK []int
	// MaxBody is the largest answer that is read, in bytes; 0 is [DefaultMaxBody].
	// One that is larger is [endpoint.ErrUnavailable].
	MaxBody int64
	// MaxDelay is the longest that a server's wish to be left alone is passed on;
	// 0 is [DefaultMaxDelay]. It is also at most half of the time until the
	// context's deadline, so that there is time for another try.
	MaxDelay time.Duration
	// Limits is the account's rate limit as far as answers tell it; nil ignores it.
	Limits *Limits
}

// Do sends one request and decodes the answer into out. in becomes its body as
// JSON; nil sends none. A nil out leaves the answer's content alone. An answer
// that is JSON of another shape than out is [endpoint.ErrUnavailable], since a
// write may have been applied, and to a read (GET) [errors.ErrUnsupported] with
// the place in the answer: it would be the same the next time.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	body := io.Reader(http.NoBody)
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%w: %w", endpoint.ErrInvalid, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.URL, "/")+"/"+path, body)
	if err != nil {
		return fmt.Errorf("%w: %s", endpoint.ErrInvalid, c.clean(err.Error()))
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, _, err := c.Send(req)
	if err != nil || out == nil || len(answer) == 0 {
		return err
	}
	return c.decode(method, answer, out)
}

// Send sends one request and returns the body and the header of a good answer:
// one with a status of [Client.OK] that is valid JSON, or empty with another
// status than 200, and that [Client.Judge] has nothing to say about. The request is not changed, and its body is not sent twice.
func (c *Client) Send(req *http.Request) (body []byte, h http.Header, err error) {
	ctx := req.Context()
	if err := ContextError(ctx); err != nil {
		return nil, nil, err
	}
	if err := c.admit(ctx); err != nil {
		return nil, nil, err
	}
	res, err := c.roundTrip(req)
	if err != nil {
		return nil, nil, c.transportError(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	c.Limits.note(res, time.Now(), c.maxDelay())
	body, err = c.read(res)
	if err != nil {
		return nil, nil, c.transportError(ctx, err)
	}
	if e := c.judge(ctx, res, body); e != nil {
		return nil, nil, c.refusal(ctx, e)
	}
	return body, res.Header, nil
}

// Open is Send for an answer that does not end, such as a stream of events: it
// returns the response of a status of [Client.OK] with its body to read. Other answers are
// errors as in Send.
func (c *Client) Open(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if err := ContextError(ctx); err != nil {
		return nil, err
	}
	res, err := c.roundTrip(req)
	if err != nil {
		return nil, c.transportError(ctx, err)
	}
	c.Limits.note(res, time.Now(), c.maxDelay())
	if c.ok(res.StatusCode) {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	body, err := c.read(res)
	if err != nil {
		return nil, c.transportError(ctx, err)
	}
	return nil, c.refusal(ctx, c.judge(ctx, res, body))
}

func (c *Client) ok(status int) bool {
	if c.OK == nil {
		return status == http.StatusOK
	}
	return slices.Contains(c.OK, status)
}

func (c *Client) roundTrip(req *http.Request) (*http.Response, error) {
	hc := http.Client{Timeout: DefaultTimeout}
	if c.HTTP != nil {
		hc = *c.HTTP
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	out := req.Clone(req.Context())
	if c.Authorize != nil {
		c.Authorize(out.Header)
	}
	// Without GetBody, net/http has no way to send a body a second time when a
	// connection breaks, or an HTTP/2 server refuses a stream.
	out.GetBody = nil
	return hc.Do(out)
}

func (c *Client) read(res *http.Response) ([]byte, error) {
	limit := c.MaxBody
	if limit <= 0 {
		limit = DefaultMaxBody
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case res.StatusCode >= 300: // the status says more than how the body ended
		return body[:min(int64(len(body)), limit)], nil
	case err != nil:
		return nil, fmt.Errorf("answer broke off: %w", err)
	case int64(len(body)) > limit:
		return nil, Unclear("answer of more than %d MiB", limit>>20)
	}
	return body, nil
}

// decode names where the answer has another shape, and nothing of its content.
func (c *Client) decode(method string, body []byte, out any) error {
	err := json.Unmarshal(body, out)
	var shape *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case method == http.MethodGet && errors.As(err, &shape) && shape.Field != "":
		return &ResponseError{
			StatusCode: http.StatusOK, Condition: errors.ErrUnsupported,
			Message: c.clean(fmt.Sprintf("answer in a shape that is not known: %s is a JSON %s, want %s", shape.Field, shape.Value, shape.Type)),
		}
	}
	return Unclear("answer in another shape than was asked for")
}

// transportError is ctx's error if ctx is done, and else ErrUnavailable with
// what net/http says, which can repeat parts of an answer. That includes the HTTP
// client's own time limit, although that claims to be a context's.
func (c *Client) transportError(ctx context.Context, err error) error {
	if ctxErr := ContextError(ctx); ctxErr != nil {
		return ctxErr
	}
	var e *ResponseError
	if errors.As(err, &e) {
		return e
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the URL says nothing that the endpoint's name does not
	}
	text := c.clean(err.Error())
	if text != err.Error() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %s", endpoint.ErrUnavailable, text)
	}
	return fmt.Errorf("%w: %w", endpoint.ErrUnavailable, err)
}

func (c *Client) clean(s string) string {
	if c.Hide != nil {
		s = c.Hide(s) // first: a secret that was cut may not be found
	}
	return Clip(s)
}

func (c *Client) maxDelay() time.Duration {
	if c.MaxDelay > 0 {
		return c.MaxDelay
	}
	return DefaultMaxDelay
}

// ContextError is nil while ctx is not done, and else an error that is both
// ctx.Err and its cause.
func ContextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
