package temporal

import (
	"context"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// seen is what an activity saw in an endpoint's journal, for the workflow's queries:
// a query may not read a store itself.
type seen struct {
	State *rollout.State `json:"state,omitempty"`
	// Lines tell the records after the one that is known already; Anew says that they
	// are of another rollout than those before.
	Lines []string `json:"lines,omitempty"`
	Anew  bool     `json:"anew,omitempty"`
	Seq   int      `json:"seq,omitempty"` // of the last record that was told
}

// look reads the journal. What cannot be read now is told by the next activity.
func (s *seen) look(ctx context.Context, store journal.Store, name string, after int) {
	state, err := rollout.Inspect(ctx, store, name)
	if err != nil {
		return
	}
	records, err := journal.LoadAfter(ctx, store, name, after)
	if err != nil {
		return
	}
	state.Plan = nil // it has what the caller's change options say
	s.State, s.Seq = state, after
	for i := range records {
		if records[i].Kind == journal.KindPlan {
			s.Lines, s.Anew = nil, true
		}
		s.Lines = append(s.Lines, records[i].Time.UTC().Format(time.RFC3339)+"  "+rollout.Describe(&records[i]))
		s.Seq = records[i].Seq
	}
}

// add adds what an activity saw to what was known.
func (s *seen) add(more *seen) {
	if more.State == nil {
		return
	}
	if more.Anew {
		s.Lines = nil
	}
	s.State, s.Seq, s.Lines = more.State, more.Seq, append(s.Lines, more.Lines...)
}
