package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Rollout is a rollout in progress that its caller drives: see
// [Rollout.Advance]. [Run] and [Resume] are loops over it, and any other engine
// can be one. At rest it is a value: no goroutine waits for it. It is not safe
// for concurrent use.
type Rollout struct {
	options

	u       endpoint.Updater
	store   journal.Store
	machine *core.Machine
	begin   func(ctx context.Context, s endpoint.Status) (*strategy.Plan, error) // makes the plan
	release func() error                                                         // gives the lock back
	watch   *waiter.Watch                                                        // by the poller for many endpoints, nil without
	shared  endpoint.Status                                                      // read by it last
	job     *job
	wake    bool // an event may end the present sleep
	// abandoned names the writes whose calls go on although their contexts are
	// done, and broke is the panic of an observer or a schedule.
	abandoned []string
	broke     error
	alive     bool // a goroutine sends heartbeats
	beat      time.Time
	sum       string // the checksum of the newest record
}

// Begin begins a rollout without going on with it: it takes the endpoint's
// lock, if the store has one, and reads the journal. [Rollout.Advance] then does
// what [Run] does. Close the rollout in any case.
func Begin(ctx context.Context, store journal.Store, u endpoint.Updater, s strategy.Strategy, t Target, opts ...Option) (*Rollout, error) {
	r, err := open(ctx, store, u, newOptions(opts), core.Policy{})
	if err != nil {
		return nil, err
	}
	r.begin = func(ctx context.Context, status endpoint.Status) (*strategy.Plan, error) {
		return prepare(ctx, r.u, s, t, status, r.options)
	}
	return r, nil
}

// Attach goes on with the unfinished rollout that the store holds for u, as
// [Resume] does. If the journal names the same owner ([WithOwner]) the rollout
// simply goes on, so that an engine may drive each part of it from another
// process. Close the rollout in any case.
func Attach(ctx context.Context, store journal.Store, u endpoint.Updater, opts ...Option) (*Rollout, error) {
	return open(ctx, store, u, newOptions(opts), core.Policy{Resume: true, Continue: true})
}

// open takes the endpoint's lock, if the store has one, and reads its journal.
func open(ctx context.Context, store journal.Store, u endpoint.Updater, o options, p core.Policy) (*Rollout, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r := newRollout(store, u, o)
	opened := false
	defer func() {
		if !opened { // also if the store panics
			r.Close()
		}
	}()
	if l, ok := store.(journal.Locker); ok {
		release, err := lock(ctx, l, u.Name())
		if errors.Is(err, endpoint.ErrBusy) {
			return nil, heldBy(ctx, r.store, r.u.Name(), err)
		}
		if err != nil {
			return nil, err
		}
		r.release, p.Exclusive = release, true
		if h, ok := store.(journal.Heartbeater); ok { // for the error of a second runner, before there is a plan
			beat(ctx, h, u.Name(), journal.Heartbeat{Owner: o.owner, Time: time.Now().Round(0)})
		}
	}
	ledger, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	r.machine, opened = core.New(ledger, r.policy(p), time.Now()), true
	return r, nil
}

func newRollout(store journal.Store, u endpoint.Updater, o options) *Rollout {
	r := &Rollout{options: o, u: u, store: store, release: func() error { return nil }}
	if r.custom {
		r.schedule = guardedSchedule{r.schedule, r.breaks}
	}
	return r
}

// lock takes the lock on an endpoint's journal. One that comes too late is given
// back.
func lock(ctx context.Context, l journal.Locker, name string) (release func() error, err error) {
	answered := make(chan struct{})
	defer close(answered)
	return call(ctx, "the store's Lock", storeTime, func(ctx context.Context) (func() error, error) {
		release, err := l.Lock(ctx, name)
		if err != nil {
			return nil, err
		}
		select {
		case <-answered:
			_ = release() // nothing waits for it any more
		default:
		}
		return release, nil
	})
}

// load reads the journal.
func (r *Rollout) load(ctx context.Context) (*core.Ledger, error) {
	records, err := r.records(ctx)
	if err != nil {
		return nil, err
	}
	return core.Fold(r.u.Name(), records, time.Now())
}

// Close gives the endpoint's lock back. A rollout that has not ended can be
// gone on with by [Attach], or by [Resume].
func (r *Rollout) Close() {
	r.stopJob()
	if r.watch != nil {
		r.watch.Release()
		r.watch = nil
	}
	_ = recovered("the store's unlock", r.release) // the lock dies with the process in any case
}

// Advance goes on with the rollout by at most one call of the provider,
// together with the records that belong to it, and never sleeps. It returns when
// to call it again, no earlier than now, or a zero time when the rollout has
// ended: report and err are then as [Run] returns them.
//
// When ctx is done the rollout is cancelled: further calls roll it back, or
// leave it as it is ([WithDetach]), whatever ctx they come with.
func (r *Rollout) Advance(ctx context.Context) (next time.Time, report *Report, err error) {
	for called := false; ; {
		r.noteEnds(ctx)
		r.noteFreeze()
		op := r.machine.Next(time.Now())
		if r.tell(); r.broke != nil && !r.machine.Broken() {
			continue
		}
		switch {
		case op.Kind == core.OpEnd:
			report, err := r.end(ctx)
			return time.Time{}, report, err
		case op.Kind == core.OpSleep:
			r.wake = op.Wakeable
			return r.renew(ctx, op.Until), nil, nil
		case called && op.Provider():
			return time.Now(), nil, nil
		}
		called = called || op.Provider()
		result := r.perform(ctx, op)
		r.noteEnds(ctx)
		r.machine.Observe(op, result, time.Now())
		r.tell()
	}
}

// noteEnds tells the machine what the caller has asked for in the meantime.
func (r *Rollout) noteEnds(ctx context.Context) {
	if ctx.Err() != nil {
		r.machine.Cancel(context.Cause(ctx))
	}
	if r.broke != nil {
		r.machine.Break(r.broke)
	}
	select {
	case <-r.hardStop:
		r.machine.HardStop()
	default:
	}
	if !r.machine.WantsJob() {
		r.stopJob()
	}
}

// noteFreeze tells the machine of a freeze window.
func (r *Rollout) noteFreeze() {
	if r.freeze == nil || r.override != "" {
		return
	}
	var f core.Freeze
	if err := recovered("the freeze function", func() error { f.Until, f.Why = r.freeze(time.Now()); return nil }); err != nil {
		r.freeze = nil
		r.breaks(err)
		r.machine.Break(err)
		return
	}
	r.machine.Freeze(f)
}

// tell hands the events to the observer.
func (r *Rollout) tell() {
	for _, e := range r.machine.Events() {
		r.emit(e)
	}
}

func (r *Rollout) emit(e core.Event) {
	event := Event{
		Time: time.Now(), Kind: EventKind(e.Kind), Endpoint: r.u.Name(), Step: e.Step, N: e.N, Of: e.Of, Rollback: e.Rollback,
		Text: e.Text, Status: e.Status, Plan: e.Plan, Outcome: Outcome(e.Outcome), Verdict: e.Verdict,
	}
	if p := r.machine.Ledger().Plan; p != nil {
		event.Rollout = p.Rollout
	}
	if err := recovered("the observer", func() error { r.observe(event); return nil }); err != nil {
		r.observe = func(Event) {}
		r.breaks(err)
	}
}

// breaks takes in a panic of code that belongs to no step. Before the commit point
// the rollout goes back for it.
func (r *Rollout) breaks(err error) {
	if r.broke == nil {
		r.broke = err
	}
}

// end is what the rollout came to.
func (r *Rollout) end(ctx context.Context) (*Report, error) {
	end, ledger := r.machine.End(), r.machine.Ledger()
	report := &Report{Outcome: Outcome(end.Outcome), Residue: end.Residue, Status: r.machine.Seen(), Finished: time.Now()}
	switch end.Outcome {
	case core.Refused:
		switch {
		case errors.Is(end.Err, ErrUnfinished):
			return nil, fmt.Errorf("%s: %w: %s to %s, run by %s; resume it first",
				r.u.Name(), end.Err, ledger.Plan.Strategy, ledger.Plan.Target, runBy(ctx, r.store, ledger))
		case errors.Is(end.Err, core.ErrHeld):
			return nil, fmt.Errorf("%s is held by %s: %w", r.u.Name(), runBy(ctx, r.store, ledger), endpoint.ErrBusy)
		case errors.Is(end.Err, journal.ErrConflict):
			return nil, heldBy(ctx, r.store, r.u.Name(), end.Err)
		}
		return nil, end.Err
	case core.Nothing:
		return &Report{Outcome: OutcomeNothing}, nil
	case core.NoOp:
		report.Plan, report.Began = r.machine.Planned(), report.Finished
		return report, nil
	}
	report.Plan, report.Proof, report.Drift, report.Began = ledger.Plan, ledger.Proof, ledger.Drift, ledger.Began
	if d := ledger.Staged(); d != nil && ledger.RollingBack {
		report.Leftovers = append(report.Leftovers, fmt.Sprintf("%s was staged, and is not served", d.Revision))
	}
	for _, what := range r.abandoned {
		report.Leftovers = append(report.Leftovers, "the call for "+what+" has not returned although its context is done, and may still take effect")
	}
	if r.broke != nil {
		report.Leftovers = append(report.Leftovers, "its events are incomplete: "+firstLine(r.broke))
	}
	if lost := r.machine.Lost(); lost != nil && report.Residue == nil {
		report.Leftovers = append(report.Leftovers, "the journal lacks its end, and needs a resume: "+lost.Error())
	}
	if end.Outcome == core.Succeeded {
		return report, nil
	}
	return report, &Error{
		Endpoint: r.u.Name(), Strategy: ledger.Plan.Strategy, Outcome: report.Outcome, Step: end.Step, Cause: end.Cause,
		Residue: end.Residue, Next: end.Next,
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
