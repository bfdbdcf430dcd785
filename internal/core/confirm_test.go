package core

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// The one machine that confirms writes: what a poll after a write of workers.max,
// from 3 to 5, says of it, by what the call was answered and by how much later the
// poll is. The settle time is 10 seconds.
func TestConfirm(t *testing.T) {
	lost := fmt.Errorf("%w: connection reset", endpoint.ErrUnavailable)
	limited := fmt.Errorf("%w: to 4", endpoint.ErrClamped)
	const soon, late = 2 * time.Second, 10 * time.Second
	for _, tt := range []struct {
		name   string
		answer error // of the call
		shows  int
		before int           // what the poll before showed, if that was foreign; 0 for none
		after  time.Duration // the call
		done   bool
		err    error // that ends the polls
	}{
		{"accepted, shows", nil, 5, 0, soon, true, nil},
		{"accepted, the old value may be an old read", nil, 3, 0, soon, false, nil},
		{"accepted, and forgotten", nil, 3, 0, late, false, errNotApplied},
		{"accepted, a foreign value has to last", nil, 7, 0, late, false, nil},
		{"accepted, a foreign value that lasts", nil, 7, 7, late, false, endpoint.ErrDrift},
		{"lost, shows", lost, 5, 0, soon, true, nil},
		{"lost, it may yet come", lost, 3, 0, soon, false, nil},
		{"lost, and was not applied", lost, 3, 0, late, false, errNotApplied},
		{"lost, a foreign value that lasts", lost, 7, 7, late, false, endpoint.ErrDrift},
		{"limited, and the limit lasts", limited, 4, 4, late, false, endpoint.ErrClamped},
		{"limited, and not applied at all", limited, 3, 0, late, false, endpoint.ErrClamped},
		{"limited, and yet as asked", limited, 5, 0, soon, true, nil},
		{"not limited, and another value lasts", nil, 4, 4, late, false, endpoint.ErrDrift},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, w := confirming5(t, tt.answer)
			at := epoch.Add(tt.after)
			if tt.before != 0 {
				shown := findConfirmed(m, polled(w, tt.before), epoch)
				if shown.done || shown.err != nil {
					t.Fatalf("the first poll says %+v", shown)
				}
			}
			f := findConfirmed(m, polled(w, tt.shows), at)
			if f.done != tt.done || f.fail != nil || !errors.Is(f.err, tt.err) || f.err != nil != (tt.err != nil) {
				t.Errorf("done %v, %v; want done %v, %v", f.done, f.err, tt.done, tt.err)
			}
			if !f.done && f.err == nil && !f.due.After(epoch) {
				t.Errorf("it is not said when the next poll can tell more: %v", f.due)
			}
		})
	}
}

var epoch = time.Unix(1<<30, 0).UTC()

// confirming5 is a machine that has written workers.max=5, and got the answer at epoch.
func confirming5(t *testing.T, answer error) (*Machine, *waiting) {
	t.Helper()
	five := 5
	write := journal.Write{Thing: endpoint.WorkersMax, Value: &five}
	plan := &strategy.Plan{
		Version: strategy.FormatVersion, Rollout: "r", Endpoint: "fake/x", Strategy: "in-place", Settle: 10 * time.Second,
		Source: endpoint.Revision{Kind: "template", ID: "a"}, Target: endpoint.Revision{Kind: "template", ID: "b"},
		Settings: endpoint.Settings{endpoint.WorkersMax: 3},
		Forward: []strategy.Step{
			{Name: "raise", Do: strategy.ActionSet, Key: endpoint.WorkersMax, Value: 5, Timeout: time.Minute},
			{Name: "commit", Do: strategy.ActionCommit},
			{Name: "verify", Do: strategy.ActionVerify, Timeout: time.Minute},
		},
		Rollback: []strategy.Step{{Name: "verify", Do: strategy.ActionVerify, Timeout: time.Minute}},
	}
	j, err := Fold("fake/x", []journal.Record{
		{Version: strategy.FormatVersion, Seq: 1, Time: epoch, Rollout: "r", Kind: journal.KindPlan, Plan: plan},
		{
			Version: strategy.FormatVersion, Seq: 2, Time: epoch, Rollout: "r", Kind: journal.KindIntent, Step: "raise", Write: &write, NotAfter: epoch.Add(time.Minute),
			Before: &endpoint.Status{Settings: endpoint.Settings{endpoint.WorkersMax: 3}},
		},
	}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{known: known{policy: &Policy{}, ledger: j}, task: &task{kind: taskStep, step: plan.Forward[0]}}
	m.task.write = &writing{Write: write, want: "5", phase: confirming, callErr: answer, answered: epoch}
	return m, &waiting{kind: waitConfirm}
}

// polled is the wait after a poll that showed workers.max.
func polled(w *waiting, value int) *waiting {
	w.got = &reading{status: endpoint.Status{Desired: endpoint.Revision{Kind: "template", ID: "a"}, Settings: endpoint.Settings{endpoint.WorkersMax: value}}}
	return w
}
