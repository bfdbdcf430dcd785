package inproc_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/internal/inproc"
)

func TestRoundTrip(t *testing.T) {
	abort := func() { panic(http.ErrAbortHandler) }
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  int
		body    string
		err     error // from the round trip
		readErr error
	}{
		{
			name:    "echo",
			handler: func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) },
			status:  200, body: "ping",
		},
		{
			name: "status and header",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusConflict)
				w.Header().Set("X-Late", "1") // after the answer began: not sent
			},
			status: 409,
		},
		{name: "nothing written", handler: func(http.ResponseWriter, *http.Request) {}, status: 200},
		{name: "broken before", handler: func(http.ResponseWriter, *http.Request) { abort() }, err: io.ErrUnexpectedEOF},
		{
			name: "truncated",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "half")
				abort()
			},
			status: 200, body: "half", readErr: io.ErrUnexpectedEOF,
		},
		{
			name: "shorter than promised",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "9")
				_, _ = io.WriteString(w, "half")
			},
			status: 200, body: "half", readErr: io.ErrUnexpectedEOF,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := inproc.Client(tt.handler).Post("https://example.test/a?b=c", "text/plain", strings.NewReader("ping"))
			if !errors.Is(err, tt.err) {
				t.Fatalf("Post error = %v, want %v", err, tt.err)
			}
			if tt.err != nil {
				return
			}
			got, err := io.ReadAll(res.Body)
			if !errors.Is(err, tt.readErr) || string(got) != tt.body || res.StatusCode != tt.status || res.Header.Get("X-Late") != "" {
				t.Errorf("got %d %q, read error %v; want %d %q, %v", res.StatusCode, got, err, tt.status, tt.body, tt.readErr)
			}
		})
	}
}

func TestServerSeesWhatAServerSees(t *testing.T) {
	var got *http.Request
	c := inproc.Client(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Scribble", "1")
		got = r
	}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://user@api.example.test/a/b?c=d", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got.Host != "api.example.test" || got.RequestURI != "/a/b?c=d" || got.URL.String() != "/a/b?c=d" || got.Body == nil {
		t.Errorf("handler saw host %q, URI %q, URL %q", got.Host, got.RequestURI, got.URL)
	}
	if req.Header.Get("X-Scribble") != "" {
		t.Error("the handler changed the caller's request")
	}
}

func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := 0
		c := inproc.Client(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			served++
			select {
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
		}))
		get := func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.test/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			res, err := c.Do(req)
			if err == nil {
				_ = res.Body.Close()
			}
			return err
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := get(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("slow handler: %v after %v", err, time.Since(start))
		}
		if err := get(ctx); !errors.Is(err, context.DeadlineExceeded) || served != 1 {
			t.Errorf("done context: %v, served %d times", err, served)
		}
		if err := get(t.Context()); err != nil || time.Since(start) != time.Minute+time.Second {
			t.Errorf("patient client: %v after %v", err, time.Since(start))
		}
	})
}

func TestBodyAfterCancelOrClose(t *testing.T) {
	c := inproc.Client(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "data") }))
	open := func(ctx context.Context) io.ReadCloser {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.test/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res.Body
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := open(ctx)
	cancel()
	if _, err := io.ReadAll(b); !errors.Is(err, context.Canceled) {
		t.Errorf("read after cancel: %v", err)
	}
	b = open(t.Context())
	_ = b.Close()
	if _, err := io.ReadAll(b); err == nil {
		t.Error("read after close succeeded")
	}
}

func TestOtherPanicsAreLetThrough(t *testing.T) {
	defer func() {
		if v := recover(); v != "bug" {
			t.Errorf("recovered %v, want the handler's own panic", v)
		}
	}()
	_, _ = inproc.Client(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("bug") })).Get("https://example.test/")
}
