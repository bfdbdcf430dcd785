package runpod

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// limits is what one client knows of the account's rate limit: one budget,
// whatever endpoints it drives. RunPod counts per user, and says with each
// answer how much of each of its windows is left.
type limits struct {
	share float64 // of the quota that polling may spend

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
}

// lookCost is how many requests one Status makes at most.
const lookCost = 3

func newLimits(share float64) *limits {
	return &limits{share: share, windows: map[string]*limitWindow{}}
}

// note takes in the headers of an answer.
func (l *limits) note(res *http.Response, now time.Time) {
	h := res.Header
	if d := retryAfter(h, now); d > 0 && res.StatusCode == http.StatusTooManyRequests {
		l.mu.Lock()
		l.windows["retry-after"] = &limitWindow{resets: now.Add(d)}
		l.mu.Unlock()
	}
	state, policy := fields(h.Values("RateLimit")), fields(h.Values("RateLimit-Policy"))
	if len(state)+len(policy) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.filled.IsZero()
	at := func(name string) *limitWindow {
		if l.windows[name] == nil {
			l.windows[name] = &limitWindow{remaining: 1}
		}
		return l.windows[name]
	}
	for name, p := range policy {
		if q, ok := p["q"]; ok {
			at(name).quota = q
		}
		if w, ok := p["w"]; ok {
			at(name).length = seconds(w)
		}
	}
	for name, s := range state {
		r, okR := s["r"]
		t, okT := s["t"]
		if okR && okT {
			at(name).remaining, at(name).resets = r, now.Add(seconds(t))
		}
	}
	if fresh {
		l.tokens, l.filled = l.burst(), now
	}
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
		if name == "" || len(list) >= 16 {
			continue
		}
		m := map[string]int{}
		for p := range strings.SplitSeq(params, ";") {
			k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
			if n, err := strconv.Atoi(v); err == nil && n >= 0 {
				m[k] = n
			}
		}
		list[name] = m
	}
	return list
}

// exhausted is how long no request has a chance: until the last of the windows
// that are used up begins anew. Retry-After speaks of one of them only.
func (l *limits) exhausted(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wait time.Duration
	for _, w := range l.windows {
		if w.remaining <= 0 {
			wait = max(wait, w.resets.Sub(now))
		}
	}
	return wait
}

// Polling is paced by a bucket of tokens, one for a request. It holds half of
// what polling may spend in the smallest window, for looks that follow each
// other closely, and is filled at a rate that keeps the sum within the share
// of every window. So polling gets slower, and is never cut off for hours.

func (l *limits) burst() float64 {
	b := math.Inf(1)
	for _, w := range l.windows {
		if w.quota > 0 {
			b = min(b, l.share*float64(w.quota)/2)
		}
	}
	return b
}

// rate is in tokens for a second.
func (l *limits) rate() float64 {
	r, b := math.Inf(1), l.burst()
	for _, w := range l.windows {
		if w.quota > 0 && w.length > 0 {
			r = min(r, (l.share*float64(w.quota)-b)/w.length.Seconds())
		}
	}
	return r
}

func (l *limits) fill(now time.Time) {
	if now.After(l.filled) {
		if gained := l.rate() * now.Sub(l.filled).Seconds(); gained > 0 {
			l.tokens += gained
		}
		l.filled = now
	}
	l.tokens = min(l.tokens, l.burst())
}

// turn is how long polling has to wait until there is budget for a look.
func (l *limits) turn(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if math.IsInf(l.burst(), 1) {
		return 0
	}
	l.fill(now)
	need := min(lookCost, l.burst())
	if l.tokens >= need {
		return 0
	}
	if s := (need - l.tokens) / l.rate(); s < maxRetryAfter.Seconds() {
		return time.Duration(math.Ceil(s*1000)) * time.Millisecond
	}
	return maxRetryAfter
}

// spend counts a request that polling made.
func (l *limits) spend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !math.IsInf(l.tokens, 1) {
		l.tokens--
	}
}

// polling marks the context of a look that is one of many.
type polling struct{}
