package endpointtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/promise"
)

// RunAnswers holds an updater over HTTP to what each kind of answer means, one
// subtest each. The subjects of h have a [Wire]. Answers in the provider's own
// words are worded by [Wire].Refusal.
func RunAnswers(t *testing.T, h Harness) {
	t.Helper()
	answerSuite.Run(t, h)
}

var answerSuite = promise.Suite[Harness]{Bubble: true, Promises: []promise.Promise[Harness]{
	{
		Name: "a 4xx in the provider's words is a refusal that stays", Keep: refusesFor(http.StatusBadRequest, http.StatusUnprocessableEntity),
		Why: "taken for an outage, a request that is wrong is sent until the time is up",
	},
	{
		Name: "a 401 and a 403 are a matter of rights", Keep: refusesFor(http.StatusUnauthorized, http.StatusForbidden),
		Why: "a key that has expired is to be replaced by a person; repeating the call may lock the account",
	},
	{
		Name: "a 404 in the provider's words is not found", Keep: refusesFor(http.StatusNotFound),
		Why: "a target that does not exist is a mistake of the caller, and not an outage to be waited out",
	},
	{
		Name: "a 409 says that another change is in progress", Keep: refusesFor(http.StatusConflict),
		Why: "the change is made once the other one is over: neither is it wrong in itself, nor may it have been applied",
	},
	{
		Name: "a 404 that is not the provider's is no answer", Keep: answers(foreignNotFound),
		Why: "a proxy or a wrong path answers 404, too: the endpoint would be taken for deleted, or a write for refused",
	},
	{
		Name: "a 429 is throttling, with its Retry-After", Keep: answers(throttles),
		Why: "a client that goes on asking is locked out for longer, in the middle of a rollout",
	},
	{
		Name: "a 5xx leaves open whether it was applied", Keep: answers(serverErrors),
		Why: "a gateway that gave up on an answer says nothing of the write, which may well be applied: taken for a refusal it is never undone",
	},
	{
		Name: "a 503 has its Retry-After as well", Keep: answers(waitsAfter503),
		Why: "a provider that is coming up again is kept down by clients that do not wait",
	},
	{
		Name: "a success that cannot be read is none", Keep: answers(unreadable),
		Why: "a login page has status 200; a status that is made of nothing says that the endpoint has no settings to put back",
	},
	{
		Name: "a body that breaks off is no answer", Keep: answers(cutOff),
		Why: "half a status read as a whole one is another endpoint; a write whose answer breaks off was made",
	},
	{
		Name: "a redirect is not followed", Keep: answers(redirects),
		Why: "a client that follows turns a write into a read, whose success is then taken for the write's, and shows its key to another host",
	},
	{
		Name: "a huge body is not read whole", Keep: answers(hugeBody),
		Why: "one broken answer must not take the memory of the process that has to finish the rollout",
	},
	{
		Name: "a refusal says why, and shows no secret", Keep: answers(saysWhy),
		Why: "the provider's own words are what a person acts on; providers repeat what they were sent, keys included",
	},
}}

// exchange is one call of the updater, to be answered in one way.
type exchange struct {
	Subject
	name string
	do   func(context.Context) error
	read bool
	took func(endpoint.Status) bool // whether a write shows
}

// answered makes the call with an answer in place of the provider's, for each
// request of a read, or for the first write.
func (x exchange) answered(t testing.TB, applied bool, a Answer) error {
	t.Helper()
	f := Fault{Kind: FaultAnswerBefore, Answer: &a}
	if applied {
		f.Kind = FaultAnswerAfter
	}
	if x.read {
		x.Wire.OnRead(func(string) Fault { return f })
		defer x.Wire.OnRead(nil)
		return x.do(t.Context())
	}
	first := true
	x.Wire.OnWrite(func(string) Fault {
		if !first {
			return Fault{}
		}
		first = false
		return f
	})
	defer x.Wire.OnWrite(nil)
	err := x.do(t.Context())
	if first {
		t.Errorf("%s made no write", x.name)
	}
	return err
}

// answers runs keep for each call that an updater answers from what the
// provider says, each over a new subject.
func answers(keep func(t testing.TB, x exchange)) func(testing.TB, Harness) {
	return func(t testing.TB, h Harness) {
		t.Helper()
		for _, open := range []func(s Subject) (exchange, bool){
			func(s Subject) (exchange, bool) {
				return exchange{Subject: s, name: "Status", read: true, do: func(ctx context.Context) error {
					_, err := s.Updater.Status(ctx)
					return err
				}}, true
			},
			func(s Subject) (exchange, bool) {
				return exchange{Subject: s, name: "Update", do: func(ctx context.Context) error {
					return s.Updater.Update(ctx, endpoint.Change{To: s.To})
				}, took: func(st endpoint.Status) bool { return st.Desired.Same(s.To) }}, true
			},
			func(s Subject) (exchange, bool) {
				sc, ok := endpoint.As[endpoint.Scaler](s.Updater)
				return exchange{
					Subject: s, name: "Set", do: func(ctx context.Context) error { return sc.Set(ctx, s.Key, s.Value) },
					took: func(st endpoint.Status) bool { return st.Settings[s.Key] == s.Value },
				}, ok && s.Key != ""
			},
		} {
			s := h.subject(t)
			if s.Wire == nil {
				t.Skip("skipped: the subject has no Wire: how HTTP answers are understood is not tested")
			}
			if x, ok := open(s); ok {
				keep(t, x)
			}
		}
	}
}

// wants fails unless err is want, and claims that nothing was applied only if
// want does.
func (x exchange) wants(t testing.TB, err, want error, what string) {
	t.Helper()
	switch {
	case !errors.Is(err, want):
		t.Errorf("%s, answered %s: %v, want it to be %v", x.name, what, err, want)
	case endpoint.Unapplied(err) != endpoint.Unapplied(want):
		t.Errorf("%s, answered %s: %v; that nothing was applied is %t, want %t", x.name, what, err, endpoint.Unapplied(err), endpoint.Unapplied(want))
	case endpoint.Transient(err) != endpoint.Transient(want):
		t.Errorf("%s, answered %s: %v; that it may be tried again is %t, want %t", x.name, what, err, endpoint.Transient(err), endpoint.Transient(want))
	}
}

var means = map[int]error{
	http.StatusBadRequest: endpoint.ErrInvalid, http.StatusUnprocessableEntity: endpoint.ErrInvalid,
	http.StatusUnauthorized: endpoint.ErrUnauthorized, http.StatusForbidden: endpoint.ErrUnauthorized,
	http.StatusNotFound: endpoint.ErrNotFound, http.StatusConflict: endpoint.ErrBusy,
}

// refusesFor holds the answers of some status in the provider's words.
func refusesFor(all ...int) func(testing.TB, Harness) {
	return answers(func(t testing.TB, x exchange) {
		for _, status := range all {
			if x.read && status != http.StatusNotFound && means[status] != endpoint.ErrUnauthorized { //nolint:errorlint // one of the table's
				continue // no read is answered so
			}
			err := x.answered(t, false, x.Wire.refusal(status, "no"))
			x.wants(t, err, means[status], fmt.Sprintf("%d in the provider's words", status))
		}
	})
}

func foreignNotFound(t testing.TB, x exchange) {
	x.wants(t, x.answered(t, false, page(http.StatusNotFound)), endpoint.ErrUnavailable, "404 by a proxy")
	plain := Answer{Status: http.StatusNotFound, Header: http.Header{"Content-Type": {"text/plain"}}, Body: "404 page not found\n"}
	x.wants(t, x.answered(t, false, plain), endpoint.ErrUnavailable, "404 by a server that does not know the path")
}

// rests are the spellings of Retry-After, and what they ask for.
var rests = []struct {
	header func(now time.Time) string
	want   time.Duration
}{
	{func(time.Time) string { return "37" }, 37 * time.Second},
	{func(now time.Time) string { return now.Add(90 * time.Second).UTC().Format(http.TimeFormat) }, 90 * time.Second},
	{func(now time.Time) string { return now.Add(-time.Hour).UTC().Format(http.TimeFormat) }, 0},
	{func(time.Time) string { return "-5" }, 0},
	{func(time.Time) string { return "soon" }, 0},
	{func(time.Time) string { return "" }, 0},
}

func (x exchange) rests(t testing.TB, status int, want error) {
	t.Helper()
	for _, r := range rests {
		header := r.header(time.Now())
		a := x.Wire.refusal(status, "not now")
		a.Header = a.Header.Clone()
		a.Header.Set("Retry-After", header)
		err := x.answered(t, false, a)
		x.wants(t, err, want, fmt.Sprintf("%d with Retry-After %q", status, header))
		if got := endpoint.RetryAfter(err); got < r.want-time.Second || got > r.want+time.Second || r.want == 0 && got != 0 {
			t.Errorf("%s, answered %d with Retry-After %q: RetryAfter is %v, want %v", x.name, status, header, got, r.want)
		}
		pause(5 * time.Minute) // until a client that holds itself back asks again
	}
}

func throttles(t testing.TB, x exchange) {
	x.rests(t, http.StatusTooManyRequests, endpoint.ErrThrottled)
}

func waitsAfter503(t testing.TB, x exchange) {
	x.rests(t, http.StatusServiceUnavailable, endpoint.ErrUnavailable)
}

func serverErrors(t testing.TB, x exchange) {
	for _, status := range []int{
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, 529,
	} {
		for _, a := range []Answer{x.Wire.refusal(status, "internal error"), page(status), {Status: status}} {
			x.wants(t, x.answered(t, false, a), endpoint.ErrUnavailable, fmt.Sprintf("%d with %q", status, a.Body))
		}
	}
	if !x.read {
		x.wants(t, x.answered(t, true, page(http.StatusBadGateway)), endpoint.ErrUnavailable, "502, although it was applied")
		x.until(t, x.Settle, "sign of a write that was answered 502", x.took)
	}
}

func unreadable(t testing.TB, x exchange) {
	bodies := []Answer{page(http.StatusOK)}
	if x.read {
		for _, body := range []string{"", "null", "[]", "{}", `"no"`, "{", "not json"} {
			bodies = append(bodies, Answer{Status: http.StatusOK, Header: jsonHeader(), Body: body})
		}
	}
	for _, a := range bodies {
		err := x.answered(t, false, a)
		x.wants(t, err, endpoint.ErrUnavailable, fmt.Sprintf("200 with %q", a.Body))
	}
}

func cutOff(t testing.TB, x exchange) {
	err := x.answered(t, true, Answer{Cut: true})
	if x.read || err != nil {
		x.wants(t, err, endpoint.ErrUnavailable, "by half of its answer")
	}
	if !x.read {
		x.until(t, x.Settle, "sign of a write whose answer broke off", x.took)
	}
}

func redirects(t testing.TB, x exchange) {
	for _, status := range []int{
		http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
	} {
		for _, to := range []string{"https://" + elsewhere + "/v1/endpoints", "?"} {
			a := Answer{Status: status, Header: http.Header{"Location": {to}}}
			before := len(x.Wire.Calls())
			err := x.answered(t, false, a)
			if err == nil || endpoint.Unapplied(err) {
				t.Errorf("%s, answered %d to %s: %v, want an error that claims nothing", x.name, status, to, err)
			}
			if strays := x.Wire.strayed(); len(strays) > 0 {
				t.Errorf("%s, answered %d to %s: it was followed by %q", x.name, status, to, strays)
			}
			if calls := x.Wire.Calls(); !x.read && len(calls) > before && calls[len(calls)-1].Write == 0 {
				t.Errorf("%s, answered %d to %s: the write became %q", x.name, status, to, calls[len(calls)-1].Name)
			}
		}
	}
}

// credentials is what requests have had in their header Authorization.
func (w *Wire) credentials() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.authorization
}

// strayed returns the requests to elsewhere, and forgets them.
func (w *Wire) strayed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.strays
	w.strays = nil
	return all
}

func hugeBody(t testing.TB, x exchange) {
	const size = 1 << 30
	err := x.answered(t, true, Answer{Pad: size})
	if x.read {
		x.wants(t, err, endpoint.ErrUnavailable, "by a body of 1 GiB")
	}
	if err != nil && endpoint.Unapplied(err) {
		t.Errorf("%s, answered by a body of 1 GiB: %v, which claims that nothing was applied", x.name, err)
	}
	x.Wire.mu.Lock()
	defer x.Wire.mu.Unlock()
	if x.Wire.drawn > maxDrawn {
		t.Errorf("%s, answered by a body of 1 GiB: it read more than %d MiB of it", x.name, maxDrawn>>20)
	}
}

func saysWhy(t testing.TB, x exchange) {
	status := http.StatusBadRequest
	if x.read {
		status = http.StatusForbidden
	}
	const why = "the moon is in the wrong quarter"
	long := strings.Repeat("and so on, ", 10_000)
	x.status(t) // so that the credentials are known
	err := x.answered(t, false, x.Wire.refusal(status, why+"; you sent "+x.Wire.credentials()+"; "+long))
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("%s, refused because %q: %.2000v", x.name, why, err)
	}
	if err == nil {
		return
	}
	if n := len(err.Error()); n > 4<<10 {
		t.Errorf("%s, refused at length: the error has %d bytes, want at most 4096", x.name, n)
	}
	for i, secret := range x.Secrets {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s, refused: the error shows secret %d", x.name, i)
		}
	}
}
