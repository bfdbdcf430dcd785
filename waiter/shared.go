package waiter

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// DefaultListInterval is the time between two lists of a [Shared].
const DefaultListInterval = 5 * time.Second

const (
	// listTimeout ends a list that hangs.
	listTimeout = time.Minute
	// slowest is the longest time between two lists, however much goes wrong,
	// unless the provider asks for more, and longestRest what it can ask for.
	slowest     = time.Minute
	longestRest = time.Hour
	// stale is after how many intervals a sighting says nothing any more.
	stale = 3
	// abreast is how many endpoints are polled at once, and a poll that takes
	// longer than slowPoll does not count any more: it is not to keep others waiting.
	abreast  = 8
	slowPoll = 10 * time.Second
)

// Shared lets any number of waits on the endpoints of one account share one
// poller: see [WithShared]. It lists while there are waits, and only then: one
// goroutine in all, one list at a time, never sooner than the interval after
// the one before. A list that fails makes it slow down, by as much as the
// provider asks for, and successes bring it back. It is safe for concurrent use.
//
// A list only says which endpoints are to be polled. An endpoint that it shows changed, or does
// not show any more, is polled; one that it shows unchanged is as it was
// seen. While there is no recent list, every wait polls for
// itself, by its own schedule. However many have to poll, eight at a time do,
// in the order in which they came to it.
type Shared struct {
	lister endpoint.Lister
	every  time.Duration
	polls  chan struct{} // holds an entry for each poll that is under way

	mu      sync.Mutex
	seen    map[string]dated
	watches map[*Watch]struct{}
	stop    context.CancelFunc // of the poller; nil while there is none
	began   time.Time          // when the last list began
	whole   time.Time          // when the last list began that did not fail
	gap     time.Duration      // from began until the next
	listed  chan struct{}      // closed when the next list ends
}

type dated struct {
	endpoint.ListEntry
	at time.Time // when the list that showed it began
}

// NewShared returns a poller that lists no more often than every so often.
// Zero or less means [DefaultListInterval].
func NewShared(l endpoint.Lister, every time.Duration) *Shared {
	if every <= 0 {
		every = DefaultListInterval
	}
	return &Shared{
		lister: l, every: every, polls: make(chan struct{}, abreast), gap: every,
		seen: map[string]dated{}, watches: map[*Watch]struct{}{}, listed: make(chan struct{}),
	}
}

// WithShared makes [Ready], [Drained] and [Settled] poll by the shared poller.
// They are woken when it sees a change, and poll for themselves only then:
// while it answers for the endpoint, the schedule is not asked for more than a
// poll per [MaxInterval].
func WithShared(s *Shared) Option { return func(c *config) { c.shared = s } }

// Watch is one wait's part in a [Shared]. It is for loops that make their polls
// themselves; [WithShared] does the same for the conditions of this package. It is
// not safe for concurrent use.
type Watch struct {
	s    *Shared
	name string
	wake chan struct{}
	tell func() // in addition, unless nil

	// Guarded by s.mu: when the last poll of the endpoint itself began, and
	// which fingerprint the list showed then. known is false as long as it did
	// not show one, or the poll failed.
	readAt time.Time
	print  string
	known  bool
	listed bool // the last poll was answered by the list
}

// Vouched reports whether the list answered the last poll, so that it tells of
// changes.
func (w *Watch) Vouched() bool {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.listed
}

// Wake receives a value when the list shows a change of the endpoint.
func (w *Watch) Wake() <-chan struct{} { return w.wake }

// Watch begins to watch the endpoint of that name, as [endpoint.Updater.Name]
// has it. It starts the poller if it does not run. The poller goes on until the
// last watch is released, whatever becomes of the context that the first came with.
func (s *Shared) Watch(ctx context.Context, name string) *Watch { return s.WatchFunc(ctx, name, nil) }

// WatchFunc is [Shared.Watch] for a scheduler of many waits: whenever the watch is
// woken, f is called too. It must neither block nor use the Shared. A nil f is
// not called.
func (s *Shared) WatchFunc(ctx context.Context, name string, f func()) *Watch {
	w := &Watch{s: s, name: name, wake: make(chan struct{}, 1), tell: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches[w] = struct{}{}
	if s.stop == nil {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		s.stop = cancel
		go s.poll(ctx, time.Until(s.began.Add(s.gap)))
	}
	return w
}

// Release ends the watch.
func (w *Watch) Release() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	delete(w.s.watches, w)
	if len(w.s.watches) == 0 && w.s.stop != nil {
		w.s.stop()
		w.s.stop = nil
	}
}

// Read leaves status, what was last read, as it is if a list that began later
// shows that nothing changed, and reads u otherwise. It waits for a list that is
// about to tell, for no longer than an interval and a second.
func (w *Watch) Read(ctx context.Context, u endpoint.Updater, status *endpoint.Status) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ok, soon := w.unchanged(status.Phase)
	if soon != nil {
		if err := sleep(ctx, w.s.every+time.Second, nil, soon); err != nil {
			return err
		}
		ok, _ = w.unchanged(status.Phase)
	}
	if ok {
		return nil
	}
	return w.readItself(ctx, u, status)
}

// readItself reads u when its turn has come.
func (w *Watch) readItself(ctx context.Context, u endpoint.Updater, status *endpoint.Status) error {
	done, err := w.s.acquire(ctx)
	if err != nil {
		return err
	}
	defer done()
	w.reading()
	err = readInto(ctx, u, status)
	if err != nil {
		w.s.mu.Lock()
		defer w.s.mu.Unlock()
		w.known = false
	}
	return err
}

// acquire waits until one more poll may begin. The caller calls done after it.
func (s *Shared) acquire(ctx context.Context) (done func(), err error) {
	select {
	case s.polls <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	slow := time.AfterFunc(slowPoll, func() { <-s.polls })
	return func() {
		if slow.Stop() {
			<-s.polls
		}
	}, nil
}

// reading takes down what the list shows before the endpoint itself is read.
func (w *Watch) reading() {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	w.readAt = time.Now()
	var seen dated
	seen, w.known = s.latest(w.name, w.readAt)
	w.print, w.listed = seen.Fingerprint, false
}

// unchanged reports whether what was last read, in that phase, still
// holds. If the next list may tell, soon is closed when it has ended.
func (w *Watch) unchanged(last endpoint.Phase) (ok bool, soon <-chan struct{}) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	seen, known := s.latest(w.name, now)
	// A list is worth waiting for if it comes when it would without trouble.
	healthy := s.gap <= s.every
	switch {
	case !known:
		if healthy && (w.readAt.IsZero() || now.Sub(s.whole) > stale*s.every) {
			// A poller that just began, or a change that did: let the list go
			// before the first read, which would else have to be made twice.
			soon = s.listed
		}
	case !w.known, seen.Incomplete, seen.Fingerprint != w.print, seen.Updating && last != endpoint.PhaseUpdating:
	case seen.at.After(w.readAt):
		w.listed = true
		return true, nil
	case healthy:
		soon = s.listed
	}
	return false, soon
}

// latest is what the lists show of an endpoint, unless that is too old. A
// the list of a poller that slowed down counts for longer: if all waits began to poll
// for themselves, what slowed it down would only get worse.
func (s *Shared) latest(name string, now time.Time) (dated, bool) {
	d, ok := s.seen[name]
	return d, ok && now.Sub(d.at) <= max(stale*s.every, min(s.gap, slowest)+s.every)
}

// poll lists until its context is done.
func (s *Shared) poll(ctx context.Context, first time.Duration) {
	for gap := first; ; {
		if sleep(ctx, gap, nil, nil) != nil {
			return
		}
		s.mu.Lock()
		s.began = time.Now()
		began := s.began
		s.mu.Unlock()
		lctx, cancel := context.WithTimeout(ctx, listTimeout)
		found, err := s.list(lctx)
		cancel()
		if ctx.Err() != nil {
			return // cut short: it says nothing
		}
		s.took(found, err, began)
		s.mu.Lock()
		gap = time.Until(began.Add(s.gap))
		s.mu.Unlock()
	}
}

// list lists once. A panic of the lister is an error: it must not end the process
// of all the waits.
func (s *Shared) list(ctx context.Context) (found map[string]endpoint.ListEntry, err error) {
	defer func() {
		if v := recover(); v != nil {
			found, err = nil, fmt.Errorf("the lister panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return s.lister.List(ctx)
}

// took takes in a list and wakes the waits that it concerns.
func (s *Shared) took(found map[string]endpoint.ListEntry, err error, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.gap, s.whole = max(s.gap*3/4, s.every), began
		clear(s.seen)
	case len(found) == 0 || errors.Is(err, endpoint.ErrThrottled):
		s.gap = min(2*s.gap, max(s.every, slowest))
	}
	s.gap = max(s.gap, min(endpoint.RetryAfter(err), longestRest))
	for name, f := range found {
		s.seen[name] = dated{f, began}
	}
	for w := range s.watches {
		seen, known := s.seen[w.name]
		current := known && seen.at.Equal(began)
		if current && seen.Fingerprint == w.print || !current && (err != nil || !w.known) {
			continue // what was missing when it polled is no news
		}
		select {
		case w.wake <- struct{}{}:
		default: // it has not polled since the last time
		}
		if w.tell != nil {
			w.tell()
		}
	}
	close(s.listed)
	s.listed = make(chan struct{})
}
