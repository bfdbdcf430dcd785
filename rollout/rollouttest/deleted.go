package rollouttest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// remains is what there is where the endpoint was.
type remains struct {
	guarded any
	live    string
	thing   string // of the last write before
}

// beside reports whether a write is none of the endpoint: what it makes is another
// thing, or it goes on with the writes of the step at which the endpoint was deleted,
// which is one call of the updater.
func (d *remains) beside(thing string) bool {
	return thing == journal.ThingDraft || thing == journal.ThingCanary || thing == journal.ThingAutoscaling && d.thing == thing
}

// remove deletes the endpoint, as soon as the provider lets it.
func (r *run) remove() bool {
	if !r.Delete() {
		return false
	}
	r.deleted = &remains{r.Guarded(), r.Live(), r.sent[len(r.sent)-1].For.Thing}
	return true
}

// gone holds the end of a rollout whose endpoint was deleted to what was promised:
// it says so, whatever has the endpoint's name is not written to, and a person can
// give the rollout up.
func (r *run) gone(t *testing.T, report *rollout.Report, err error) {
	t.Helper()
	if report.Outcome != rollout.OutcomeGone {
		t.Errorf("outcome %s, error %v: want it gone", report.Outcome, err)
	}
	if diff := cmp.Diff(r.deleted.guarded, r.Guarded()); diff != "" && r.deleted.thing != journal.ThingAutoscaling || r.Live() != r.deleted.live {
		t.Errorf("what has the name of the endpoint that was deleted was changed (-before +after):\n%s", diff)
	}
	name := r.Updater.Name()
	if report, err := rollout.Abandon(t.Context(), r.store, name, "deleted"); err != nil || report.Outcome != rollout.OutcomeAbandoned {
		t.Errorf("given up: %v, %v", report.Outcome, err)
	}
	if again, err := rollout.Resume(t.Context(), r.store, r.Updater); err != nil || again.Outcome != rollout.OutcomeNothing {
		t.Errorf("resumed after it was given up: %v, %v, want nothing to do", again, err)
	}
}
