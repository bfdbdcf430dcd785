package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// Run moves the members of a fleet, wave by wave, or goes on with a fleet that the
// store holds under the same ID: from wherever a runner left it, or died. A fleet
// that has ended is only reported.
//
// A nil error means that every wave has passed; members may have failed within
// the budget. [ErrBreached] says that the budget, a check or an approval ended the
// fleet. When ctx is done, members under way are rolled back (or left, by
// [rollout.WithDetach]), and nothing more begins; the fleet can be gone on with,
// and then begins them again. [ErrIncomplete] says that something remains to be
// done: run the fleet again. [endpoint.ErrBusy] refuses a fleet that another
// runner has, and [ErrTakenOver] says that another one has taken it over. Other
// errors refuse what is wrong with the request, with nothing changed.
//
// The report is nil if the fleet was refused.
func Run(ctx context.Context, store journal.Store, f Fleet, opts ...Option) (*Report, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r, err := newRunner(ctx, store, f, opts)
	if err != nil {
		return nil, err
	}
	if len(r.set.cursor) > 0 {
		return nil, errCursor
	}
	release, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer r.leave(release)           //nolint:contextcheck // it has to happen whatever becomes of the context
	if err := r.open(); err != nil { //nolint:contextcheck // it has to happen whatever becomes of the context
		return nil, err
	}
	if !r.ledger.unfinished() {
		return r.finish(*r.ledger.last)
	}
	r.loop() //nolint:contextcheck // it has to happen whatever becomes of the context
	if r.died {
		runtime.Goexit() // as a call that it made did
	}
	return r.end() //nolint:contextcheck // it has to happen whatever becomes of the context
}

var errCursor = invalid("a cursor is for Advance")

// lock takes the lock on the fleet's journal, if the store has one.
func (r *runner) lock() (func() error, error) {
	none := func() error { return nil }
	if l, ok := journal.As[journal.Locker](r.store); ok {
		r.exclusive = true
		release, err := l.Lock(r.base, journalName(r.f.ID))
		return release, r.heldBy(err)
	}
	if l, ok := journal.As[journal.Leaser](r.store); ok {
		release, err := l.Lease(r.base, journalName(r.f.ID))
		return release, r.heldBy(err)
	}
	return none, nil
}

func (r *runner) heldBy(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("fleet %s: %w", r.f.ID, err)
}

// open reads the fleet's journal, and puts on record that this runner has it.
func (r *runner) open() error {
	var records []journal.Record
	err := r.store1(func(ctx context.Context) (err error) {
		records, err = journal.Load(ctx, r.store, journalName(r.f.ID))
		return err
	})
	if err != nil {
		return r.heldBy(err)
	}
	if r.ledger, err = fold(r.f.ID, records); err != nil {
		return err
	}
	if d := r.ledger.def; d != nil {
		if why := d.differs(r.records); why != "" {
			return invalid("it is not the fleet %s that began %s: %s", r.f.ID, r.ledger.began.UTC().Format(time.RFC3339), why)
		}
	}
	mine := r.engine && r.ledger.def != nil && r.ledger.owner == r.set.owner
	switch {
	case r.ledger.def != nil && !r.ledger.unfinished():
		return nil
	case len(r.set.cursor) > 0:
		if r.restore(); !mine {
			r.lost = fmt.Errorf("%w: by %q", ErrTakenOver, r.ledger.owner)
		}
		return nil
	case mine && r.ledger.last == nil: // the answer of the first call was lost
		r.restore()
		r.takeOver()
		return nil
	}
	if err := r.alive(); err != nil {
		return err
	}
	if r.ledger.def == nil {
		text, err := json.Marshal(definition{Waves: r.records, Allowed: r.f.Budget.allows(len(r.f.Members))})
		if err != nil {
			return err
		}
		if err := r.claim(journal.Record{Kind: kindFleet, Note: string(text)}); err != nil {
			return err
		}
	}
	if err := r.claim(journal.Record{Kind: journal.KindClaim, Owner: r.set.owner, Exclusive: r.exclusive}); err != nil {
		return err
	}
	r.restore()
	r.takeOver()
	return nil
}

// claim appends a record of a runner that has done nothing yet.
func (r *runner) claim(rec journal.Record) error {
	r.append(rec)
	if err := r.lost; errors.Is(err, ErrTakenOver) {
		return fmt.Errorf("fleet %s: %w: %w", r.f.ID, endpoint.ErrBusy, err)
	}
	return r.lost
}

// silence is how long a runner has to be silent until it counts as dead, with what
// clocks may differ by. An engine is silent between two calls, and while a check is asked.
const silence = engineInterval + checkTimeout + 30*time.Second

// alive refuses a fleet whose runner may be alive.
func (r *runner) alive() error {
	h, ok := journal.As[journal.Heartbeater](r.store)
	l := r.ledger
	if !ok || r.exclusive || l.def == nil || l.last != nil || l.owner == r.set.owner {
		return nil
	}
	beat, err := h.LastHeartbeat(r.base, journalName(r.f.ID))
	if errors.Is(err, endpoint.ErrNotFound) || err == nil && beat.Owner != l.owner {
		return nil
	}
	if err != nil {
		return r.heldBy(err)
	}
	if ago := time.Since(beat.Time); ago < silence {
		return fmt.Errorf("fleet %s is held by %s, last seen alive %v ago: %w", r.f.ID, l.owner, max(0, ago).Round(time.Second), endpoint.ErrBusy)
	}
	return nil
}

// restore takes over what is on record.
func (r *runner) restore() {
	for _, w := range r.waves {
		for _, m := range w.members {
			if rec, ok := r.ledger.ended[m.name]; ok && Outcome(rec.Outcome) != Pending {
				m.state, m.outcome = ended, Outcome(rec.Outcome)
			}
		}
	}
	r.failed, r.cut = r.ledger.failures(), maps.Clone(r.ledger.cut)
	if r.ledger.undoing {
		r.cancelForward(ErrBreached)
	}
}

// takeOver begins this runner's part. What a runner before left under way is brought
// to its end, also where nothing more begins.
func (r *runner) takeOver() {
	r.emit(Event{Kind: EventBegin, Text: fmt.Sprintf("%d members in %d waves", len(r.f.Members), len(r.waves))})
	if r.ledger.breach == "" || r.ledger.undoing {
		return
	}
	for _, w := range r.reached() {
		for _, m := range w.members {
			if m.state == pending {
				m.finish = true
				r.begin(m, time.Now())
			}
		}
	}
}

// end puts on record how the fleet ended, or why this runner leaves it.
func (r *runner) end() (*Report, error) {
	rec := journal.Record{Kind: journal.KindEnd, Outcome: string(Succeeded), Error: r.ledger.breach}
	switch {
	case r.lost != nil:
		rec = journal.Record{Kind: journal.KindStop, Outcome: string(Incomplete), Error: r.lost.Error()}
		if errors.Is(r.lost, ErrTakenOver) {
			rec.Outcome = string(TakenOver)
		}
		return r.finish(rec)
	case r.cancelled && !r.allDone():
		rec = journal.Record{Kind: journal.KindStop, Outcome: string(Cancelled), Error: context.Cause(r.ctx).Error()}
	case len(r.remains) > 0:
		rec = journal.Record{Kind: journal.KindStop, Outcome: string(Incomplete), Error: r.ledger.breach, Residue: r.residue()}
	case r.ledger.undoing:
		rec.Outcome = string(RolledBack)
	case r.ledger.breach != "":
		rec.Outcome = string(Stopped)
	}
	if r.append(rec); r.lost != nil {
		rec.Kind, rec.Outcome, rec.Error = journal.KindStop, string(Incomplete), r.lost.Error()
	}
	return r.finish(rec)
}

// allDone reports whether the fleet has come to its end.
func (r *runner) allDone() bool {
	if r.ledger.undoing {
		return r.undo != nil && len(r.undo) == 0
	}
	return r.wave == len(r.waves) || r.ledger.breach != ""
}

// finish makes the report, and the error that the fleet's last record comes to.
func (r *runner) finish(last journal.Record) (*Report, error) {
	rep := &Report{
		Fleet: r.f.ID, Outcome: Outcome(last.Outcome), Breach: r.ledger.breach, Members: r.memberReports(),
		Began: r.ledger.began, Finished: time.Now(),
	}
	if !last.Time.IsZero() {
		rep.Finished = last.Time
	}
	rep.Reasons = group(rep.Members)
	r.emit(Event{Kind: EventEnd, Text: string(rep.Outcome), Outcome: rep.Outcome})
	var err error
	switch rep.Outcome { //nolint:exhaustive // the others are of members
	case Succeeded:
		return rep, nil
	case TakenOver:
		err = ErrTakenOver
	case Cancelled:
		err = context.Cause(r.ctx)
	case Incomplete:
		err = ErrIncomplete
		if r.lost != nil {
			err = fmt.Errorf("%w: %w", ErrIncomplete, r.lost)
		} else if len(last.Residue) > 0 {
			err = fmt.Errorf("%w: %s", ErrIncomplete, strings.Join(last.Residue, "; "))
		}
	}
	if rep.Breach != "" {
		breach := fmt.Errorf("%w: %s", ErrBreached, rep.Breach)
		if err = errors.Join(breach, err); !errors.Is(err, ErrIncomplete) && rep.Outcome != Cancelled {
			err = breach
		}
	}
	return rep, fmt.Errorf("fleet %s: %s: %w", r.f.ID, rep.Outcome, err)
}

func (r *runner) memberReports() []MemberReport {
	var all []MemberReport
	for _, w := range r.waves {
		for _, m := range w.members {
			mr := MemberReport{Endpoint: m.name, Wave: w.Name, Outcome: Pending}
			if rec, ok := r.ledger.ended[m.name]; ok {
				mr.Outcome, mr.Reason, mr.Rollout = Outcome(rec.Outcome), rec.Error, rec.Note
			}
			if why, ok := r.remains[m]; ok {
				mr.Outcome, mr.Reason, mr.Rollout = Incomplete, why, m.rollout
			}
			all = append(all, mr)
		}
	}
	return all
}

// residue says which members something remains to be done for.
func (r *runner) residue() []string {
	var lines []string
	for _, w := range r.waves {
		for _, m := range w.members {
			if why, ok := r.remains[m]; ok {
				lines = append(lines, m.name+": "+why)
			}
		}
	}
	return lines
}
