package rollout

import (
	"context"
	"errors"
	"fmt"
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
	running

	u       endpoint.Updater
	machine *core.Machine
	begin   func(ctx context.Context, s endpoint.Status) (*strategy.Plan, error) // makes the plan
	release func() error                                                         // gives the lock back
	watch   *waiter.Watch                                                        // by the poller for many endpoints, nil without
	shared  *endpoint.Status                                                     // read by it last
	job     *job
	wake    bool // an event may end the present sleep
	// abandoned names the writes whose calls go on although their contexts are
	// done, and broke is the panic of an observer or a schedule.
	abandoned []string
	broke     error
	book      *book
	lease     lease
	series    seriesKeeper
}

// Begin begins a rollout without going on with it: it takes the endpoint's
// lock, if the store has one, and reads the journal. [Rollout.Advance] then does
// what [Run] does. Close the rollout in any case.
func Begin(ctx context.Context, store journal.Store, u endpoint.Updater, s strategy.Strategy, t Target, opts ...Option) (*Rollout, error) {
	o := newOptions(opts)
	if err := o.check("Begin", "WithForward", "WithResumeFirst"); err != nil {
		return nil, refusal(nameOf(u), err)
	}
	return begin(ctx, store, u, s, t, o)
}

func begin(ctx context.Context, store journal.Store, u endpoint.Updater, s strategy.Strategy, t Target, o options) (*Rollout, error) {
	if err := checkCall(store, u, func() error { return checkMove(u, s, t, o.refreshes) }); err != nil {
		return nil, refusal(nameOf(u), err)
	}
	r, err := open(ctx, store, u, o, core.Policy{})
	if err != nil {
		return nil, refusal(u.Name(), err)
	}
	r.begin = func(ctx context.Context, status endpoint.Status) (*strategy.Plan, error) {
		return prepare(ctx, r.u, s, t, status, o)
	}
	return r, nil
}

// Cursor returns what the rollout has gathered since the newest record in the
// journal: since when it waits, for how many polls in a row a condition has
// held, when to poll again, what time is left. It is JSON of a few kilobytes at
// most. Another process hands it to [Begin] or [Attach] by [WithCursor] and goes
// on as this one would have. It is nil if there is nothing to carry along.
//
// Take it after the last [Rollout.Advance] of a process. Without it another
// process begins the wait in progress once more: that costs time, and polls, and
// never safety.
func (r *Rollout) Cursor() []byte { return r.machine.Cursor() }

// Attach goes on with the unfinished rollout that the store holds for u, as
// [Resume] does. If the journal names the same owner ([WithOwner]) the rollout
// simply goes on, so that an engine may drive each part of it from another
// process. Close the rollout in any case.
func Attach(ctx context.Context, store journal.Store, u endpoint.Updater, opts ...Option) (*Rollout, error) {
	return attach(ctx, store, u, newOptions(opts), core.Policy{Resume: true, Continue: true})
}

func attach(ctx context.Context, store journal.Store, u endpoint.Updater, o options, p core.Policy) (*Rollout, error) {
	err := errors.Join(o.check("Resume", "WithResumeFirst"), checkCall(store, u, nil))
	if err != nil {
		return nil, refusal(nameOf(u), err)
	}
	r, err := open(ctx, store, u, o, p)
	if err != nil {
		return nil, refusal(u.Name(), err)
	}
	return r, nil
}

// open takes the endpoint's lock, if the store has one, and reads its journal.
func open(ctx context.Context, store journal.Store, u endpoint.Updater, o options, p core.Policy) (*Rollout, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	cursor, err := o.decodeCursor()
	if err != nil {
		return nil, err
	}
	r := newRollout(store, u, &o)
	opened := false
	defer func() { //nolint:contextcheck // it has to happen whatever becomes of the context
		if !opened { // also if the store panics
			r.Close()
		}
	}()
	r.release, p.Exclusive, err = lock(ctx, store, u.Name())
	if err != nil {
		return nil, err
	}
	if h, ok := journal.As[journal.Heartbeater](store); ok && p.Exclusive { // for the error of a second runner, before there is a plan
		beat(ctx, h, u.Name(), journal.Heartbeat{Owner: o.owner, Time: time.Now().Round(0)})
	}
	ledger, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if cursor != nil && !p.Resume && ledger.Unfinished() && cursor.Rollout == ledger.Plan.Rollout {
		p.Resume, p.Continue = true, true // the rollout that was being planned has begun
	}
	now := time.Now()
	if r.machine = core.New(ledger, o.policy(p), now); cursor != nil {
		r.machine.Restore(cursor, now)
	}
	opened = true
	return r, nil
}

// newRollout also sees to it that a panic of the caller's schedule breaks the rollout.
func newRollout(store journal.Store, u endpoint.Updater, o *options) *Rollout {
	r := &Rollout{
		running: o.running, u: u, release: func() error { return nil },
		book: &book{store: store, name: u.Name()}, lease: lease{owner: o.owner},
	}
	if o.custom {
		o.schedule = guardedSchedule{o.schedule, r.breaks}
	}
	return r
}

// load reads the journal.
func (r *Rollout) load(ctx context.Context) (*core.Ledger, error) {
	records, err := r.book.records(ctx)
	if err != nil {
		return nil, err
	}
	return core.Fold(r.u.Name(), records, time.Now())
}

// Close gives the endpoint's lock back. A rollout that has not ended can be
// gone on with by [Attach], or by [Resume].
func (r *Rollout) Close() {
	if r.machine == nil && r.release == nil {
		return // the zero value
	}
	r.stopJob()
	r.flush()
	if r.watch != nil {
		r.watch.Release()
		r.watch = nil
	}
	_ = recovered("the store's unlock", r.release) // the lock dies with the process in any case
}

// Advance goes on with the rollout by at most one call of the provider, or by a
// poll and the write that it leads to, together with the records that belong to
// them, and never sleeps. A write is made
// in the same Advance as the poll that found it to be needed and as its record
// in the journal: those are two calls. It returns when
// to call it again, no earlier than now, or a zero time when the rollout has
// ended: report and err are then as [Run] returns them.
//
// When ctx is done the rollout is cancelled: further calls roll it back, or
// leave it as it is ([WithDetach]), whatever ctx they come with.
func (r *Rollout) Advance(ctx context.Context) (next time.Time, report *Report, err error) {
	if r.machine == nil {
		report, err := refused("", invalid("rollout", "it was not begun by Begin or Attach"))
		return time.Time{}, report, err
	}
	for called := false; ; {
		r.noteEnds(ctx)
		r.noteFreeze()
		op := r.machine.Next(time.Now())
		if r.tell(ctx); r.broke != nil && !r.machine.Broken() {
			continue
		}
		switch {
		case op.Kind == core.OpEnd:
			r.series.keep(ctx, r.book, true)
			report, err := r.end(ctx)
			return time.Time{}, report, err
		case op.Kind == core.OpSleep:
			r.series.keep(ctx, r.book, false)
			r.wake = op.Wakeable
			return r.lease.renew(ctx, r.book, r.machine, op.Until), nil, nil
		case called && op.Provider() && op.Kind != core.OpWrite: // whose intent is on record
			return time.Now(), nil, nil
		}
		called = called || op.Provider()
		result := r.perform(ctx, op)
		r.noteEnds(ctx)
		r.machine.Observe(op, result, time.Now())
		if op.Kind == core.OpStatus {
			r.series.poll(ctx, r.book, r.machine, result.Err, time.Now())
		}
		r.tell(ctx)
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

// tell hands the events to the observers.
func (r *Rollout) tell(ctx context.Context) {
	for _, e := range r.machine.Events() {
		if e.Kind == core.EventEnd {
			r.tellMissed(ctx)
		}
		r.emit(ctx, e)
	}
}

func (r *Rollout) emit(ctx context.Context, e core.Event) {
	event := Event{
		Time: time.Now(), Kind: EventKind(e.Kind), Endpoint: r.u.Name(), Step: e.Step, N: e.N, Of: e.Of, Rollback: e.Rollback,
		Text: e.Text, Status: e.Status, Plan: e.Plan, Outcome: Outcome(e.Outcome), Until: e.Until, Verdict: e.Verdict,
	}
	if p := r.machine.Ledger().Plan; p != nil {
		event.Rollout = p.Rollout
	}
	if r.hook != nil {
		r.hook(event)
	}
	for _, o := range r.observers {
		o.tell(ctx, event)
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
	report := &Report{Outcome: Outcome(end.Outcome), Status: r.machine.Seen(), Finished: time.Now()}
	report.DroppedEvents, report.ObserverPanic = r.flush() //nolint:contextcheck // it has to happen whatever becomes of the context
	for _, x := range end.Residue {
		report.Residue = append(report.Residue, remainder(x))
	}
	switch end.Outcome { //nolint:exhaustive // the others need nothing here
	case core.Refused:
		report.Plan = r.machine.Planned()
		return report, &Error{Endpoint: r.u.Name(), Outcome: OutcomeRefused, Cause: r.whyRefused(ctx, end.Err)}
	case core.Nothing:
		return report, nil
	case core.NoOp:
		report.Plan, report.Began = r.machine.Planned(), report.Finished
		return report, nil
	}
	report.Plan, report.Proof, report.Drift, report.Began = ledger.Plan, ledger.Proof, ledger.Drift, ledger.Began
	report.Missed = missed(r.u, r.machine.Ledger())
	for _, d := range ledger.Staged() {
		if d.Revision.Same(ledger.Plan.Target) && !ledger.RollingBack {
			continue // it is served
		}
		report.Leftovers = append(report.Leftovers, Remainder{
			Kind: RemainderDraft, Thing: d.Revision.String(), Found: "staged",
			Remedy: "delete " + d.Revision.String() + " if it is not wanted", Reason: "it was staged, and is not served",
		})
	}
	for _, what := range r.abandoned {
		report.Leftovers = append(report.Leftovers, Remainder{
			Kind: RemainderStep, Thing: what, Found: "the call has not returned although its context is done, and may still take effect",
			Remedy: "check " + what + " once the process has ended",
		})
	}
	if lost := r.machine.Lost(); lost != nil && report.Residue == nil {
		report.Leftovers = append(report.Leftovers, Remainder{
			Kind: RemainderJournal, Thing: r.u.Name(), Want: string(journal.KindEnd),
			Remedy: "resume the rollout, so that the journal gets its end", Reason: lost.Error(),
		})
	}
	if end.Outcome == core.Succeeded || end.Outcome == core.RolledBack || end.Outcome == core.Superseded {
		r.trim(ctx)
	}
	if end.Outcome == core.Succeeded {
		return report, nil
	}
	return report, &Error{
		Endpoint: r.u.Name(), Strategy: ledger.Plan.Strategy, Outcome: report.Outcome, Step: end.Step, Cause: end.Cause,
		Residue: report.Residue, Next: end.Next,
	}
}

// trim takes old rollouts out of the journal. Where that fails it is done after
// the next rollout.
func (r *Rollout) trim(ctx context.Context) {
	if r.machine.Lost() != nil {
		return
	}
	_ = do(context.WithoutCancel(ctx), "the trim of the journal", storeTime, func(ctx context.Context) error {
		return journal.TrimFinished(ctx, r.book.store, r.u.Name(), r.keep)
	})
}

// remainder is what the machine calls one.
func remainder(r core.Remainder) Remainder {
	return Remainder{Kind: RemainderKind(r.Kind), Thing: r.Thing, Want: r.Want, Found: r.Found, Remedy: r.Remedy, Reason: r.Reason}
}

// whyRefused adds to the error of a refusal who holds the endpoint.
func (r *Rollout) whyRefused(ctx context.Context, err error) error {
	ledger := r.machine.Ledger()
	switch {
	case errors.Is(err, ErrUnfinished):
		return fmt.Errorf("%s: %w: %s to %s, run by %s; resume it first",
			r.u.Name(), err, ledger.Plan.Strategy, ledger.Plan.Target, runBy(ctx, r.book.store, ledger))
	case errors.Is(err, core.ErrHeld):
		return fmt.Errorf("%s is held by %s: %w", r.u.Name(), runBy(ctx, r.book.store, ledger), endpoint.ErrBusy)
	case errors.Is(err, journal.ErrConflict):
		return heldBy(ctx, r.book.store, r.u.Name(), err)
	}
	return err
}
