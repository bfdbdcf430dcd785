package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/condition"
	"github.com/changeover-dev/changeover/journal"
)

// known is what is known of an endpoint and its rollout: by the journal, and by
// the last poll. Its methods compare one with the other, and change neither.
type known struct {
	policy  *Policy
	ledger  *Ledger
	seen    endpoint.Status      // by the last poll
	foreign map[string]time.Time // when a poll last showed a foreign value of a thing
}

// settle is how long a read may lag behind a write.
func (k *known) settle() time.Duration {
	if k.ledger.Unfinished() {
		return k.ledger.Plan.Settle
	}
	return k.policy.Settle
}

// wants is the revision that the forward part wants at present.
func (k *known) wants() endpoint.Revision {
	p := k.ledger.Plan
	if w := k.ledger.latest(journal.ThingRevision); p.Canary != nil && w != nil && *w.Revision == p.Canary.Revision {
		return p.Canary.Revision
	}
	return p.Target
}

// readyFor begins to judge whether a revision is ready.
func (k *known) readyFor(unproven bool) condition.Ready {
	p := k.ledger.Plan
	want, from := k.wants(), p.Source
	switch {
	case k.ledger.RollingBack:
		want, from = p.Source, p.Target
	case p.Canary != nil && want == p.Target:
		from = p.Canary.Revision
	}
	return condition.Ready{Want: want, From: from, Grace: k.settle(), Unproven: unproven}
}

// wanted says in words what a write leads to.
func (k *known) wanted(w *journal.Write) string {
	switch {
	case w.Revision != nil:
		return w.Revision.String()
	case w.Thing == journal.ThingShare:
		return strconv.Itoa(*w.Value) + "%"
	case w.Value != nil:
		return strconv.Itoa(*w.Value)
	case w.Unstage:
		return k.draftOf(w.Thing).Revision.String() + " taken back"
	case w.Thing == journal.ThingDraft, w.Thing == journal.ThingCanary:
		return k.draftOf(w.Thing).Revision.String()
	case w.Suspend != nil:
		return "autoscaling suspended"
	}
	return "autoscaling as it was"
}

// draftOf is the draft that a write of a thing makes.
func (k *known) draftOf(thing string) *endpoint.Draft {
	if thing == journal.ThingCanary {
		return &k.ledger.Plan.Canary.Draft
	}
	return k.ledger.Plan.Draft
}

// recognize refuses another endpoint of the same name, and to compare
// revisions that are known by different things.
func (k *known) recognize(s endpoint.Status) error {
	p := k.ledger.Plan
	if !k.ledger.Unfinished() {
		return nil
	}
	differ := func(have, want string) bool { return have != "" && want != "" && have != want }
	// Records of earlier versions have an identity without what follows its "@".
	if differ(s.Identity, p.Identity) && !strings.HasPrefix(s.Identity, p.Identity+"@") {
		return fmt.Errorf("%s is %s here, and the rollout began on %s: resume it there, and keep a store for each account and region; "+
			"if it was deleted and made again, abandon the rollout: %w", k.ledger.Endpoint, s.Identity, p.Identity, endpoint.ErrInvalid)
	}
	if differ(s.Desired.Kind, p.Source.Kind) {
		return fmt.Errorf("%s shows a revision of kind %q, and the rollout began on one of kind %q: go on with the kind that it began with: %w",
			k.ledger.Endpoint, s.Desired.Kind, p.Source.Kind, endpoint.ErrInvalid)
	}
	return nil
}

func (k *known) lastSeen() *endpoint.Status {
	s := k.seen
	return &s
}
