package endpointtest

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Answer is an HTTP answer in place of the provider's own.
type Answer struct {
	// Status is the status; 0 for that, the headers and the body of the
	// provider's own answer, of a request that it carried out.
	Status int
	Header http.Header
	Body   string
	// Cut breaks the connection in the middle of the body.
	Cut bool
	// Pad puts that many blanks before the body. They are made as they are read.
	Pad int64
}

// maxDrawn is how much of a padded body a client may read. At that it breaks off.
const maxDrawn = 32 << 20

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// page is an answer as a proxy in front of a service gives it.
func page(status int) Answer {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	return Answer{
		Status: status, Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		Body: "<!DOCTYPE html>\n<html><head><title>" + title + "</title></head><body><h1>" + title + "</h1></body></html>\n",
	}
}

// refusal is an error in the provider's words.
func (w *Wire) refusal(status int, message string) Answer {
	if w.Refusal != nil {
		return w.Refusal(status, message)
	}
	body, _ := json.Marshal(map[string]string{"error": message}) // which cannot fail
	return Answer{Status: status, Header: jsonHeader(), Body: string(body)}
}

// statuses are how errors are answered over HTTP.
var statuses = []struct {
	err    error
	status int
}{
	{endpoint.ErrNotFound, http.StatusNotFound},
	{endpoint.ErrUnauthorized, http.StatusForbidden},
	{endpoint.ErrBusy, http.StatusConflict},
	{endpoint.ErrThrottled, http.StatusTooManyRequests},
	{endpoint.ErrUnavailable, http.StatusServiceUnavailable},
}

// instead is the answer of a fault that stands in for the call's effect.
func (w *Wire) instead(f Fault) Answer {
	switch f.Kind { //nolint:exhaustive // the others have an answer or none
	case FaultThrottled:
		a := w.refusal(http.StatusTooManyRequests, "rate exceeded")
		a.Header = a.Header.Clone()
		a.Header.Set("Retry-After", strconv.Itoa(int((f.After+time.Second-1)/time.Second)))
		return a
	case FaultRefused:
		for _, s := range statuses {
			if errors.Is(f.refusal(), s.err) {
				return w.refusal(s.status, f.refusal().Error())
			}
		}
		return w.refusal(http.StatusBadRequest, f.refusal().Error())
	default:
		return *f.Answer
	}
}

// answered is the answer a to a request, of which own is the provider's own.
func (w *Wire) answered(req *http.Request, own *http.Response, a Answer) (*http.Response, error) {
	if a.Status == 0 {
		b, err := io.ReadAll(own.Body)
		if err != nil {
			return nil, err
		}
		a.Status, a.Body = own.StatusCode, string(b)
		header := own.Header.Clone()
		maps.Copy(header, a.Header)
		a.Header = header
		a.Header.Del("Content-Length")
	}
	return response(req, a, w), nil
}

// response is an answer as a client receives it. w, if not nil, counts what is
// read of a padded body.
func response(req *http.Request, a Answer, w *Wire) *http.Response {
	header := a.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	length := int64(len(a.Body))
	var body io.Reader = strings.NewReader(a.Body)
	if a.Cut {
		body = io.MultiReader(strings.NewReader(a.Body[:len(a.Body)/2]), brokenBody{})
	}
	if a.Pad > 0 {
		length, body = -1, io.MultiReader(&padding{left: a.Pad, wire: w}, body)
	}
	return &http.Response{
		Status: strconv.Itoa(a.Status) + " " + http.StatusText(a.Status), StatusCode: a.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: length, Body: io.NopCloser(body), Request: req,
	}
}

// brokenBody is a connection that broke.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// padding is blanks, of which a client that reads too many gets no more.
type padding struct {
	left, read int64
	wire       *Wire
}

func (p *padding) Read(b []byte) (int, error) {
	n := min(p.left, int64(len(b)))
	if n == 0 {
		return 0, io.EOF
	}
	for i := range b[:n] {
		b[i] = ' '
	}
	p.left, p.read = p.left-n, p.read+n
	if p.wire != nil {
		p.wire.mu.Lock()
		p.wire.drawn = max(p.wire.drawn, p.read)
		p.wire.mu.Unlock()
	}
	if p.read > maxDrawn {
		return 0, io.ErrUnexpectedEOF
	}
	return int(n), nil
}
