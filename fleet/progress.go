package fleet

import (
	"cmp"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/journal"
)

// decide does what is to be done next: begin members, judge a wave, undo, end.
func (r *runner) decide(now time.Time) {
	if r.ctx.Err() != nil && !r.cancelled {
		r.cancelled = true
		r.wakeAll(now)
	}
	if allowed := r.f.Budget.allows(len(r.f.Members)); r.failed > allowed && !r.cancelled {
		r.breach(fmt.Sprintf("%d of %d members failed, the budget allows %d", r.failed, len(r.f.Members), allowed))
	}
	if d := r.ledger.abort; d != nil && r.ledger.breach == "" {
		r.breach(d.String())
	}
	switch {
	case r.lost != nil, r.over:
	case r.ledger.undoing && r.forwards > 0:
		// those that go forward are rolled back first
	case r.ledger.undoing:
		r.undoNext(now)
	case r.cancelled, r.ledger.breach != "":
		r.gate = nil
		r.over = r.active == 0
	default:
		r.goOn(now)
	}
}

// goOn begins what the present wave still lacks, and goes on to the next one.
func (r *runner) goOn(now time.Time) {
	for r.wave < len(r.waves) && r.lost == nil && r.ledger.breach == "" {
		w := r.waves[r.wave]
		if r.ledger.passed[w.Name] {
			r.wave++
			continue
		}
		if !w.told {
			w.told = true
			r.emit(Event{Kind: EventWave, Wave: w.Name, Text: fmt.Sprintf("begins with %d members", len(w.members))})
		}
		for ; w.next < len(w.members) && (w.AtOnce == 0 || w.active < w.AtOnce); w.next++ {
			if m := w.members[w.next]; m.state == pending {
				r.begin(m, now)
			}
		}
		if w.active > 0 || !r.pass(w, now) {
			return
		}
		r.gate = nil
		if r.append(journal.Record{Kind: kindWave, Step: w.Name}); r.lost == nil {
			r.wave++
		}
	}
	r.over = r.active == 0 && r.wave == len(r.waves)
}

// begin makes a member one of those under way, and due now.
func (r *runner) begin(m *member, now time.Time) {
	m.busy = time.Time{}
	r.enter(m)
	r.schedule(m, now)
}

// enter counts a member as under way.
func (r *runner) enter(m *member) {
	m.state = active
	m.wave.active++
	if r.active++; !m.undoing {
		r.forwards++
	}
}

// breach lets nothing more begin.
func (r *runner) breach(why string) {
	if r.ledger.breach != "" {
		return
	}
	on := cmp.Or(r.f.OnBreach, BreachRollback)
	r.append(journal.Record{Kind: journal.KindRollback, Error: why, Note: string(on)})
	r.gate = nil
	r.emit(Event{Kind: EventBreach, Text: why})
	if r.lost == nil && on == BreachRollback {
		r.cancelForward(fmt.Errorf("%w: %s", ErrBreached, why))
		r.wakeAll(time.Now())
	}
}

// emit hands an event to the observer.
func (r *runner) emit(e Event) {
	if r.set.observe == nil {
		return
	}
	e.Time, e.Fleet, e.Progress = time.Now(), r.f.ID, r.progress()
	defer func() {
		if recover() != nil {
			r.set.observe = nil
		}
	}()
	r.set.observe(e)
}

// progress counts the members.
func (r *runner) progress() Progress {
	p := Progress{Total: len(r.f.Members), UnderWay: r.active}
	for _, rec := range r.ledger.ended {
		switch o := Outcome(rec.Outcome); {
		case o == Succeeded, o == NoOp, o == NotUndone:
			p.Moved++
		case o == Skipped:
			p.Skipped++
		case o == Undone:
			p.Undone++
		case failed(o):
			p.Failed++
		}
	}
	p.Failed += len(r.remains)
	p.Pending = max(0, p.Total-p.UnderWay-p.Moved-p.Failed-p.Skipped-p.Undone)
	return p
}
