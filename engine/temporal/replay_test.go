package temporal_test

import (
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/changeover-dev/changeover/engine/temporal"
)

// The histories in testdata were recorded on a real server (UPDATE=1). Workflows
// like them may be under way when a worker is updated: today's workflow has to do
// the same again.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/history-*.json")
	if err != nil || len(files) < 7 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r := worker.NewWorkflowReplayer()
			r.RegisterWorkflowWithOptions(temporal.RolloutWorkflow, workflow.RegisterOptions{Name: temporal.RolloutWorkflowName})
			r.RegisterWorkflowWithOptions(temporal.FleetWorkflow, workflow.RegisterOptions{Name: temporal.FleetWorkflowName})
			r.RegisterWorkflowWithOptions(temporal.MemberWorkflow, workflow.RegisterOptions{Name: temporal.MemberWorkflowName})
			if err := r.ReplayWorkflowHistoryFromJSONFile(quiet{}, file); err != nil {
				t.Error(err)
			}
		})
	}
}
