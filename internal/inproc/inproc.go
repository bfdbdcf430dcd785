// Package inproc lets an HTTP client talk to a handler in the same process: no
// socket, no goroutine, so that it works inside a testing/synctest bubble. It
// is what the test kits' Client methods are made of.
package inproc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Client returns a client whose every request is served by h.
func Client(h http.Handler) *http.Client { return &http.Client{Transport: Transport(h)} }

// Transport returns a round tripper that serves each request by calling h in
// the caller's goroutine. It is safe for concurrent use if h is.
//
// A request whose context is done is not served, and one whose context ends
// while it is served fails with the context's cause, whatever h did by then. A
// handler that panics with [http.ErrAbortHandler] breaks the connection: the
// round trip fails with [io.ErrUnexpectedEOF], or reading the body does if h
// had begun to answer. Any other panic is h's own and is let through.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }()
	}
	ctx := req.Context()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	rec := &recorder{header: http.Header{}}
	aborted := serve(t.handler, rec, serverSide(req))
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if aborted && rec.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return rec.response(req, aborted), nil
}

// Sleep lets a handler take its time, by the request's context: it ends early,
// with the cause, if ctx does.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// serverSide is the request as a server would have read it from the wire.
func serverSide(req *http.Request) *http.Request {
	in := req.Clone(req.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	in.RequestURI = req.URL.RequestURI()
	in.RemoteAddr = "192.0.2.1:1234" // reserved for documentation, as in httptest
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	// A server knows the path and the query only.
	in.URL.Scheme, in.URL.Host, in.URL.User, in.URL.Fragment = "", "", nil, ""
	return in
}

func serve(h http.Handler, rec *recorder, req *http.Request) (aborted bool) {
	defer func() {
		switch v := recover(); {
		case v == nil:
		case v == http.ErrAbortHandler: //nolint:errorlint // net/http compares the panic value too
			aborted = true
		default:
			panic(v)
		}
	}()
	h.ServeHTTP(rec, req)
	return false
}

// recorder is the [http.ResponseWriter] and [http.Flusher] that handlers see.
type recorder struct {
	header http.Header // the handler's
	sent   http.Header // as it was when the answer began
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status != 0 {
		return
	}
	r.status, r.sent = status, r.header.Clone()
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 && r.header.Get("Content-Type") == "" {
		r.header.Set("Content-Type", http.DetectContentType(p))
	}
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// Flush sends the header, so that a later abort truncates the body.
func (r *recorder) Flush() { r.WriteHeader(http.StatusOK) }

func (r *recorder) response(req *http.Request, aborted bool) *http.Response {
	r.WriteHeader(http.StatusOK) // a handler that writes nothing answers 200
	res := &http.Response{
		Status:     strings.TrimSpace(strconv.Itoa(r.status) + " " + http.StatusText(r.status)),
		StatusCode: r.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        r.sent,
		ContentLength: int64(r.body.Len()),
		Request:       req,
	}
	if n, err := strconv.ParseInt(r.sent.Get("Content-Length"), 10, 64); err == nil {
		aborted = aborted || n > res.ContentLength // promised more than it wrote
		res.ContentLength = n
	} else if aborted {
		res.ContentLength = -1
	}
	end := io.EOF
	if aborted {
		end = io.ErrUnexpectedEOF
	}
	data := r.body.Bytes()
	if req.Method == http.MethodHead {
		data, end = nil, io.EOF
	}
	res.Body = &body{ctx: req.Context(), data: data, end: end}
	return res
}

var errClosed = errors.New("inproc: read on closed response body")

// body reads data, then returns end. As with a socket, it fails once the
// request's context is done or it was closed.
type body struct {
	ctx    context.Context
	data   []byte
	end    error
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, errClosed
	case b.ctx.Err() != nil:
		return 0, context.Cause(b.ctx)
	case len(b.data) == 0:
		return 0, b.end
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

func (b *body) Close() error {
	b.closed = true
	return nil
}
