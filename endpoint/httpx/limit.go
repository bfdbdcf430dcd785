package httpx

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

const (
	// maxRetryAfter bounds what a server can ask for.
	maxRetryAfter = 24 * time.Hour
	// maxWindows and maxName bound what a server can make a client remember.
	maxWindows = 16
	maxName    = 64
)

// Limits is what one client knows of an account's rate limit: one budget,
// whatever endpoints it drives. A server tells it with its answers, by the header
// fields RateLimit and RateLimit-Policy (the IETF's draft), or by Retry-After.
// Get one from [NewLimits].
//
// It paces polling and refuses polls that have no chance. It never keeps a write
// from being sent, nor a read that is not marked by [Client.Polling]: what a server said
// some time ago must not stand between a rollout and the values that it has to
// restore.
type Limits struct {
	share float64

	mu      sync.Mutex
	windows map[string]*limitWindow
	tokens  float64 // that polling has left; filled up over time
	filled  time.Time
}

type limitWindow struct {
	quota     int
	length    time.Duration
	remaining int
	resets    time.Time
	// honoured is until when polling keeps to it, if that is before resets.
	honoured time.Time
}

// NewLimits returns Limits by which polling spends at most this share of each
// window, above 0 and at most 1.
func NewLimits(share float64) *Limits {
	return &Limits{share: share, windows: map[string]*limitWindow{}}
}

// polling marks the context of a request that is one of many.
type polling struct{}

// Polling waits until polling has room for so many requests, for at most
// [Client.MaxDelay], and returns a context whose requests count as polling: they
// spend the share of the rate limit that polling has, and are refused as
// throttled, without being sent, while a window of the limit is used up. The
// error is ctx's, if that is done.
func (c *Client) Polling(ctx context.Context, requests int) (context.Context, error) {
	now := time.Now()
	if d := c.affordable(ctx, c.Limits.PollDelay(requests, now), now); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	return context.WithValue(ctx, polling{}, true), ContextError(ctx)
}

// admit refuses a poll that the server is sure to refuse, and counts the others.
func (c *Client) admit(ctx context.Context) error {
	if c.Limits == nil || ctx.Value(polling{}) == nil {
		return nil
	}
	now := time.Now()
	if wait := c.Limits.exhausted(now); wait > 0 {
		return &ResponseError{
			StatusCode: http.StatusTooManyRequests, Condition: endpoint.ErrThrottled, RetryAfterDelay: c.affordable(ctx, wait, now),
			Message: fmt.Sprintf("not sent: the account's rate limit is used up until %s", now.Add(wait).UTC().Format(time.RFC3339)),
		}
	}
	c.Limits.spend()
	return nil
}

// note takes in the headers of an answer, to be honoured for at most most.
func (l *Limits) note(res *http.Response, now time.Time, most time.Duration) {
	if l == nil {
		return
	}
	h := res.Header
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := RetryAfter(h, now); d > 0 && res.StatusCode == http.StatusTooManyRequests {
		if w := l.window("retry-after", now); w != nil {
			w.remaining, w.resets, w.honoured = 0, now.Add(d), now.Add(min(d, most))
		}
	}
	state, policy := fields(h.Values("RateLimit")), fields(h.Values("RateLimit-Policy"))
	if len(state)+len(policy) == 0 {
		return
	}
	fresh := l.filled.IsZero()
	for name, p := range policy {
		w := l.window(name, now)
		if w == nil {
			continue
		}
		if q, ok := p["q"]; ok {
			w.quota = q
		}
		if n, ok := p["w"]; ok {
			w.length = seconds(n)
		}
	}
	for name, s := range state {
		r, okR := s["r"]
		t, okT := s["t"]
		if w := l.window(name, now); w != nil && okR && okT {
			w.remaining, w.resets, w.honoured = r, now.Add(seconds(t)), now.Add(min(seconds(t), most))
		}
	}
	if fresh {
		l.tokens, l.filled = l.burst(), now
	}
}

// window returns the window of that name, a new one if there is room for it. A
// window that began anew without word of it makes room.
func (l *Limits) window(name string, now time.Time) *limitWindow {
	if w := l.windows[name]; w != nil {
		return w
	}
	for other, w := range l.windows {
		if len(l.windows) >= maxWindows && now.After(w.resets) {
			delete(l.windows, other)
		}
	}
	if len(l.windows) >= maxWindows {
		return nil
	}
	w := &limitWindow{remaining: 1}
	l.windows[name] = w
	return w
}

func seconds(n int) time.Duration {
	return time.Duration(min(max(n, 0), int(maxRetryAfter/time.Second))) * time.Second
}

// fields reads a structured-field list: "minute";r=0;t=12, "hour";r=28;t=1812.
// What it cannot read it leaves out.
func fields(values []string) map[string]map[string]int {
	list := map[string]map[string]int{}
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.Trim(strings.TrimSpace(name), `"`)
		if name == "" || len(name) > maxName || len(list) >= maxWindows {
			continue
		}
		m := map[string]int{}
		for p := range strings.SplitSeq(params, ";") {
			k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
			if n, err := strconv.Atoi(v); err == nil && n >= 0 && len(m) < maxWindows {
				m[k] = n
			}
		}
		list[name] = m
	}
	return list
}

// exhausted is how long no poll has a chance: until the last of the windows that
// are used up begins anew. Retry-After speaks of one of them only.
func (l *Limits) exhausted(now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var wait time.Duration
	for _, w := range l.windows {
		if w.remaining <= 0 && now.Before(w.honoured) {
			wait = max(wait, w.resets.Sub(now))
		}
	}
	return wait
}

// Polling is paced by a bucket of tokens, one for a request. It holds half of
// what polling may spend in the smallest window, for polls that follow each
// other closely, and is filled at a rate that keeps the sum within the share
// of every window. So polling gets slower, and is never cut off for hours.

func (l *Limits) burst() float64 {
	b := math.Inf(1)
	for _, w := range l.windows {
		if w.quota > 0 {
			b = min(b, l.share*float64(w.quota)/2)
		}
	}
	return b
}

// rate is in tokens for a second.
func (l *Limits) rate() float64 {
	r, b := math.Inf(1), l.burst()
	for _, w := range l.windows {
		if w.quota > 0 && w.length > 0 {
			r = min(r, (l.share*float64(w.quota)-b)/w.length.Seconds())
		}
	}
	return r
}

func (l *Limits) fill(now time.Time) {
	if now.After(l.filled) {
		if gained := l.rate() * now.Sub(l.filled).Seconds(); gained > 0 {
			l.tokens += gained
		}
		l.filled = now
	}
	l.tokens = min(l.tokens, l.burst())
}

// PollDelay is how long polling has to wait until its share has room for so many
// requests; 0 if it has, or if the server tells no limit.
func (l *Limits) PollDelay(requests int, now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if math.IsInf(l.burst(), 1) {
		return 0
	}
	l.fill(now)
	need := min(float64(requests), l.burst())
	if l.tokens >= need {
		return 0
	}
	if s := (need - l.tokens) / l.rate(); s < maxRetryAfter.Seconds() {
		return time.Duration(math.Ceil(s*1000)) * time.Millisecond
	}
	return maxRetryAfter
}

// spend counts a request that polling made.
func (l *Limits) spend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !math.IsInf(l.tokens, 1) {
		l.tokens--
	}
}

// RetryAfter reads the header field of that name: seconds, or a date by the
// server's own clock where it shows that. It is 0 for nonsense, and at most 24
// hours.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseInt(v, 10, 64); err == nil {
		return time.Duration(min(max(s, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if served, err := http.ParseTime(h.Get("Date")); err == nil {
		now = served
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
