package rollouttest

import (
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// Sweep is a rollout that is run again and again, each time with another
// fault. However it goes, the endpoint has to end whole: at the target or
// at the source, with every guarded value as it was and the error saying
// which. Where the provider keeps refusing, what remains has to be named, and
// a resume has to do it once the provider lets it. Each write has to be one of the
// plan's, and on record before it is sent, and is not sent again once it took
// effect; no step may outlast its time, and no secret may show in any error, event, plan or journal.
type Sweep struct {
	// New makes the endpoint at rest on its source. It is called for each
	// point, in a testing/synctest bubble of its own: what it makes opens no
	// sockets and leaves no goroutines.
	New      func(t testing.TB) Environment
	Strategy strategy.Strategy
	Target   rollout.Target
	Options  []rollout.Option
	// Goal is what Environment.Live answers after a success. Empty means that the
	// target does not come up, so that the rollout has to end at the source.
	Goal string
	// Only are the cases to sweep; all if empty.
	Only []FaultCase
	// OneIn takes one point in so many, the same ones each time; all if zero.
	OneIn int
}

// Environment is one endpoint with what the sweep has to know of it and do to it.
type Environment struct {
	Updater endpoint.Updater
	// OnWrite asks hook for the fault of each remote write, when the request
	// would be sent, on the goroutine that called the updater, and makes it
	// happen: its Then has to be called in any case. what says what is
	// written: the same text for the same write.
	OnWrite func(hook func(what string) endpointtest.Fault)
	// Applied reports whether the n-th write that OnWrite asked for, from 1, has
	// taken effect. If it is nil, writes that are made twice are not found.
	Applied func(n int) bool
	// OnRead calls hook before each remote read likewise; hook may end its
	// goroutine. If it is nil, deaths between the writes are not swept.
	OnRead func(hook func())
	// Guarded is everything that a rollout has to leave as it was, for
	// go-cmp to compare, as it is now, whatever reads are shown.
	Guarded func() any
	// Foreign are changes that a third party may make, one for each value that a
	// rollout could overwrite. If there is none, foreign changes are not swept.
	Foreign []Foreign
	// Clamp lets the provider accept values of settings and set others, within limits
	// of its own, until it is called with false. If it is nil, that is not swept.
	Clamp func(on bool)
	// Delete lets a third party delete the endpoint, and make another one under its
	// name if the provider allows that. It reports whether the provider let it
	// happen. If it is nil, that is not swept.
	Delete func() bool
	// Live names what the provider has been told to serve, as it is now.
	Live func() string
	// Secrets are texts that must not show in any error, event, plan or journal.
	Secrets []string
}

// Foreign is one change of one value, by a third party, to one that no rollout
// sets.
type Foreign struct {
	Name string
	// Do makes the change, and reports whether the provider let it happen. If it
	// did not, Do is called again after each further write.
	Do func() bool
	// Serves is what Environment.Live answers after a change of what is served, which
	// supersedes the rollout: not so if it is the source, as if the provider had
	// gone back to that by itself. It is empty if the change is of a guarded value.
	Serves string
}

// environment makes an environment, and fails t if it lacks what every point
// needs.
func (s Sweep) environment(t *testing.T) Environment {
	t.Helper()
	if s.New == nil || s.Strategy == nil {
		t.Fatalf("rollouttest: Sweep.New and Sweep.Strategy have to be set; New is nil: %t, Strategy is nil: %t", s.New == nil, s.Strategy == nil)
	}
	e := s.New(t)
	for field, missing := range map[string]bool{
		"Updater": e.Updater == nil, "OnWrite": e.OnWrite == nil, "Guarded": e.Guarded == nil, "Live": e.Live == nil,
	} {
		if missing {
			t.Errorf("rollouttest: Environment.%s is nil, and has to be set", field)
		}
	}
	for i, f := range e.Foreign {
		if f.Name == "" || f.Do == nil {
			t.Errorf("rollouttest: Environment.Foreign[%d] lacks its Name or its Do", i)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return e
}

// Run puts each case on each write, and death, cancellation and foreign changes
// on each read too, and resumes what died at once, ten minutes later, a day
// later, forward, with the clock put back, and with another death. It takes one
// point in OneIn, of panics and silence at reads an eighth of that, and with
// testing.Short at most one in 32. It returns the number of runs.
func (s Sweep) Run(t *testing.T) int {
	t.Helper()
	n := 0
	writes, reads, polls, kinds, able := s.probe(t)
	for _, m := range s.cases() {
		if !able[m] {
			t.Logf("skipped: %s: the environment has no hook for it", m)
			continue
		}
		oneIn := s.oneIn(m)
		calls := writes
		switch {
		case m == ForeignReading:
			calls = polls
		case m.reading():
			calls = reads
		}
		for at, reached := 1, true; reached && (at <= calls || oneIn == 1); at++ {
			for _, p := range points(hit{FaultCase: m, at: at}, kinds) {
				if oneIn > 1 && !p.sampled(t, oneIn) {
					continue
				}
				hits, ok := s.play(t, p)
				if !ok {
					return n
				}
				if reached = hits > 0; !reached {
					break
				}
				n++
			}
		}
	}
	t.Logf("%d points swept", n)
	return n
}

// oneIn is how many points of a case there are for each one that is taken.
func (s Sweep) oneIn(m FaultCase) int {
	n := max(s.OneIn, 1)
	if m == PanicsReading || m == SilentReading { // most reads are polls, and one is as the next
		n *= 8
	}
	if testing.Short() {
		n = max(n, short)
	}
	return n
}

// Pairs puts each case on each write, and then another one on each write that
// is still made: in the rollback, in the resume, or on the way forward. Of all
// pairs it runs one in so many, the same ones each time. It returns the number of runs.
func (s Sweep) Pairs(t *testing.T, oneIn int) int {
	t.Helper()
	if testing.Short() {
		oneIn *= short
	}
	writes, _, _, _, _ := s.probe(t)
	n := 0
	draw := rand.New(rand.NewPCG(uint64(crc32.ChecksumIEEE([]byte(t.Name()))), 0)) // the same sample each time
	for _, first := range s.cases() {
		for _, second := range s.cases() {
			if slices.Contains(alone, first) || slices.Contains(alone, second) || first == RefusedForGood || first == RefusedAlways {
				continue
			}
			for at := 1; at <= writes; at++ {
				for then, reached := 1, true; reached && then <= 2*writes+1; then++ {
					if draw.IntN(oneIn) > 0 {
						continue
					}
					p := point{hits: []hit{{FaultCase: first, at: at}, {FaultCase: second, at: then}}, delay: time.Second}
					hits, ok := s.play(t, p)
					if !ok {
						return n
					}
					if reached = hits == 2; reached {
						n++
					}
				}
			}
		}
	}
	t.Logf("%d pairs swept", n)
	return n
}

// alone are the cases that are no part of a pair. A write that is accepted and
// forgotten in the lag of another one is seen by the last poll at the earliest.
var alone = []FaultCase{
	ForeignChange, DiesReading, CancelledReading, ForeignReading, PanicsReading, SilentReading, HangsSending, Forgotten,
	PanicsBefore, PanicsAfter, NeverReturns, NeverReturnsAfter, Clamped, Deleted,
}

func (s Sweep) cases() []FaultCase {
	if len(s.Only) > 0 {
		return s.Only
	}
	return []FaultCase{
		DiesBefore, DiesAfter, DiesSending, HangsSending, LostBefore, LostAfter, Late, RefusedOnce, RefusedAlways, RefusedForGood,
		ThrottledOnce, Forgotten, CancelledBefore, CancelledAfter, ForeignChange, PanicsBefore, PanicsAfter, NeverReturns, NeverReturnsAfter,
		Clamped, Deleted, DiesReading, CancelledReading, ForeignReading, PanicsReading, SilentReading,
	}
}

// short is how many points testing.Short leaves one of, the same ones each time.
const short = 32

// sampled reports whether a point is in a sample of one in so many.
func (p point) sampled(t *testing.T, oneIn int) bool {
	return crc32.ChecksumIEEE([]byte(t.Name()+p.String()))%uint32(oneIn) == 0
}

// probe runs a rollout that nothing happens to, however it goes, and counts its
// writes, its reads if there is a hook for them, and those that begin a poll.
// kinds are the names of the foreign changes, and able says of each case whether
// the environment has what it takes.
func (s Sweep) probe(t *testing.T) (writes, reads, polls int, kinds []string, able map[FaultCase]bool) {
	t.Helper()
	able = map[FaultCase]bool{}
	synctest.Test(t, func(t *testing.T) {
		w := s.environment(t)
		if w.OnRead != nil {
			var m moment
			w.OnRead(func() {
				if reads++; m.passed() {
					polls++
				}
			})
		}
		if w.Applied == nil {
			t.Logf("skipped: writes that are made twice: the environment does not say which ones took effect")
		}
		for _, f := range w.Foreign {
			kinds = append(kinds, f.Name)
		}
		for _, m := range s.cases() {
			able[m] = w.able(m)
		}
		w.OnWrite(func(string) endpointtest.Fault { writes++; return endpointtest.Fault{} })
		report, _, err := survive(t, "no fault", false, func() (*rollout.Report, error) {
			return rollout.Run(t.Context(), journal.NewMemory(), w.Updater, s.Strategy, s.Target, s.Options...)
		})
		if report.Outcome == rollout.OutcomeRefused {
			t.Errorf("the rollout is refused: %v", err)
		}
	})
	return writes, reads, polls, kinds, able
}

// able reports whether the environment has what a case takes.
func (e Environment) able(m FaultCase) bool {
	switch m { //nolint:exhaustive // all others take what every environment has
	case ForeignChange:
		return len(e.Foreign) > 0
	case ForeignReading:
		return len(e.Foreign) > 0 && e.OnRead != nil
	case Clamped:
		return e.Clamp != nil
	case Deleted:
		return e.Delete != nil
	default:
		return !m.reading() || e.OnRead != nil
	}
}
