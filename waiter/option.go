package waiter

import (
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/changeover-dev/changeover/endpoint"
)

// Option changes how a wait waits. The conditions that an option does not
// concern ignore it.
type Option func(*config)

type config struct {
	pacing
	polling

	from     endpoint.Revision
	grace    time.Duration
	unproven bool
}

// pacing is when polls are made, and how many have to agree.
type pacing struct {
	schedule     pacer
	transient    func(error) bool
	budget       time.Duration
	first, limit time.Duration
	consecutive  int
	history      *History
	kind         string
	endpoint     string
}

// polling is what a loop makes its polls with.
type polling struct {
	wake     <-chan struct{}
	shared   *Shared
	observer func(Progress)
}

func newConfig(opts []Option) config {
	c := config{
		pacing: pacing{
			schedule:    pacerOf(Learned(DefaultPrice)),
			transient:   endpoint.Transient,
			budget:      5 * time.Minute,
			first:       time.Second,
			limit:       30 * time.Second,
			consecutive: 1,
		},
		grace: 30 * time.Second,
	}
	for _, o := range opts {
		o(&c)
	}
	return c
}

// backoff is the sleep after so many polls in a row that failed. The library's
// own time limit, which would end a wait behind the caller's back, is off.
func (c *pacing) backoff(failures int) (d time.Duration) {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(c.first),
		backoff.WithMaxInterval(c.limit),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0),
	)
	for range min(failures, 40) { // by then it is at any limit
		d = b.NextBackOff()
	}
	return d
}

// newSeed is the endpoint's own, so that the same wait polls the same moments
// each time it is run. Waits that do not say where they poll differ at random.
func (c *pacing) newSeed() uint64 {
	if c.endpoint == "" {
		return rand.Uint64() //nolint:gosec // not a secret
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, c.kind+"\x00"+c.endpoint)
	return h.Sum64()
}

// WithSchedule sets when to poll again while the condition does not hold. The
// default is [Learned] with [DefaultPrice].
func WithSchedule(s Schedule) Option { return func(c *config) { c.schedule = pacerOf(s) } }

// WithTransient says which errors of a poll do not end the wait, and for how
// long they may follow each other without a success between them. The default
// is [endpoint.Transient] and five minutes; a zero budget ends the wait at the
// first error.
func WithTransient(is func(error) bool, budget time.Duration) Option {
	return func(c *config) { c.transient, c.budget = is, budget }
}

// WithBackoff sets the sleep after an error: first, doubling with each further
// error up to limit, and never less than the provider asks for. The default is
// 1s, 30s. A first of less than a millisecond counts as one.
func WithBackoff(first, limit time.Duration) Option {
	first = max(first, time.Millisecond)
	return func(c *config) { c.first, c.limit = first, max(first, limit) }
}

// WithConsecutive sets for how many polls in a row the condition must hold, but
// for those that failed: an endpoint that answers every other time is seen too.
// The default is 1 for [Until], and 2 for the ready-made conditions. Less than
// 1 means 1.
func WithConsecutive(n int) Option { return func(c *config) { c.consecutive = max(1, n) } }

// WithWake makes a value received from wake cut the sleep short, but not the
// one after an error. It never stands in for a poll, and the poll that was
// planned is made all the same: a lost or late wake-up costs nothing that
// polling would not, and a lying one costs the poll that it asks for. A closed
// channel wakes nothing any more.
func WithWake(wake <-chan struct{}) Option { return func(c *config) { c.wake = wake } }

// WithObserver calls f after every poll, on the waiting goroutine.
func WithObserver(f func(Progress)) Option { return func(c *config) { c.observer = f } }

// WithHistory says which operation is waited for, on which endpoint. It hands
// the schedule the durations of earlier waits of the kind, and adds the
// duration of this one and of its stages when it succeeds. A nil h only names
// the endpoint. Take one kind for what takes a similar time on all endpoints.
func WithHistory(h *History, kind, endpoint string) Option {
	return func(c *config) { c.history, c.kind, c.endpoint = h, kind, endpoint }
}

// WithFrom names the revision that was served before, so that [Ready] can tell
// a provider that went back to it from a third party's change.
func WithFrom(r endpoint.Revision) Option { return func(c *config) { c.from = r } }

// WithGrace sets how long a bad sign must last before [Ready] believes it:
// another revision than the wanted one, or unhealthy capacity. It must cover
// the time by which the provider's reads may lag behind its writes. The
// default is 30s; zero means the first poll.
func WithGrace(d time.Duration) Option { return func(c *config) { c.grace = d } }

// WithUnproven makes [Ready] content with an endpoint that is configured for
// the wanted revision while nothing runs on it that could prove it, as is
// normal for one that scales to zero.
func WithUnproven() Option { return func(c *config) { c.unproven = true } }
