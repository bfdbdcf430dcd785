package runpod_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// 429 with both headers: the window that lasts longest decides, for every
// endpoint of the client, and no poll is sent in the meantime. A write is.
func TestRateLimitHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		c := restClient(t, srv, runpod.WithMaxDelay(24*time.Hour))
		e := c.Endpoint(endpointID)
		srv.Fail(runpodtest.Call{Field: "getEndpoint"}, exhausted(429))
		_, err := e.Status(t.Context())
		checkError(t, err, endpoint.ErrThrottled)
		if d := endpoint.RetryAfter(err); d != 30*time.Minute {
			t.Errorf("RetryAfter = %v, want the hour's rest", d)
		}
		time.Sleep(20 * time.Minute)
		sent := len(srv.Requests())
		_, err = c.Endpoint("another").Status(t.Context())
		if !errors.Is(err, endpoint.ErrThrottled) || !strings.Contains(err.Error(), "until 2000-01-01T00:30:00Z") {
			t.Errorf("Status = %v, want it throttled, and until when", err)
		}
		if d := endpoint.RetryAfter(err); d != 10*time.Minute || len(srv.Requests()) != sent {
			t.Errorf("RetryAfter = %v, %d requests sent", d, len(srv.Requests())-sent)
		}
		if err := e.Set(t.Context(), endpoint.WorkersMin, 0); err != nil {
			t.Errorf("a write is not sent: %v", err)
		}
		time.Sleep(10 * time.Minute)
		status(t, e)
	})
}

func exhausted(code int) runpodtest.Fault {
	return runpodtest.Fault{
		Status: code, Body: `{"title":"Too Many Requests","status":429,"detail":"rate limit exceeded for the minute window"}`,
		Header: http.Header{
			"Content-Type": {"application/problem+json"}, "Retry-After": {"12"},
			"Ratelimit": {`"minute";r=0;t=12, "hour";r=0;t=1800, "day";r=41;t=45012`}, "Ratelimit-Policy": {`"minute";q=60;w=60, "hour";q=3000;w=3600, "day";q=50000;w=86400`},
		},
	}
}

// A header that asks for a day, on a write or on a read that succeeds, keeps no
// endpoint at 0 workers: the same client goes on a few minutes later.
func TestDayOfRestParksNothing(t *testing.T) {
	day := http.Header{"Retry-After": {"86400"}, "Ratelimit": {`"day";r=0;t=86400`}, "Ratelimit-Policy": {`"day";q=2;w=86400`}}
	for name, field := range map[string]string{"a write": "updateEndpoint", "a read": "getEndpoint", "the workers": "listEndpointWorkers"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, routes()[0])
				armed := false
				w.OnMutation(func(n int, _ string) runpodtest.Fault {
					if n != 2 || armed { // the one that takes the last worker away
						return runpodtest.Fault{}
					}
					armed = true
					return runpodtest.Fault{Then: func() {
						w.Fail(runpodtest.Call{Field: field}, runpodtest.Fault{
							Status: 429, Header: day, Body: `{"title":"Too Many Requests","status":429,"detail":"slow down"}`,
						})
					}}
				})
				start := time.Now()
				r, err := w.run(t.Context(), strategy.FlushToZero{})
				w.wantServing(t, r, err)
				if took := time.Since(start); took > time.Hour {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// Polling keeps to its share of the quota, whatever is asked of it.
func TestPollingShare(t *testing.T) {
	limits := []runpodtest.Limit{{Name: "minute", Quota: 60, Window: time.Minute}, {Name: "hour", Quota: 1200, Window: time.Hour}}
	for _, share := range []float64{0.5, 0.25} {
		synctest.Test(t, func(t *testing.T) {
			srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{Limits: limits}))
			c := restClient(t, srv, runpod.WithPollingShare(share))
			e := c.Endpoint(endpointID)
			start, looks := time.Now(), 0
			for time.Since(start) < 2*time.Hour {
				status(t, e)
				looks++
				time.Sleep(time.Second)
			}
			var at []time.Time
			for _, r := range srv.Requests() {
				if r.Plane == runpodtest.Management {
					at = append(at, r.At)
				}
			}
			for _, l := range limits {
				most, from := 0, 0
				for i := range at {
					for at[i].Sub(at[from]) >= l.Window {
						from++
					}
					most = max(most, i-from+1)
				}
				if limit := share * float64(l.Quota); float64(most) > limit {
					t.Errorf("%d requests in one %s, the share is %v", most, l.Name, limit)
				}
			}
			if looks < int(share*1200)/2 {
				t.Errorf("%d looks in two hours: polling starves", looks)
			}
			if err := e.Set(t.Context(), endpoint.WorkersMax, 4); err != nil {
				t.Errorf("a write finds nothing left: %v", err)
			}
		})
	}
}

// A whole rollout within a narrow quota.
func TestRolloutWithinLimits(t *testing.T) {
	eachRoute(t, runpodtest.Behaviour{Limits: []runpodtest.Limit{
		{Name: "minute", Quota: 60, Window: time.Minute}, {Name: "hour", Quota: 3000, Window: time.Hour}, {Name: "day", Quota: 50000, Window: 24 * time.Hour},
	}}, func(t *testing.T, w *world, s strategy.Strategy) {
		t.Helper()
		r, err := w.run(t.Context(), s)
		w.wantServing(t, r, err)
		for _, q := range w.Requests() {
			if q.Status == http.StatusTooManyRequests {
				t.Fatal("it ran into the limit")
			}
		}
	})
}
