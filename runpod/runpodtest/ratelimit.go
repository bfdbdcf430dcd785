package runpodtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limit is one window of the REST API's rate limit: at most Quota requests of
// all keys together in each Window. Windows begin with the first request after
// the last one ended.
type Limit struct {
	Name   string // "minute", "hour", "day"
	Quota  int
	Window time.Duration
}

// usage is what the present windows have seen.
type usage struct {
	windows map[string]*window
}

type window struct {
	ends time.Time
	used int
}

// admit counts a request, unless a window is used up, and sets the headers that
// every answer has. Retry-After speaks of the first window only that is used
// up: another one may last longer.
func (u *usage) admit(limits []Limit, now time.Time, h http.Header) bool {
	if len(limits) == 0 {
		return true
	}
	if u.windows == nil {
		u.windows = map[string]*window{}
	}
	full := ""
	for _, l := range limits {
		w := u.windows[l.Name]
		if w == nil || !now.Before(w.ends) {
			w = &window{ends: now.Add(l.Window)}
			u.windows[l.Name] = w
		}
		if w.used >= l.Quota && full == "" {
			full = l.Name
		}
	}
	var state, policy []string
	for _, l := range limits {
		w := u.windows[l.Name]
		if full == "" {
			w.used++
		}
		left := int((w.ends.Sub(now) + time.Second - 1) / time.Second)
		state = append(state, fmt.Sprintf("%q;r=%d;t=%d", l.Name, max(0, l.Quota-w.used), left))
		policy = append(policy, fmt.Sprintf("%q;q=%d;w=%d", l.Name, l.Quota, int(l.Window/time.Second)))
		if l.Name == full {
			h.Set("Retry-After", strconv.Itoa(left))
		}
	}
	h.Set("RateLimit", strings.Join(state, ", "))
	h.Set("RateLimit-Policy", strings.Join(policy, ", "))
	return full == ""
}
