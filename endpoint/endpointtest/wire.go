package endpointtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/internal/inproc"
)

// Wire is the connection between an updater and the fake of its provider, over
// HTTP and in memory: no socket and no goroutine, so that it works inside a
// testing/synctest bubble. It numbers and logs the requests, and lets any
// [Fault] happen to them.
//
//	wire := &endpointtest.Wire{Service: fake, Write: func(r *http.Request, body []byte) string {
//		if r.Method == http.MethodGet {
//			return ""
//		}
//		return r.Method + " " + r.URL.Path + " " + string(body)
//	}}
//	updater := myprovider.New("prod", wire.Client())
//
// As the Wire of a [Subject] it gives [Run] everything that it needs to count
// writes and to make calls fail, and it is what [RunAnswers] is about. In a
// sweep of package rollouttest, OnWrite and Applied are an environment's.
//
// Its fields are not changed once it is used. It is safe for concurrent use if
// Service is.
type Wire struct {
	// Service is the provider's fake. A request whose answer has a status below
	// 300 has taken effect.
	Service http.Handler
	// Write says what a request writes: the same text for the same write, "" for
	// one that only reads.
	Write func(r *http.Request, body []byte) string
	// Refusal is how the provider words an error with this status. If nil, it
	// is {"error": message} as application/json.
	Refusal func(status int, message string) Answer
	// Copy returns a copy of Service as it is now, which shares nothing with
	// it. It is what answers a [FaultForgotten] write; without it that fault
	// cannot happen, and is none.
	Copy func() http.Handler

	mu      sync.Mutex // never held while a hook or Service runs
	onWrite func(what string) Fault
	onRead  func(what string) Fault
	writes  int
	calls   []*Call
	later   []*lateRequest // in order of time
	strays  []string       // requests to elsewhere
	drawn   int64          // the most that was read of one padded body

	authorization string // of the last request that had some
}

// lateRequest is a request that takes effect later.
type lateRequest struct {
	at   time.Time
	once sync.Once
	do   func()
}

// Client returns an HTTP client for the updater to use. It follows redirects,
// as [http.DefaultClient] does.
func (w *Wire) Client() *http.Client { return &http.Client{Transport: w} }

// OnWrite asks hook for the fault of each request that writes, before it is
// sent, with what Write said of it. What hook itself does happens then: it may
// panic, end a context, or change the fake. Nil removes the hook.
func (w *Wire) OnWrite(hook func(what string) Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onWrite = hook
}

// OnRead is [Wire.OnWrite] for the requests that only read, with their method
// and path.
func (w *Wire) OnRead(hook func(what string) Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onRead = hook
}

// Calls returns every request so far, in order.
func (w *Wire) Calls() []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Call, 0, len(w.calls))
	for _, c := range w.calls {
		all = append(all, *c)
	}
	return all
}

// Writes returns how many requests that write were sent, whatever came of them.
func (w *Wire) Writes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes
}

// Applied reports whether the n-th write, from 1, has taken effect by now.
func (w *Wire) Applied(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.calls, func(c *Call) bool { return c.Write == n && c.Applied })
}

// RoundTrip implements [http.RoundTripper].
func (w *Wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if err := ended(ctx); err != nil {
		return nil, err
	}
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	w.land(time.Now())
	call, fault, known := w.meet(req, body)
	if !known {
		return response(req, Answer{Status: http.StatusOK, Header: jsonHeader(), Body: "{}"}, nil), nil
	}
	fault.before()
	if err := fault.request(ctx); err != nil {
		w.done(call, false, err)
		return nil, err
	}
	res, err := w.carryOut(req, body, call, fault)
	fault.then()
	if err := fault.reply(ctx); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// elsewhere is a host that is not the provider's.
const elsewhere = "elsewhere.invalid"

// meet logs a request and asks its hook for the fault. known is false for a
// request to elsewhere.
func (w *Wire) meet(req *http.Request, body []byte) (call *Call, fault Fault, known bool) {
	what := w.Write(req, body)
	w.mu.Lock()
	w.authorization = cmp.Or(req.Header.Get("Authorization"), w.authorization)
	call = &Call{At: time.Now(), Name: what}
	hook := w.onWrite
	switch {
	case req.URL.Host == elsewhere:
		w.strays = append(w.strays, req.Method+" "+req.URL.Redacted())
		w.mu.Unlock()
		return call, Fault{}, false
	case what == "":
		hook, call.Name = w.onRead, req.Method+" "+req.URL.Path
	default:
		w.writes++
		call.Write = w.writes
	}
	w.calls = append(w.calls, call)
	w.mu.Unlock()
	if hook != nil {
		fault = hook(call.Name)
	}
	return call, fault, true
}

// carryOut is the moment at which a request reaches the service, if it does.
func (w *Wire) carryOut(req *http.Request, body []byte, call *Call, fault Fault) (*http.Response, error) {
	if call.Write == 0 && fault.Kind == FaultForgotten {
		fault.Kind = FaultNone
	}
	switch fault.Kind {
	case FaultNone, FaultHangBefore, FaultHangAfter:
		return w.serve(w.Service, req, body, call)
	case FaultLostAfter:
		_, _ = w.serve(w.Service, req, body, call)
		return nil, io.ErrUnexpectedEOF
	case FaultGarbage:
		_, _ = w.serve(w.Service, req, body, call)
		return response(req, page(http.StatusOK), nil), nil
	case FaultAnswerAfter:
		res, err := w.serve(w.Service, req, body, call)
		if err != nil {
			return nil, err
		}
		return w.answered(req, res, *fault.Answer)
	case FaultForgotten:
		if w.Copy == nil {
			return nil, errors.New("endpointtest: a forgotten write takes a Wire with Copy")
		}
		res, err := w.serve(w.Copy(), req, body, call)
		w.done(call, false, nil)
		return res, err
	case FaultLate:
		w.schedule(req, body, call, fault.After)
		return nil, io.ErrUnexpectedEOF
	case FaultLostBefore:
		w.done(call, false, errLost)
		return nil, io.ErrUnexpectedEOF
	case FaultRefused, FaultThrottled, FaultAnswerBefore:
	}
	a := w.instead(fault)
	w.done(call, false, fmt.Errorf("http status %d", a.Status))
	if a.Status == 0 {
		return nil, errors.New("endpointtest: an answer before the effect takes a status")
	}
	return w.answered(req, nil, a)
}

// serve lets a service answer a request.
func (w *Wire) serve(service http.Handler, req *http.Request, body []byte, call *Call) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	res, err := inproc.Transport(service).RoundTrip(in)
	switch {
	case err != nil:
		w.done(call, false, err)
		return nil, err
	case res.StatusCode >= http.StatusMultipleChoices:
		w.done(call, false, fmt.Errorf("http status %d", res.StatusCode))
	default:
		w.done(call, true, nil)
	}
	res.Request = req
	return res, nil
}

// done notes what came of a call.
func (w *Wire) done(c *Call, applied bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Applied, c.Err = applied && c.Write > 0, err
}

// schedule lets a request take effect after d. It is carried out on time, and
// before any request that is made at or after that time.
func (w *Wire) schedule(req *http.Request, body []byte, call *Call, d time.Duration) {
	w.done(call, false, errLost)
	late := req.Clone(context.WithoutCancel(req.Context()))
	e := &lateRequest{at: time.Now().Add(d), do: func() {
		_, _ = w.serve(w.Service, late, body, call) //nolint:bodyclose // it is in memory, and no caller waits for it
	}}
	w.mu.Lock()
	i, _ := slices.BinarySearchFunc(w.later, e, func(a, b *lateRequest) int { return a.at.Compare(b.at) })
	w.later = slices.Insert(w.later, i, e)
	w.mu.Unlock()
	time.AfterFunc(d, func() { w.land(e.at) })
}

// land carries out the late requests that are due.
func (w *Wire) land(now time.Time) {
	for {
		w.mu.Lock()
		if len(w.later) == 0 || w.later[0].at.After(now) {
			w.mu.Unlock()
			return
		}
		e := w.later[0]
		w.later = w.later[1:]
		w.mu.Unlock()
		e.once.Do(e.do)
	}
}

func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(req.Body)
	return b, errors.Join(err, req.Body.Close())
}
