package rollout_test

import (
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

func TestInspect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx, store := flushFixture(), journal.NewMemory()
		inspect := func() *rollout.State {
			t.Helper()
			s, err := rollout.Inspect(t.Context(), store, fx.Name())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := inspect(); s.Plan != nil || s.Unfinished || s.Next == "" {
			t.Errorf("of an empty journal: %+v", s)
		}
		began := time.Now()
		fx.crashAt(t, store, 2, rollout.WithOwner("ci job 12"))
		s := inspect()
		if !s.Unfinished || s.Outcome != "" || s.Owner != "ci job 12" || s.RollingBack || s.Committed || s.Began.Before(began) || s.Heartbeat.IsZero() {
			t.Errorf("of a rollout whose process died: %+v", s)
		}
		if s.Step != "lower workers.max" || s.N != 2 || s.Of != len(s.Plan.Forward) || s.Writing == nil || s.Writing.Thing != endpoint.WorkersMax {
			t.Errorf("it is at %q, %d of %d, writing %v", s.Step, s.N, s.Of, s.Writing)
		}
		fx.OnMutation(func(int, string) endpointtest.Fault { return endpointtest.Refuse(endpoint.ErrUnauthorized) })
		if _, err := rollout.Resume(t.Context(), store, fx); err == nil {
			t.Fatal("it could be resumed")
		}
		if s := inspect(); !s.Unfinished || !s.RollingBack || s.Outcome != rollout.OutcomeIncomplete || len(s.Residue) == 0 || s.Ended.IsZero() {
			t.Errorf("of an incomplete rollout: %+v", s)
		}
		fx.OnMutation(nil)
		_, err := rollout.Resume(t.Context(), store, fx)
		fx.wantRolledBack(t, err, rollout.ErrRolledBack)
		if s := inspect(); s.Unfinished || s.Outcome != rollout.OutcomeRolledBack || s.Residue != nil || s.Writing != nil {
			t.Errorf("of a rollout that was rolled back: %+v", s)
		}
	})
}

// The journal keeps the newest rollouts, and the newest is always whole.
func TestJournalIsTrimmed(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []rollout.Option
		want int
	}{
		"by default": {nil, journal.KeepRollouts},
		"as asked":   {[]rollout.Option{rollout.WithKeep(2)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx, store := flushFixture(), journal.NewMemory()
				for i := range journal.KeepRollouts + 3 {
					to := []string{"b", "a"}[i%2]
					if _, err := rollout.Run(t.Context(), store, fx, strategy.InPlace{}, rollout.ToRevision(to), tt.opts...); err != nil {
						t.Fatal(err)
					}
				}
				records, err := journal.Load(t.Context(), store, fx.Name())
				if err != nil {
					t.Fatal(err)
				}
				plans := 0
				for _, r := range records {
					if r.Kind == journal.KindPlan {
						plans++
					}
				}
				if plans != tt.want || records[len(records)-1].Kind != journal.KindEnd {
					t.Errorf("%d rollouts are kept, want %d", plans, tt.want)
				}
			})
		})
	}
}
