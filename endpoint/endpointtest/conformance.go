package endpointtest

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/promise"
)

// Harness makes the endpoints that [Run] tests.
type Harness struct {
	// New makes an endpoint at rest, ready, with its revision proven, and the
	// same one each time. It is called once or more often for each promise, in a
	// testing/synctest bubble of its own: what it makes opens no sockets and
	// leaves no goroutines.
	New func(t testing.TB) Subject
	// Sweeps are whole rollouts over the same updater, by name, that have to
	// survive every fault: a rollouttest.Sweep for each strategy that the
	// updater is for. They are run after the promises.
	Sweeps map[string]Sweep
}

// Sweep runs one rollout again and again, with another fault each time, and
// returns how often. It is what a rollouttest.Sweep does; this package
// knows no strategy.
type Sweep interface {
	Run(t *testing.T) (points int)
}

// Subject is one endpoint with what the suite has to know of it and do to it.
// What needs a field that is left empty is skipped, and the log says so.
type Subject struct {
	Updater endpoint.Updater
	// To is a revision that the endpoint does not serve, exists, and comes up.
	To endpoint.Revision
	// Wire is the connection to the provider's fake, for updaters over HTTP. Where
	// it is set, Mutations, DropResponse, HangResponse, FailReads and OnMutation
	// may be nil: they are made of it. [RunAnswers] takes it.
	Wire *Wire
	// Mutations counts the remote writes that were sent to the provider.
	Mutations func() int

	// Settle is how long a read may lag behind a write; 30 seconds if zero.
	Settle time.Duration
	// DropResponse loses the next write's answer, after it took effect or before.
	DropResponse func(applied bool)
	// HangResponse lets the next write's answer take longer than a caller waits.
	// Without applied the write takes no effect if its context ends first.
	HangResponse func(applied bool)
	// FailReads makes every read fail from now on, as in an outage of the provider.
	FailReads func()
	// OnMutation calls hook before each remote write takes effect. hook may end
	// the call's context, or call DropResponse, which is for that write then.
	OnMutation func(hook func())
	// BreakTarget makes To fail to come up from now on.
	BreakTarget func()
	// Actual returns what the endpoint really is by now, whatever reads show.
	// Status is held against it.
	Actual func() Actual
	// Pause lets a third party configure the endpoint to run nothing.
	Pause func()
	// Empty lets the endpoint lose all its capacity without being paused, as
	// by scaling to zero.
	Empty func()
	// Confuse makes the provider report, from now on, a state that no version
	// of the updater knows.
	Confuse func()
	// Key is a setting, and Value one that it does not have and may be set to.
	Key   string
	Value int
	// Others are the settings that may be written together with Key, each with
	// a value that it does not have and may be set to while Key is as it was.
	Others endpoint.Settings
	// Base is what to draft a revision from, that runs Artifact.
	Base     endpoint.Revision
	Artifact string
	// TakeName lets a third party make a revision by the name of the draft's, of
	// other content.
	TakeName func(d endpoint.Draft)
	// Enqueue hands the endpoint n jobs that take a day each.
	Enqueue func(n int)
	// Guarded is everything that [endpoint.AutoscalingSuspender] has to put back, for
	// go-cmp to compare, as it is now, whatever reads are shown.
	Guarded func() any
	// Foreign are changes of single values that a third party may make of what
	// [endpoint.AutoscalingSuspender] suspends, each to a value that suspending does
	// not give it.
	Foreign []Foreign
	// Secrets must not get out.
	Secrets []string
}

// Foreign is one change of one value, by a third party.
type Foreign struct {
	// Name says what is changed, for people: "a policy's target value".
	Name string
	// Do makes the change, and reports whether the provider let it happen.
	Do func() bool
}

// Run holds an updater to the promises of package endpoint, one subtest each,
// and then runs its sweeps. The promises are about one call each; that no
// rollout leaves an endpoint half-way is for the sweeps to show.
func Run(t *testing.T, h Harness) {
	t.Helper()
	updaterSuite.Run(t, h)
	t.Run("rollouts survive every fault", func(t *testing.T) {
		if len(h.Sweeps) == 0 {
			t.Skip("skipped: no sweep: whether a rollout over this updater survives a crash is not tested")
		}
		for _, name := range slices.Sorted(maps.Keys(h.Sweeps)) {
			t.Run(name, func(t *testing.T) {
				t.Logf("swept %d points", h.Sweeps[name].Run(t))
			})
		}
	})
}

// keep is a check of one subject.
func keep(f func(t testing.TB, s Subject)) func(testing.TB, Harness) {
	return func(t testing.TB, h Harness) {
		t.Helper()
		f(t, h.subject(t))
	}
}

func (h Harness) subject(t testing.TB) Subject {
	t.Helper()
	s := h.New(t)
	if s.Settle == 0 {
		s.Settle = 30 * time.Second
	}
	s = s.wired()
	if s.Updater == nil || s.Mutations == nil {
		t.Fatalf("endpointtest: Subject.Updater and Subject.Mutations (or Wire) have to be set; Updater is nil: %t, Mutations is nil: %t",
			s.Updater == nil, s.Mutations == nil)
	}
	return s
}

// wired fills in from the Wire what the subject leaves empty.
func (s Subject) wired() Subject {
	if s.Wire == nil {
		return s
	}
	var mu sync.Mutex
	before, next := func() {}, Fault{}
	set := func(f Fault) {
		mu.Lock()
		defer mu.Unlock()
		next = f
	}
	s.Wire.OnWrite(func(string) Fault {
		before()
		mu.Lock()
		defer mu.Unlock()
		f := next
		next = Fault{}
		return f
	})
	either := func(before, after Fault) func(applied bool) {
		return func(applied bool) {
			if set(before); applied {
				set(after)
			}
		}
	}
	const day = 24 * time.Hour
	s.Mutations = orWire(s.Mutations, s.Wire.Writes)
	s.DropResponse = orWire(s.DropResponse, either(LostBefore(), LostAfter()))
	s.HangResponse = orWire(s.HangResponse, either(HangBefore(day), HangAfter(day)))
	s.OnMutation = orWire(s.OnMutation, func(hook func()) { before = hook })
	s.FailReads = orWire(s.FailReads, func() {
		a := page(http.StatusServiceUnavailable)
		s.Wire.OnRead(func(string) Fault { return Fault{Kind: FaultAnswerBefore, Answer: &a} })
	})
	return s
}

var updaterSuite = promise.Suite[Harness]{Bubble: true, Promises: []promise.Promise[Harness]{
	{
		Name: "the name is provider and id", Keep: keep(named),
		Why: "it keys the journal: were it to change, a crashed rollout could not be found again",
	},
	{
		Name: "at rest the status says so", Keep: keep(restsReady),
		Why: "a rollout begins only on an endpoint at rest, and what it reads then is what it goes back to",
	},
	{
		Name: "what only reads changes nothing", Keep: keep(readsOnly),
		Why: "a plan is printed before a person has agreed to a change",
	},
	{
		Name: "what cannot be read is an error", Keep: keep(failsToRead),
		Why: "an endpoint that was not seen is not at rest, jobs that were not counted are not done, and a revision that was not found may be there",
	},
	{
		Name: "a status is the caller's", Keep: keep(handsOutStatus),
		Why: "the first status is what is restored in the end: it must not change in the caller's hands",
	},
	{
		Name: "an accepted update is desired", Keep: keep(showsDesired),
		Why: "after a lost answer or a crash this alone tells whether the update was made; if it never shows, it is made again and again",
	},
	{
		Name: "an update comes to serve", Keep: keep(comesToServe),
		Why: "a rollout has succeeded when the target is seen to serve, and not before",
	},
	{
		Name: "the status is what really runs", Keep: keep(tellsTruth),
		Why: "every decision is made by the status: what is taken for serving, ready or settled is committed, and what it waits for in vain is rolled back",
	},
	{
		Name: "what breaks is seen to fail, and why", Keep: keep(showsFailure),
		Why: "a failure that shows late, or as workers that start for ever, costs the whole step's time, with requests failing; without a reason a person has to search for it",
	},
	{
		Name: "an endpoint that runs nothing shows it", Keep: showsNothing,
		Why: "a paused endpoint refuses requests: taken for one that scales, it is waited for without end; taken for one that serves, a rollout succeeds that nothing has proven",
	},
	{
		Name: "a state that is not known is not ready", Keep: keep(staysUnknown),
		Why: "providers add states: taken for ready, a rollout goes on over an endpoint that is in the middle of something",
	},
	{
		Name: "a failed update is no success", Keep: keep(failsAloud),
		Why: "a provider that rolls back by itself ends ready, on the revision before: reported as success, the old model goes on serving unnoticed",
	},
	{
		Name: "the generation counts updates", Keep: keep(countsGenerations),
		Why: "it tells an update that was undone by the provider from one that was never made",
	},
	{
		Name: "a done context changes nothing", Keep: keep(heedsContext),
		Why: "after a cancel no poll finds what a late write has done",
	},
	{
		Name: "a call ends with its context", Keep: endsWithContext,
		Why: "a rollout that hangs in a call does not roll back, and what that call has done is not known",
	},
	{
		Name: "a refusal is one, and changes nothing", Keep: keep(refuses),
		Why: "after an error that proves that nothing was applied, no poll checks whether something was",
	},
	{
		Name: "errors name the endpoint", Keep: keep(wrapsErrors),
		Why: "a program that moves many endpoints has to say which one went wrong",
	},
	{
		Name: "a lost answer is no refusal", Keep: keep(losesAnswers),
		Why: "taken for a refusal, a write that was applied is never looked for, and never undone",
	},
	{
		Name: "a setting takes one write", Keep: keep(setsOne),
		Why: "the strategy decides in which order bounds change, and a crash between two hidden writes is one that the journal knows nothing of",
	},
	{
		Name: "a setting leaves the others as they are", Keep: keep(leavesOthers),
		Why: "a write that repeats another bound from an old read undoes the write, or the third party's change, that came between",
	},
	{
		Name: "a setting's lost answer is no refusal", Keep: keep(losesSet),
		Why: "a bound that was lowered unnoticed stays lowered: the endpoint ends without workers",
	},
	{
		Name: "a draft is staged once and serves when asked to", Keep: keep(stages),
		Why: "staging is done before anything is protected or drained; it must not touch what serves, and may be repeated after a crash",
	},
	{
		Name: "a name that is taken is not staged over", Keep: keep(keepsTaken),
		Why: "the content that a third party made would be lost, or be served, taken for what was drafted",
	},
	{
		Name: "what was staged is taken back", Keep: keep(unstages),
		Why: "what costs money though nothing serves it would be paid for until somebody notices",
	},
	{
		Name: "the traffic is split as asked, by one write", Keep: keep(shifts),
		Why: "a share that is not what it was asked for exposes more people to a model than it was judged by, and a mix that is called serving is committed",
	},
	{
		Name: "a share's lost answer is no refusal", Keep: keep(losesShift),
		Why: "a share that was moved unnoticed is never moved back",
	},
	{
		Name: "autoscaling is put back exactly", Keep: protects,
		Why: "what is forgotten is gone: an endpoint without its scaling policy fails in the next rush, weeks later",
	},
	{
		Name: "suspending survives an interruption at each write", Keep: survives,
		Why: "sooner or later a process dies between two writes: what cannot be begun again stays half restored",
	},
	{
		Name: "what a third party changed is left alone", Keep: leavesForeign,
		Why: "a bound that was raised in an emergency must not be lowered by the end of a rollout, nor cost the endpoint all its other values",
	},
	{
		Name: "the jobs at hand are counted", Keep: keep(countsJobs),
		Why: "jobs that are taken for done are lost with the workers that run them",
	},
	{
		Name: "a revision resolves to itself", Keep: keep(resolves),
		Why: "a target that is completed wrongly is another model",
	},
	{
		Name: "it can be used from many goroutines", Keep: keep(isConcurrent),
		Why: "a display, a shared poller and the rollout read at the same time; run the tests with -race",
	},
	{
		Name: "no secret gets out", Keep: keep(keepsSecrets),
		Why: "plans, journals and errors are printed, sent and kept",
	},
}}

// orWire returns f unless it is nil.
func orWire[F any](f, wire F) F {
	if reflect.ValueOf(f).IsNil() {
		return wire
	}
	return f
}
