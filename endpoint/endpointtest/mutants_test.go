package endpointtest

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/promise"
)

// Each of these mutants is an updater with one of the bugs that updaters of
// third parties have had: in how it understands HTTP answers, and in what its
// status says. They are caught as the other broken updaters are.
func init() { //nolint:gochecknoinits // one map, in two files
	maps.Copy(brokenUpdaters, answerMutants)
	maps.Copy(brokenUpdaters, statusMutants)
}

type brokenUpdater = struct {
	by   string
	also []string
	make func() Subject
}

func overHTTP(by, breaks string, also ...string) brokenUpdater {
	return brokenUpdater{by: by, also: also, make: func() Subject { return tinySubject(breaks) }}
}

var answerMutants = map[string]brokenUpdater{
	"takes a 5xx for a refusal": overHTTP("a 5xx leaves open whether it was applied", "5xx is a refusal",
		"a 503 has its Retry-After as well", "what cannot be read is an error"), // an outage is a 503
	"takes a 409 for an outage":            overHTTP("a 409 says that another change is in progress", "409 is an outage"),
	"takes a 409 for a mistake":            overHTTP("a 409 says that another change is in progress", "409 is a mistake"),
	"takes a proxy's 404 for the endpoint": overHTTP("a 404 that is not the provider's is no answer", "any 404"),
	"takes a missing target for an outage": overHTTP("a 404 in the provider's words is not found", "404 is an outage",
		"a refusal is one, and changes nothing"), // for which it asks for a target that is missing
	"takes an expired key for a mistake":  overHTTP("a 401 and a 403 are a matter of rights", "401 is a mistake"),
	"takes a mistake for an outage":       overHTTP("a 4xx in the provider's words is a refusal that stays", "422 is an outage"),
	"takes throttling for a mistake":      overHTTP("a 429 is throttling, with its Retry-After", "429 is a mistake"),
	"ignores the Retry-After of a 429":    overHTTP("a 429 is throttling, with its Retry-After", "no rest after 429"),
	"ignores the Retry-After of a 503":    overHTTP("a 503 has its Retry-After as well", "no rest after 503"),
	"reads no Retry-After that is a date": overHTTP("a 429 is throttling, with its Retry-After", "no dates", "a 503 has its Retry-After as well"),
	"takes any 200 for success": overHTTP("a success that cannot be read is none", "any 200",
		"a huge body is not read whole"), // of which it reads the beginning
	"takes half an answer for a refusal":     overHTTP("a body that breaks off is no answer", "cut"),
	"follows redirects":                      overHTTP("a redirect is not followed", "redirect"),
	"reads a body whole":                     overHTTP("a huge body is not read whole", "huge"),
	"shows the key that a refusal repeats":   overHTTP("a refusal says why, and shows no secret", "shows the key"),
	"leaves out why it was refused":          overHTTP("a refusal says why, and shows no secret", "says nothing"),
	"takes a state that is new for ready":    overHTTP("a state that is not known is not ready", "unknown is ready"),
	"repeats the other bound from the start": overHTTP("a setting leaves the others as they are", "old bound"),
}

// showing is a mutant that shows another status.
func showing(by string, edit func(s *endpoint.Status), also ...string) brokenUpdater {
	return brokenUpdater{by: by, also: also, make: onWorkers(func(b *broken, w *Workers) {
		b.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := w.Status(ctx)
			if err == nil {
				edit(&s)
			}
			return s, err
		}
	})}
}

const (
	truth   = "the status is what really runs"
	failure = "what breaks is seen to fail, and why"
	nothing = "an endpoint that runs nothing shows it"
)

var statusMutants = map[string]brokenUpdater{
	"shows that the target serves while it is updating": showing(truth, func(s *endpoint.Status) {
		if s.Phase == endpoint.PhaseUpdating {
			s.Serving, s.Mixed = s.Desired, false
		}
	}, failure),
	"counts stale workers as ready": showing(truth, func(s *endpoint.Status) {
		p := &s.Pools[0]
		p.Ready, p.Stale = p.Ready+p.Stale, 0
	}, failure),
	"is ready before anything is up": showing(truth, func(s *endpoint.Status) {
		if s.Phase == endpoint.PhaseScaling {
			s.Phase = endpoint.PhaseReady
		}
	}, "a failed update is no success", failure),
	"never shows that revisions are mixed": {by: truth, make: func() Subject {
		w, s := workersSubject(func(c *WorkersConfig) { c.Min, c.Tick = 2, 2*time.Minute }) // for longer than reads lag
		s.Updater = &broken{all: w, status: func(ctx context.Context) (endpoint.Status, error) {
			s, err := w.Status(ctx)
			s.Mixed = false
			return s, err
		}}
		return s
	}},
	"always shows that revisions are mixed": showing(truth, func(s *endpoint.Status) { s.Mixed = true },
		"at rest the status says so", "an update comes to serve", failure, nothing),
	"shows paused as scaling": showing(nothing, func(s *endpoint.Status) {
		if s.Phase == endpoint.PhasePaused {
			s.Phase = endpoint.PhaseScaling
		}
	}),
	"shows paused as ready": showing(nothing, func(s *endpoint.Status) {
		if s.Phase == endpoint.PhasePaused {
			s.Phase = endpoint.PhaseReady
		}
	}),
	"serves without a worker": showing(nothing, func(s *endpoint.Status) {
		if s.Live() == 0 {
			s.Serving = s.Desired
		}
	}),
	"shows failing workers as starting": showing(failure, startingForEver),
	"shows a failure a minute late": {by: failure, make: onWorkers(func(b *broken, w *Workers) {
		var since time.Time
		b.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := w.Status(ctx)
			if s.Unhealthy() > 0 && since.IsZero() {
				since = time.Now()
			}
			if s.Unhealthy() > 0 && time.Since(since) < time.Minute {
				startingForEver(&s)
			}
			return s, err
		}
	})},
	"gives no reason": showing(failure, func(s *endpoint.Status) { s.Reason = "" }),
	"has failed, and serves": {by: failure, make: onFailing(func(s *endpoint.Status) {
		if s.Phase == endpoint.PhaseFailed {
			s.Serving = s.Desired
		}
	})},
	"has failed, and is ready": {by: failure, make: onFailing(func(s *endpoint.Status) {
		if s.Phase == endpoint.PhaseFailed {
			s.Phase = endpoint.PhaseReady
			s.Serving = s.Desired
		}
	})},
	"sends a setting again whose answer is lost": {by: "a setting's lost answer is no refusal", make: onWorkers(func(b *broken, w *Workers) {
		b.set = func(ctx context.Context, key string, value int) error {
			err := w.Set(ctx, key, value)
			if errors.Is(err, endpoint.ErrUnavailable) {
				_ = w.Set(ctx, key, value)
			}
			return err
		}
	})},
	"panics at a refusal": {
		by: "a refusal is one, and changes nothing", also: []string{"errors name the endpoint", "no secret gets out"},
		make: onWorkers(func(b *broken, w *Workers) {
			b.update = func(ctx context.Context, c endpoint.Change) error {
				err := w.Update(ctx, c)
				if errors.Is(err, endpoint.ErrNotFound) {
					panic("runtime error: index out of range [0] with length 0")
				}
				return err
			}
		}),
	},
}

func startingForEver(s *endpoint.Status) {
	p := &s.Pools[0]
	p.Starting, p.Unhealthy = p.Starting+p.Unhealthy, 0
	s.Reason = ""
	if s.Phase == endpoint.PhaseDegraded {
		s.Phase = endpoint.PhaseScaling
	}
}

// onFailing is a mutant over a provider that ends failed.
func onFailing(edit func(s *endpoint.Status)) func() Subject {
	return func() Subject {
		v, s := variantsSubject()
		u := &unguarded{broken: &broken{all: v}, AutoscalingSuspender: v, Shifter: v}
		u.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := v.Status(ctx)
			if err == nil {
				edit(&s)
			}
			return s, err
		}
		s.Updater, s.BreakTarget = u, func() { v.BreakOn("model-2", "out of memory") }
		return s
	}
}

// everySuite has the promises of Run and of RunAnswers.
var everySuite = promise.Suite[Harness]{Bubble: true, Promises: append(append([]promise.Promise[Harness]{}, updaterSuite.Promises...), answerSuite.Promises...)}

// The kinds of mutants that an earlier version of the suite let pass, and more.
func TestMutants(t *testing.T) {
	if n := len(answerMutants) + len(statusMutants); n < 26 {
		t.Errorf("there are %d mutants, want 26 or more", n)
	}
}
