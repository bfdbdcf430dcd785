package fleet_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// guide is what docs/fleets.md shows of a single machine.
func guide(ctx context.Context, store journal.Store, members []fleet.Member, checks []fleet.Check, client endpoint.Lister) (*fleet.Report, error) {
	f := fleet.Fleet{
		ID:      "sdxl-v2-2026-11-30",
		Members: members, // endpoint, strategy and target of each
		Waves: []fleet.Wave{
			{Name: "canary", Select: fleet.Labelled("canary", "yes"), Soak: time.Hour, Checks: checks},
			{Name: "rest", AtOnce: 20},
		},
		Budget:   fleet.Budget{Failures: 5, Share: 0.02},
		Accounts: map[string]fleet.Account{"eu": {Lister: client, PerSecond: 5}},
	}
	report, err := fleet.Run(ctx, store, f)
	return report, err
}

// The page shows the code above, which moves a fleet.
func TestGuide(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fab := newFab(50, func(int) time.Duration { return 10 * time.Minute })
		members := fab.fleet().Members
		for i := range members {
			members[i].Account = "eu"
		}
		members[7].Labels = map[string]string{"canary": "yes"}
		asked := 0
		report, err := guide(t.Context(), journal.NewMemory(), members, []fleet.Check{{Name: "p95", Ask: func(_ context.Context, s fleet.Sample) (rollout.Verdict, error) {
			if asked++; s.Wave != "canary" || len(s.Moved) != 1 {
				t.Errorf("asked about %+v", s)
			}
			return rollout.Measured(0.3, 0.5, true), nil
		}}}, fab)
		if err != nil || report.Count(fleet.Succeeded) != 50 || asked < 60 {
			t.Errorf("%v, %v after %d questions", report, err, asked)
		}
	})
	code, page := trimmed(t, "guide_test.go"), trimmed(t, "../docs/fleets.md")
	_, page, _ = strings.Cut(page, "\n## On a single machine\n")
	_, page, _ = strings.Cut(page, "\n```go\n")
	if block, _, ok := strings.Cut(page, "\n```\n"); !ok || !strings.Contains(code, "\n"+block+"\n") {
		t.Errorf("not in guide_test.go:\n%s", block)
	}
}

// trimmed is a file without what its lines are indented by.
func trimmed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
