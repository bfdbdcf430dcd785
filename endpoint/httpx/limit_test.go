package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// TestLimitsNeverBlockWrites: whatever a server said before, a write is sent, and
// so is a read that is no poll.
func TestLimitsNeverBlockWrites(t *testing.T) {
	for name, r := range map[string]round{
		"a 200 for a day":     {status: 200, body: `{}`, header: http.Header{"Ratelimit": {`"day";r=0;t=86400`}}},
		"a 429 for a day":     {status: 429, header: http.Header{"Ratelimit": {`"day";r=0;t=86400`}, "Retry-After": {"86400"}}},
		"a 429 for a century": {status: 429, header: http.Header{"Retry-After": {"9000000000"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := r.client()
				c.Limits = httpx.NewLimits(0.5)
				_ = c.Do(t.Context(), http.MethodPatch, "x", 1, nil)
				ctx, err := c.Polling(t.Context(), 3)
				if err != nil {
					t.Fatal(err)
				}
				err = c.Do(ctx, http.MethodGet, "x", nil, nil)
				if !errors.Is(err, endpoint.ErrThrottled) || endpoint.RetryAfter(err) != 2*time.Minute || !strings.Contains(err.Error(), "until 2000-01-02T00:00:00Z") {
					t.Errorf("a poll is %v, and asks for %v", err, endpoint.RetryAfter(err))
				}
				if len(r.sent) != 1 {
					t.Fatal("a poll without a chance was sent")
				}
				r.status, r.header, r.body = 200, nil, `{}`
				if err := c.Do(t.Context(), http.MethodPatch, "x", 1, nil); err != nil || len(r.sent) != 2 {
					t.Errorf("a write is %v", err)
				}
				if err := c.Do(t.Context(), http.MethodGet, "x", nil, nil); err != nil {
					t.Errorf("a read is %v", err)
				}
				time.Sleep(2 * time.Minute)
				if err := c.Do(ctx, http.MethodGet, "x", nil, nil); err != nil {
					t.Errorf("a poll after the longest delay is %v", err)
				}
			})
		})
	}
}

// TestDelayIsAffordable: of what a server asks for, the caller's deadline leaves
// room for another try.
func TestDelayIsAffordable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := round{status: 429, header: http.Header{"Retry-After": {"3600"}}}
		c := r.client()
		c.MaxDelay = 2 * time.Hour
		err := c.Do(t.Context(), http.MethodPatch, "x", 1, nil)
		if got := endpoint.RetryAfter(err); got != time.Hour {
			t.Errorf("RetryAfter = %v without a deadline", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		err = c.Do(ctx, http.MethodPatch, "x", 1, nil)
		if got := endpoint.RetryAfter(err); got != 5*time.Minute || !strings.Contains(err.Error(), "asked for 1h0m0s of rest, until 2000-01-01T01:00:00Z") {
			t.Errorf("RetryAfter = %v: %v", got, err)
		}
	})
}

// TestWindowsAreBounded: a server that makes up names fills no memory, and does
// not push out the windows that count.
func TestWindowsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := round{status: 200, body: `{}`}
		c := r.client()
		c.Limits = httpx.NewLimits(0.5)
		for i := range 1000 {
			r.header = http.Header{"Ratelimit": {fmt.Sprintf(`"w%d";r=5;t=1, %q;r=0;t=9`, i, strings.Repeat("x", 1000))}}
			if err := c.Do(t.Context(), http.MethodGet, "x", nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		r.header = http.Header{"Ratelimit": {`"minute";r=0;t=60`}}
		_ = c.Do(t.Context(), http.MethodGet, "x", nil, nil)
		ctx, _ := c.Polling(t.Context(), 1)
		if err := c.Do(ctx, http.MethodGet, "x", nil, nil); !errors.Is(err, endpoint.ErrThrottled) {
			t.Errorf("the window that counts was forgotten: %v", err)
		}
	})
}

// TestPollingDelay: polling is paced by its share, and never by more than MaxDelay.
func TestPollingDelay(t *testing.T) {
	for policy, want := range map[string]time.Duration{
		`"minute";q=60;w=60`:   4 * time.Minute, // 15 at once, and then one each 4 s
		`"day";q=2;w=86400`:    75 * 2 * time.Minute,
		`"nonsense";q=0;w=9`:   0,
		`"minute";q=60000;w=1`: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := round{status: 200, body: `{}`, header: http.Header{"Ratelimit-Policy": {policy}}}
			c := r.client()
			c.Limits = httpx.NewLimits(0.5)
			_ = c.Do(t.Context(), http.MethodGet, "x", nil, nil)
			start := time.Now()
			for range 75 {
				ctx, err := c.Polling(t.Context(), 1)
				if err != nil {
					t.Fatal(err)
				}
				_ = c.Do(ctx, http.MethodGet, "x", nil, nil)
			}
			if got := time.Since(start); got < want*9/10 || got > want*11/10 {
				t.Errorf("%s: 75 polls took %v, want about %v", policy, got, want)
			}
		})
	}
}
