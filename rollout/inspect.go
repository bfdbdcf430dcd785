package rollout

import (
	"context"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// State is where the newest rollout of an endpoint is, by its journal.
type State struct {
	Endpoint string `json:"endpoint"`
	// Plan is the newest rollout's, nil if there was none: the rest is zero then.
	Plan *strategy.Plan `json:"plan,omitempty"`
	// Unfinished is true until the rollout has ended: [Resume] has something to do.
	Unfinished bool `json:"unfinished"`
	// Outcome is how it ended or stopped; empty while a runner has it.
	Outcome Outcome   `json:"outcome,omitempty"`
	Began   time.Time `json:"began,omitzero"`
	Ended   time.Time `json:"ended,omitzero"` // or stopped
	// RollingBack says which of the plan's lists is carried out, Step the next
	// step of it, the Nth of Of; empty at its end. Committed is true once the
	// commit point is passed.
	RollingBack bool   `json:"rollingBack"`
	Committed   bool   `json:"committed"`
	Step        string `json:"step,omitempty"`
	N           int    `json:"n,omitempty"`
	Of          int    `json:"of,omitempty"`
	// Reason is why it rolls back.
	Reason string `json:"reason,omitempty"`
	// Writing is the write of which it is not known yet whether it was made.
	Writing *journal.Write `json:"writing,omitempty"`
	// Owner is the runner that had it last, and Heartbeat when that was last
	// heard of; zero if the store keeps no heartbeats or it was never.
	Owner     string    `json:"owner,omitempty"`
	Heartbeat time.Time `json:"heartbeat,omitzero"`
	// Drift is what others changed so far. Residue is what remains of a rollout
	// that stopped.
	Drift   []journal.Drift `json:"drift,omitempty"`
	Residue []Remainder     `json:"residue,omitempty"`
	// Next says in words what a resume would begin with.
	Next string `json:"next"`
}

// Inspect returns where the newest rollout of an endpoint is, as [Explain] tells
// it to people. It only reads the store, beside the runner if there is one.
func Inspect(ctx context.Context, store journal.Store, name string) (*State, error) {
	if err := checkStore(store); err != nil {
		return nil, err
	}
	if name == "" {
		return nil, invalid("endpoint", "its name is empty")
	}
	j, err := readLedger(ctx, store, name)
	if err != nil {
		return nil, err
	}
	s := &State{Endpoint: name, Next: "nothing, the journal is empty"}
	if j.Plan == nil {
		return s, nil
	}
	s.Plan, s.Unfinished, s.Began, s.Owner = j.Plan, j.Unfinished(), j.Began, j.Owner
	s.RollingBack, s.Committed, s.Reason, s.Drift = j.RollingBack, j.Committed, j.Reason, j.Drift
	s.Next = nextAction(j)
	if list := j.List(); j.Next < len(list) {
		s.Step, s.N, s.Of = list[j.Next].Name, j.Next+1, len(list)
	}
	if j.Pending != nil {
		s.Writing = j.Pending.Write
	}
	if j.Last != nil {
		s.Outcome, s.Ended = Outcome(j.Last.Outcome), j.Last.Time
		if s.Unfinished {
			for _, x := range core.Remaining(j, endpoint.Status{}) {
				s.Residue = append(s.Residue, remainder(x))
			}
		}
	}
	if h, ok := holder(ctx, store, j); ok {
		s.Heartbeat = h.Time
	}
	return s, nil
}
