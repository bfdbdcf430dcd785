package temporal_test

import (
	"fmt"
	"log"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/engine/temporal"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// fakeOf is an endpoint that is quick.
func fakeOf(name string) endpoint.Updater {
	return endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Name: name, Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a",
		Min: 1, Max: 2, Tick: time.Millisecond, Start: time.Millisecond,
	})
}

var quick = []rollout.Option{rollout.WithInterval(5 * time.Millisecond), rollout.WithSettle(20 * time.Millisecond)}

// The SDK's test suite stands for a service and a worker; docs/fleets.md has both.
func ExampleRolloutWorkflow() {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet{})
	service := suite.NewTestWorkflowEnvironment()
	worker := temporal.Worker{
		Store:      journal.NewMemory(),
		Endpoints:  map[string]endpoint.Updater{"fake/0": fakeOf("fake/0")},
		Strategies: map[string]strategy.Strategy{"in-place": strategy.InPlace{}},
		Options:    map[string][]rollout.Option{"quick": quick},
	}
	if err := worker.Register(service); err != nil {
		log.Fatal(err)
	}
	service.ExecuteWorkflow(temporal.RolloutWorkflowName, temporal.Request{
		Endpoint: "fake/0", Strategy: "in-place", Options: "quick", Revision: "b",
	}, nil)
	var result temporal.Result
	if err := service.GetWorkflowResult(&result); err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Outcome)
	// Output: succeeded
}

func ExampleFleetWorkflow() {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet{})
	service := suite.NewTestWorkflowEnvironment()
	nightly := fleet.Fleet{Waves: []fleet.Wave{{Name: "canary", Members: []string{"fake/0"}}, {Name: "rest"}}}
	for i := range 3 {
		nightly.Members = append(nightly.Members, fleet.Member{
			Endpoint: fakeOf(fmt.Sprintf("fake/%d", i)), Strategy: strategy.InPlace{}, Options: quick,
		})
	}
	worker := temporal.Worker{Store: journal.NewMemory(), Fleets: map[string]fleet.Fleet{"nightly": nightly}}
	if err := worker.Register(service); err != nil {
		log.Fatal(err)
	}
	service.ExecuteWorkflow(temporal.FleetWorkflowName, temporal.FleetRequest{Fleet: "nightly", ID: "sdxl-v2", Revision: "b"}, nil)
	var result temporal.FleetResult
	if err := service.GetWorkflowResult(&result); err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Outcome)
	fmt.Println(result.Members)
	// Output:
	// succeeded
	// 3 of 3 moved, 0 under way, 0 failed, 0 skipped, 0 undone
}
