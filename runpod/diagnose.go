package runpod

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// slowStart is how long a worker may be starting before its log is read.
	slowStart = 3 * time.Minute
	// diagnosisAge is how old a diagnosis may be before the log is read again.
	diagnosisAge = 5 * time.Minute
)

// diagnoses remembers why workers do not serve, so that a log is not read with
// each poll. The zero value is ready to use, by many goroutines.
type diagnoses struct {
	mu   sync.Mutex
	said string
	of   string
	at   time.Time
}

// trouble is a worker that does not serve, and in which way as far as its status
// tells.
type trouble struct {
	pod  *pod
	kind string
}

// worst is the worker whose trouble says most; nil if there is none.
func worst(v view, loops []string, now time.Time) *trouble {
	var slow, sick, loop *pod
	for _, p := range v.current {
		switch status := strings.ToUpper(p.status); {
		case slices.Contains(loops, p.id), !p.loopsSince.IsZero() && loop == nil:
			loop = p
		case status == "UNHEALTHY":
			sick = p
		case status == "INITIALIZING" && !p.since.IsZero() && now.Sub(p.since) >= slowStart && (slow == nil || p.since.Before(slow.since)):
			slow = p
		}
	}
	switch {
	case loop != nil:
		return &trouble{loop, "crash loop"}
	case sick != nil:
		return &trouble{sick, "health check"}
	case slow != nil:
		return &trouble{slow, "start"}
	}
	return nil
}

// explain says why a worker does not serve, in a few hundred bytes: which of the
// causes it is, the worker, since when, and the last lines of its log.
func (d *diagnoses) explain(ctx context.Context, t *trouble, now time.Time, read func(context.Context, string) ([]logEntry, error)) string {
	if t == nil {
		return ""
	}
	d.mu.Lock()
	of := t.pod.id + " " + t.kind
	said, fresh := d.said, d.of == of && now.Sub(d.at) < diagnosisAge
	d.mu.Unlock()
	if !fresh {
		log, err := read(ctx, t.pod.id)
		switch {
		case err != nil:
			said = cause(t.kind, nil) + "; its log cannot be read"
		case len(log) == 0:
			said = cause(t.kind, nil) + "; its log is empty"
		default:
			said = cause(t.kind, log) + "; the last lines of its log: " + lastLines(log)
		}
		d.mu.Lock()
		d.said, d.of, d.at = said, of, now
		d.mu.Unlock()
	}
	begun, since := t.pod.since, ""
	if t.kind == "crash loop" && !t.pod.loopsSince.IsZero() {
		begun = t.pod.loopsSince
	}
	if !begun.IsZero() {
		since = fmt.Sprintf(" for %v", now.Sub(begun).Round(time.Second))
	}
	doing := map[string]string{"crash loop": "has been restarting", "health check": "has been unhealthy", "start": "has been starting"}[t.kind]
	return fmt.Sprintf("worker %s %s%s: %s", facts([]*pod{t.pod}), doing, since, said)
}

// cause names what is wrong by what the platform says in the log.
func cause(kind string, log []logEntry) string {
	switch {
	case cannotPull(log):
		return "its image cannot be pulled"
	case kind == "crash loop", starts(log) >= 3:
		return "its container starts and ends again and again (crash loop)"
	case kind == "health check":
		return "it fails RunPod's health check"
	}
	return "its container has not come up"
}
