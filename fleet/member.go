package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

type memberState int

const (
	pending memberState = iota
	active
	ended
)

// member is one endpoint in progress.
type member struct {
	Member

	name    string
	wave    *wave
	state   memberState
	outcome Outcome

	due      time.Time
	at       int  // in the queue, -1 if it is not there
	reserved bool // it has its place in the account's pace
	calling  bool // a call is under way, whose goroutine has the fields below
	woken    bool // in the meantime

	r       *rollout.Rollout
	undoing bool // the fleet rolls back what it has done
	finish  bool // only what a runner before has begun is gone on with
	undo    bool // r is the rollout that does
	tried   bool // it was begun by this runner
	rollout string
	cursor  []byte    // of the rollout, from the engine's call before
	busy    time.Time // since when another runner has it, or the store or the provider is away

	mu     sync.Mutex
	events []rollout.Event // that the fleet's observer has not seen
}

// observe keeps an event of the member's rollout.
func (m *member) observe(_ context.Context, e rollout.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
}

func (m *member) takeEvents() []rollout.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.events
	m.events = nil
	return events
}

func (m *member) close() {
	if m.r != nil {
		m.r.Close()
		m.r = nil
	}
}

// mover moves members, each by a rollout of its own. It is the part of a fleet that
// calls the provider.
type mover struct {
	f        Fleet
	set      settings
	store    journal.Store
	base     context.Context //nolint:containedctx // never done
	accounts map[string]*account
	cut      map[string][]string // see ledger, as it was when this runner began
	observed bool                // there is an observer
	notify   func(*member)       // called when something happened to a member; nil if that leads to nothing
}

// came is what one call for a member came to: that it has ended, or when to go on.
type came struct {
	outcome Outcome // "" if it has not ended
	reason  string
	next    time.Time
}

// busyInterval is how often it is read whether another runner has ended.
const busyInterval = 30 * time.Second

// step goes on with a member by one call.
func (r *runner) step(ctx context.Context, m *member) applied {
	var c came
	if m.r == nil {
		c = r.openMember(ctx, m)
	} else {
		c = r.advance(ctx, m)
	}
	if c.outcome != "" {
		m.close() //nolint:contextcheck // it has to happen whatever becomes of the context
	}
	events := m.takeEvents()
	return func() { //nolint:contextcheck // it has to happen whatever becomes of the context
		m.calling = false
		for i := range events {
			r.emit(Event{Kind: EventMember, Wave: m.wave.Name, Endpoint: m.name, Rollout: &events[i]})
		}
		switch {
		case c.outcome != "":
			r.memberEnded(m, c)
		case m.woken && m.r != nil:
			m.r.Wake()
			c.next = time.Now()
			fallthrough
		default:
			r.schedule(m, c.next)
		}
		m.woken = false
	}
}

// past is the newest rollout in a member's journal.
type past struct {
	plan    *strategy.Plan
	done    *strategy.Plan // of the fleet's own rollout, if there is one
	ended   bool
	outcome rollout.Outcome
	reason  string
}

func readPast(records []journal.Record, label string) past {
	var p past
	for i := range records {
		switch r := &records[i]; r.Kind { //nolint:exhaustive // the others say nothing of these
		case journal.KindPlan:
			p.plan, p.ended, p.outcome, p.reason = r.Plan, false, "", ""
			if r.Plan.Label == label {
				p.done = r.Plan
			}
		case journal.KindRollback:
			p.reason = r.Error
		case journal.KindEnd:
			p.ended, p.outcome = true, rollout.Outcome(r.Outcome)
			if r.Error != "" && p.reason == "" {
				p.reason = r.Error
			}
		}
	}
	return p
}

// openMember reads the member's journal, which says how far it is, and begins
// its rollout, or goes on with it. With ctx done nothing begins.
func (v *mover) openMember(ctx context.Context, m *member) came {
	var records []journal.Record
	err := v.store1(func(ctx context.Context) (err error) { //nolint:contextcheck // it has to happen whatever becomes of the context
		records, err = journal.Load(ctx, v.store, m.name)
		return err
	})
	if err != nil {
		return v.refusedMember(m, err)
	}
	p := readPast(records, v.f.ID)
	if m.undoing {
		return v.openUndo(ctx, m, p)
	}
	switch own := p.plan != nil && p.plan.Label == v.f.ID; {
	case own && !p.ended:
		m.rollout = p.plan.Rollout
		return v.open1(m, func(opts []rollout.Option) (*rollout.Rollout, error) {
			return rollout.Attach(v.base, v.store, m.Endpoint, append(opts, rollout.WithForward())...)
		}, v.f.ID)
	case own && !slices.Contains(v.cut[m.name], p.plan.Rollout):
		m.rollout = p.plan.Rollout
		return came{outcome: memberOutcome(p.outcome), reason: p.reason}
	case m.finish, ctx.Err() != nil:
		return came{outcome: Pending}
	case p.plan != nil && !p.ended:
		return v.busyMember(m, fmt.Sprintf("another rollout is unfinished: %s to %s", p.plan.Strategy, p.plan.Target))
	}
	return v.open1(m, func(opts []rollout.Option) (*rollout.Rollout, error) {
		return rollout.Begin(ctx, v.store, m.Endpoint, m.Strategy, m.Target, opts...)
	}, v.f.ID)
}

// open1 begins a rollout, or goes on with one.
func (v *mover) open1(m *member, open func([]rollout.Option) (*rollout.Rollout, error), label string) came {
	opts := append(slices.Clone(m.Options),
		rollout.WithOwner(v.set.owner), rollout.WithLabel(label), rollout.WithHistory(v.set.history), rollout.WithCursor(m.cursor))
	if m.cursor = nil; v.notify != nil {
		opts = append(opts, rollout.WithNotify(func() { v.notify(m) }))
	}
	if v.observed {
		opts = append(opts, rollout.WithObserver(m.observe))
	}
	if a := v.accounts[m.Account]; a != nil && a.shared != nil {
		opts = append(opts, rollout.WithShared(a.shared))
	}
	var err error
	if m.r, err = open(opts); err != nil {
		m.r = nil
		return v.refusedMember(m, err)
	}
	return came{next: time.Now()}
}

// advance goes on with the member's rollout.
func (v *mover) advance(ctx context.Context, m *member) came {
	next, report, err := m.r.Advance(ctx)
	if !next.IsZero() {
		return came{next: next}
	}
	if report == nil || report.Outcome == rollout.OutcomeRefused {
		if ctx.Err() != nil {
			return came{outcome: Pending}
		}
		m.close() //nolint:contextcheck // it has to happen whatever becomes of the context
		return v.refusedMember(m, err)
	}
	if report.Plan != nil {
		m.rollout = report.Plan.Rollout
	}
	if report.Outcome == rollout.OutcomeNothing || report.Outcome == rollout.OutcomeDetached && ctx.Err() == nil {
		m.close() //nolint:contextcheck // another runner has ended it, or has taken it over
		return v.busyMember(m, "another runner has taken the rollout over")
	}
	if report.Outcome == rollout.OutcomeDetached {
		return came{outcome: Pending}
	}
	c := came{outcome: memberOutcome(report.Outcome), reason: reason(err)}
	if m.undoing {
		c = v.undone(m, c) //nolint:contextcheck // it has to happen whatever becomes of the context
	}
	return c
}

// refusedMember decides what it means that a rollout did not begin.
func (v *mover) refusedMember(m *member, err error) came {
	if errors.Is(err, endpoint.ErrBusy) || errors.Is(err, rollout.ErrUnfinished) {
		return v.busyMember(m, err.Error())
	}
	if endpoint.Transient(err) {
		return v.waitForMember(m, err.Error())
	}
	if m.undoing {
		return came{outcome: Incomplete, reason: err.Error()}
	}
	return came{outcome: Refused, reason: err.Error()}
}

const defaultBusyTimeout = time.Hour

func (f *Fleet) busyTimeout() time.Duration { return cmp.Or(f.BusyTimeout, defaultBusyTimeout) }

// busyMember waits for another runner, or leaves the member to it.
func (v *mover) busyMember(m *member, why string) came {
	if !m.undoing && v.f.OnBusy == BusySkip {
		return came{outcome: Skipped, reason: why}
	}
	return v.waitForMember(m, why)
}

// waitForMember waits until a member can be moved, or for as long as the fleet waits.
func (v *mover) waitForMember(m *member, why string) came {
	now := time.Now()
	if m.busy.IsZero() {
		m.busy = now
	}
	limit := v.f.busyTimeout()
	switch {
	case m.undoing && now.Sub(m.busy) >= limit:
		return came{outcome: Incomplete, reason: why}
	case !m.undoing && now.Sub(m.busy) >= limit:
		return came{outcome: Refused, reason: why}
	}
	return came{next: now.Add(busyInterval)}
}

func memberOutcome(o rollout.Outcome) Outcome {
	switch o {
	case rollout.OutcomeSucceeded:
		return Succeeded
	case rollout.OutcomeNoOp:
		return NoOp
	case rollout.OutcomeRolledBack:
		return RolledBack
	case rollout.OutcomeSuperseded:
		return Superseded
	case rollout.OutcomeRefused:
		return Refused
	case rollout.OutcomeNothing, rollout.OutcomeDetached, rollout.OutcomeIncomplete, rollout.OutcomeGone, rollout.OutcomeAbandoned:
	}
	return Incomplete
}

// reason is why a rollout ended, in one line.
func reason(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	var e *rollout.Error
	if errors.As(err, &e) && e.Cause != nil {
		if text = e.Cause.Error(); e.Step != "" {
			text = e.Step + ": " + text
		}
	}
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// memberEnded takes in how a member ended.
func (r *runner) memberEnded(m *member, c came) {
	m.wave.active--
	if r.active--; !m.undoing {
		r.forwards--
	}
	m.state, m.outcome = ended, c.outcome
	cut := !m.undoing && r.forward.Err() != nil
	switch {
	case c.outcome == Pending && m.undoing: // nothing was done
		r.append(journal.Record{Kind: kindMember, Step: m.name, Outcome: string(Pending)})
		m.state = pending
		return
	case c.outcome == Pending:
		m.state = pending
		return
	case c.outcome == Incomplete:
		r.remains[m] = c.reason
	case cut && r.ledger.breach == "" && c.outcome == RolledBack:
		// It begins again when the fleet is gone on with.
		m.state = pending
		r.append(journal.Record{Kind: kindMember, Step: m.name, Outcome: string(Pending), Error: c.reason, Note: m.rollout})
		return
	default:
		delete(r.remains, m)
		r.append(journal.Record{Kind: kindMember, Step: m.name, Outcome: string(c.outcome), Error: c.reason, Note: m.rollout})
	}
	text := string(c.outcome)
	if c.reason != "" {
		text += ": " + c.reason
	}
	if !m.undoing && !cut && failed(c.outcome) {
		r.failed++
	}
	r.emit(Event{Kind: EventEnded, Wave: m.wave.Name, Endpoint: m.name, Text: text, Outcome: c.outcome})
}
