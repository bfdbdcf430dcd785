package eventbridge

import (
	"strings"
	"time"
)

const (
	// spacing is the shortest time between two wake-ups of one wait: a flood of
	// events costs no more polls than an impatient poller makes.
	spacing = 2 * time.Second
	// skew is by how much AWS's clock may be behind ours. What happened before
	// that was there to be seen when the watch began.
	skew = time.Minute
)

// watch is one caller of [Queue.Watch]. Its queue guards it.
type watch struct {
	name, arn string // in lower case; arn is empty for any account and region
	since     time.Time
	wake      chan struct{}
	woken     time.Time
	later     *time.Timer // sends a wake-up that came too soon
}

func newWatch(endpoint string) *watch {
	name := strings.ToLower(strings.TrimPrefix(endpoint, "sagemaker/"))
	w := &watch{name: name, since: time.Now(), wake: make(chan struct{}, 1)}
	if _, rest, ok := strings.Cut(name, endpointSection); ok {
		w.name, w.arn = rest, name
	}
	return w
}

// concerns reports whether an event is about the endpoint that is watched.
func (w *watch) concerns(e event) bool {
	return e.name == w.name && (w.arn == "" || e.arn == "" || e.arn == w.arn)
}

// news reports whether an event may tell what the wait has not seen.
func (w *watch) news(e event) bool {
	return e.rest && (e.at.IsZero() || !e.at.Before(w.since.Add(-skew)))
}

// send wakes the wait, unless it has not polled since the last time.
func (w *watch) send(now time.Time) {
	w.woken = now
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
