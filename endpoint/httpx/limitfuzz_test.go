package httpx

import (
	"net/http"
	"testing"
	"time"
)

// FuzzRateLimit reads headers that may be anything.
func FuzzRateLimit(f *testing.F) {
	f.Add(`"minute";r=0;t=12, "hour";r=2800;t=1812`, `"minute";q=60;w=60, "hour";q=3000;w=3600`, "12", 0.5)
	f.Add(`minute;r=-1;t=99999999999`, `;;;q`, "Wed, 21 Oct 2026 07:28:00 GMT", 1.0)
	f.Add(`"a";r=1`, `"a";q=0;w=0,"b";q=1`, "x", 0.01)
	f.Fuzz(func(t *testing.T, state, policy, after string, share float64) {
		if !(share > 0 && share <= 1) {
			return
		}
		now := time.Unix(1_800_000_000, 0)
		l := NewLimits(share)
		h := http.Header{"Ratelimit": {state}, "Ratelimit-Policy": {policy}, "Retry-After": {after}}
		for range 20 {
			l.note(&http.Response{StatusCode: 429, Header: h}, now, time.Hour)
			if d := l.exhausted(now); d < 0 || d > maxRetryAfter {
				t.Fatalf("exhausted for %v", d)
			}
			d := l.PollDelay(3, now)
			if d < 0 || d > maxRetryAfter {
				t.Fatalf("a poll in %v", d)
			}
			l.spend()
			now = now.Add(max(d, time.Second))
		}
	})
}
