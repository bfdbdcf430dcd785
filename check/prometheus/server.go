package prometheus

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
	"github.com/changeover-dev/changeover/internal/redact"
)

// maxAnswer is the largest answer that is read, in bytes. One number is short;
// what is longer comes of a query that selects many series.
const maxAnswer = 1 << 20

// Server is a Prometheus server. It is safe for concurrent use.
type Server struct{ client *httpx.Client }

// Option changes how a [Server] is asked.
type Option func(*settings)

type settings struct {
	http   *http.Client
	header http.Header
	err    error
}

// WithHTTPClient sends the requests with c, for example for TLS certificates.
// Redirects are not followed. By default a request may take 30 seconds.
func WithHTTPClient(c *http.Client) Option {
	return func(s *settings) {
		if c == nil {
			s.err = fmt.Errorf("WithHTTPClient: %w: the client is nil", endpoint.ErrInvalid)
		}
		s.http = c
	}
}

// WithHeader sends a header with each request, such as Authorization, or
// X-Scope-OrgID for the tenant of a Mimir. Its value is kept out of errors.
func WithHeader(name, value string) Option {
	return func(s *settings) {
		if name == "" || strings.ContainsAny(name, ": \r\n") || strings.ContainsAny(value, "\r\n") {
			s.err = fmt.Errorf("WithHeader: %w: %q is no header, or its value has a line break", endpoint.ErrInvalid, name)
		}
		s.header.Set(name, value)
	}
}

// New returns the server whose API is below base, such as
// "https://prometheus.example.com" or "https://mimir.example.com/prometheus". A
// user and a password in it are sent as basic authentication.
func New(base string, opts ...Option) (*Server, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("prometheus: %w: the URL is not one of http or https with a host", endpoint.ErrInvalid)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("prometheus: %w: the URL has a query or a fragment", endpoint.ErrInvalid)
	}
	s := settings{header: http.Header{}}
	if user := u.User; user != nil {
		pw, _ := user.Password()
		s.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+pw)))
	}
	for _, o := range opts {
		o(&s)
	}
	if s.err != nil {
		return nil, fmt.Errorf("prometheus: %w", s.err)
	}
	secrets := redact.New(base, u.Host, u.Hostname())
	if pw, ok := u.User.Password(); ok {
		secrets.Add(pw, u.User.Username())
	}
	for _, values := range s.header {
		for _, v := range values {
			_, credential, _ := strings.Cut(v, " ")
			secrets.Add(v, credential)
		}
	}
	u.User = nil
	return &Server{client: &httpx.Client{
		URL: strings.TrimRight(u.String(), "/"), HTTP: s.http, MaxBody: maxAnswer, Hide: secrets.Hide,
		Authorize: func(h http.Header) {
			for name, values := range s.header {
				h[name] = values
			}
		},
		Explain: explain,
	}}, nil
}

// String says no more than what it is: an address can be a secret.
func (*Server) String() string { return "Prometheus" }

// explain reads a refusal of the API.
func explain(_ int, _ http.Header, body []byte) (code, message string, own bool) {
	var a answer
	if json.Unmarshal(body, &a) != nil || a.Status != "error" || a.ErrorType == "" {
		return "", "", false
	}
	return a.ErrorType, a.Error, true
}

// answer is what the API says, by
// https://prometheus.io/docs/prometheus/latest/querying/api/.
type answer struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// ask evaluates a query now.
func (s *Server) ask(ctx context.Context, query string) (answer, error) {
	var a answer
	err := s.client.Do(ctx, http.MethodGet, "api/v1/query?"+url.Values{"query": {query}}.Encode(), nil, &a)
	if err != nil {
		return answer{}, fmt.Errorf("Prometheus: %w", err)
	}
	if a.Status != "success" {
		return answer{}, fmt.Errorf("Prometheus: %w: the answer is not one of its query API", endpoint.ErrUnavailable)
	}
	for i, w := range a.Warnings {
		a.Warnings[i] = s.client.Hide(w)
	}
	return a, nil
}
