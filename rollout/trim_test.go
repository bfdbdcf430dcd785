package rollout_test

import (
	"errors"
	"testing"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// Rollouts go on in a journal that was trimmed, and one that was interrupted is
// undone from it, also if it is trimmed once more in between.
func TestTrimmedJournal(t *testing.T) {
	for n := 1; n <= 3; n++ {
		store, err := journal.NewFiles(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		bubble(t, func(t *testing.T) {
			last := 0
			for range 3 {
				fx := flushFixture()
				if _, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target); err != nil {
					t.Fatal(err)
				}
				if err := journal.TrimFinished(t.Context(), store, fx.Name(), 1); err != nil {
					t.Fatal(err)
				}
				records, err := journal.Load(t.Context(), store, fx.Name())
				if err != nil || records[0].Kind != journal.KindPlan || records[0].Seq != last+1 {
					t.Fatalf("Load = %d records, %v, want the one rollout from record %d on", len(records), err, last+1)
				}
				last = records[len(records)-1].Seq
			}
			fx := flushFixture()
			fx.crashAt(t, store, n)
			if err := journal.TrimFinished(t.Context(), store, fx.Name(), 1); err != nil {
				t.Fatal(err)
			}
			if _, err := rollout.Resume(t.Context(), store, fx); !errors.Is(err, rollout.ErrRolledBack) {
				t.Errorf("Resume = %v, want %v", err, rollout.ErrRolledBack)
			}
			fx.wantAsBefore(t)
		})
	}
}
