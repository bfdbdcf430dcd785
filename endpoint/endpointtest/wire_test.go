package endpointtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

// counter is a service that counts its writes.
type counter struct{ n atomic.Int64 }

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		c.n.Add(1)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"count":`+strconv.FormatInt(c.n.Load(), 10)+`}`)
}

func newWire() (*counter, *endpointtest.Wire) {
	c := &counter{}
	return c, &endpointtest.Wire{
		Service: c,
		Write: func(r *http.Request, _ []byte) string {
			if r.Method == http.MethodPost {
				return "add"
			}
			return ""
		},
		Copy: func() http.Handler {
			other := &counter{}
			other.n.Store(c.n.Load())
			return other
		},
	}
}

// send makes one request and returns the status and the body, with the error of
// either.
func send(ctx context.Context, w *endpointtest.Wire, method string) (status int, h http.Header, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "https://api.example.com/count", http.NoBody)
	if err != nil {
		return 0, nil, "", err
	}
	res, err := w.Client().Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(b), errors.Join(err, res.Body.Close())
}

func TestWire(t *testing.T) {
	const broken, full = "unexpected EOF", `{"count":1}`
	for name, tt := range map[string]struct {
		fault   endpointtest.Fault
		status  int
		body    string // a part of it
		err     string
		applied bool
		later   bool // a minute later
		took    time.Duration
	}{
		"none":       {endpointtest.Fault{}, 200, full, "", true, true, 0},
		"refused":    {endpointtest.Refuse(endpoint.ErrBusy), 409, `{"error":"another change is in progress"}`, "", false, false, 0},
		"invalid":    {endpointtest.Refuse(nil), 400, `"invalid"`, "", false, false, 0},
		"throttled":  {endpointtest.Throttle(1500 * time.Millisecond), 429, `"rate exceeded"`, "", false, false, 0},
		"lost":       {endpointtest.LostBefore(), 0, "", broken, false, false, 0},
		"lost after": {endpointtest.LostAfter(), 0, "", broken, true, true, 0},
		"late":       {endpointtest.Late(30 * time.Second), 0, "", broken, false, true, 0},
		"forgotten":  {endpointtest.Forget(), 200, full, "", false, false, 0},
		"hangs":      {endpointtest.HangBefore(7 * time.Second), 200, full, "", true, true, 7 * time.Second},
		"too long":   {endpointtest.HangBefore(time.Minute), 0, "", "deadline exceeded", false, false, 20 * time.Second},
		"too late":   {endpointtest.HangAfter(time.Minute), 0, "", "deadline exceeded", true, true, 20 * time.Second},
		"garbage":    {endpointtest.Garbage(), 200, "<html>", "", true, true, 0},
		"answer": {
			endpointtest.Fault{Kind: endpointtest.FaultAnswerBefore, Answer: &endpointtest.Answer{Status: 418, Body: "tea"}},
			418, "tea", "", false, false, 0,
		},
		"cut": {
			endpointtest.Fault{Kind: endpointtest.FaultAnswerAfter, Answer: &endpointtest.Answer{Cut: true}},
			200, `{"cou`, broken, true, true, 0,
		},
		"padded": {
			endpointtest.Fault{Kind: endpointtest.FaultAnswerAfter, Answer: &endpointtest.Answer{Pad: 3}},
			200, "   " + full, "", true, true, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w := newWire()
				then := 0
				tt.fault.Then = func() { then++ }
				w.OnWrite(func(what string) endpointtest.Fault {
					if what != "add" {
						t.Errorf("the write is %q", what)
					}
					return tt.fault
				})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				begin := time.Now()
				status, h, body, err := send(ctx, w, http.MethodPost)
				if took := time.Since(begin); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
				if status != tt.status || !strings.Contains(body, tt.body) || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("answered %d %q, %v; want %d %q, %q", status, body, err, tt.status, tt.body, tt.err)
				}
				if tt.status == http.StatusTooManyRequests && h.Get("Retry-After") != "2" {
					t.Errorf("Retry-After %q, want 2", h.Get("Retry-After"))
				}
				if got := c.n.Load() == 1; got != tt.applied || w.Applied(1) != tt.applied {
					t.Errorf("applied: %t, and the wire says %t; want %t", got, w.Applied(1), tt.applied)
				}
				time.Sleep(time.Minute)
				if got := c.n.Load() == 1; got != tt.later || w.Applied(1) != tt.later || w.Writes() != 1 {
					t.Errorf("a minute later applied: %t, and the wire says %t of %d writes; want %t", got, w.Applied(1), w.Writes(), tt.later)
				}
				if want := 1; tt.took == 20*time.Second && !tt.applied {
					if then != 0 {
						t.Errorf("Then ran for a request that was not sent")
					}
				} else if then != want {
					t.Errorf("Then ran %d times", then)
				}
			})
		})
	}
}

// A late write takes effect before a request that is made at the same time.
func TestWireLateComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := newWire()
		w.OnWrite(func(string) endpointtest.Fault { return endpointtest.Late(7 * time.Second) })
		_, _, _, _ = send(t.Context(), w, http.MethodPost) // which is lost
		time.Sleep(7 * time.Second)
		if _, _, body, err := send(t.Context(), w, http.MethodGet); err != nil || body != `{"count":1}` {
			t.Errorf("read %q, %v at the time at which the write lands", body, err)
		}
	})
}

// Reads have faults of their own, and are logged by method and path.
func TestWireReads(t *testing.T) {
	_, w := newWire()
	w.OnRead(func(what string) endpointtest.Fault {
		if what != "GET /count" {
			t.Errorf("the read is %q", what)
		}
		return endpointtest.Forget() // which is none, for a read
	})
	if status, _, _, err := send(t.Context(), w, http.MethodGet); status != 200 || err != nil {
		t.Errorf("answered %d, %v", status, err)
	}
	if calls := w.Calls(); len(calls) != 1 || calls[0].Name != "GET /count" || calls[0].Write != 0 || calls[0].Applied || calls[0].Err != nil {
		t.Errorf("calls %+v", calls)
	}
}

// A hook that panics is a process that dies: nothing is sent.
func TestWireDies(t *testing.T) {
	c, w := newWire()
	w.OnWrite(func(string) endpointtest.Fault { panic("killed") })
	func() {
		defer func() {
			if recover() != "killed" {
				t.Error("it did not panic")
			}
		}()
		_, _, _, _ = send(t.Context(), w, http.MethodPost)
	}()
	if c.n.Load() != 0 {
		t.Error("it was applied")
	}
}
