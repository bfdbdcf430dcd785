package fleet

import (
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// Fleet is many endpoints and how to move them. It is the caller's code, as
// the options of a rollout are: a fleet that is gone on with is given again, with
// the same members.
type Fleet struct {
	// ID names the fleet, its journal and the label in its members' plans. It has
	// 1 to 100 letters, digits, dots, hyphens and underscores.
	ID string
	// Members are the endpoints, each with a name of its own, in the order in
	// which they are begun. Regions and providers may mix.
	Members []Member
	// Waves are carried out one after the other. Without any, all members are one
	// wave. Every member has to be in exactly one.
	Waves []Wave
	// Budget says how many members may fail.
	Budget Budget
	// OnBreach says what happens when more do; the zero value is [BreachRollback].
	OnBreach OnBreach
	// OnBusy says what happens to a member that another runner is rolling; the
	// zero value is [BusyWait], for BusyTimeout, an hour if that is zero. At its
	// end the member has failed. A member whose rollout cannot begin because the
	// store or the provider is away is waited for as long.
	OnBusy      OnBusy
	BusyTimeout time.Duration
	// Accounts hold what the members of one account share, by [Member.Account].
	Accounts map[string]Account
}

// Member is one endpoint of a fleet.
type Member struct {
	Endpoint endpoint.Updater
	Strategy strategy.Strategy
	Target   rollout.Target
	// Account is a key of [Fleet.Accounts], or "" for none.
	Account string
	// Labels are for selectors.
	Labels map[string]string
	// Options are the member's own. The fleet adds the owner, the label, the
	// account's poller and the history.
	Options []rollout.Option
}

// Wave is some of the members, and what has to hold before the next wave.
type Wave struct {
	Name string
	// Members are the endpoints' names. Without any, the wave has the members that
	// Select accepts, or all if it is nil, among those in no wave before.
	Members []string
	Select  func(Member) bool
	// AtOnce is how many members are under way at the same time; zero sets no limit.
	AtOnce int
	// Soak is how long to watch after the last member has ended.
	Soak time.Duration
	// Checks are asked during the soak. Each has to pass at its end.
	Checks []Check
	// Approval is waited for after that; nil for none. See [Decide]. By default
	// one that expires is a breach.
	Approval *strategy.Approval
}

// Labelled selects the members with the label.
func Labelled(key, value string) func(Member) bool {
	return func(m Member) bool { v, ok := m.Labels[key]; return ok && v == value }
}

// Budget is how many members may fail: have been refused, rolled back, superseded
// or left incomplete. It is breached by one more. If both limits are set the
// lower one counts; the zero Budget lets none fail. Members that were skipped,
// and those that are rolled back because of the breach, do not count.
type Budget struct {
	Failures int     // a number of members
	Share    float64 // a share of all members, between 0 and 1
}

// allows is the number of failures that are no breach.
func (b Budget) allows(members int) int {
	share := int(b.Share * float64(members))
	switch {
	case b.Share > 0 && b.Failures > 0:
		return min(b.Failures, share)
	case b.Share > 0:
		return share
	}
	return b.Failures
}

// OnBreach says what a breach of the budget, a failed check or a rejected
// approval leads to.
type OnBreach string

// What it can lead to.
const (
	// BreachRollback rolls back the members under way, and then, newest first,
	// those that the fleet has moved.
	BreachRollback OnBreach = "rollback"
	// BreachStop begins no more members. Those under way end as they do.
	BreachStop OnBreach = "stop"
)

// OnBusy says what happens to a member that another runner is rolling.
type OnBusy string

// What can happen.
const (
	BusyWait OnBusy = "wait" // for that to end
	BusySkip OnBusy = "skip" // the member is left as it is
)

// Account is what the members of one account share.
type Account struct {
	// Lister sees all endpoints of the account, so that waits share one poller;
	// nil lets each member poll for itself. ListInterval is the least time between
	// two lists, [waiter.DefaultListInterval] if zero.
	Lister       endpoint.Lister
	ListInterval time.Duration
	// PerSecond is how many calls of the members begin in a second, and Burst how
	// many may begin at once, at least one. Zero sets no limit. Lists come on top.
	PerSecond float64
	Burst     int
}
