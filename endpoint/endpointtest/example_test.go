package endpointtest_test

import (
	"context"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

func ExampleNewWorkers() {
	ctx := context.Background()
	ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
	})
	ep.OnMutation(func(_ int, name string) endpointtest.Fault {
		if name == "update b" {
			return endpointtest.LostAfter()
		}
		return endpointtest.Fault{}
	})
	err := ep.Update(ctx, endpoint.Change{To: endpoint.Revision{Kind: "template", ID: "b"}})
	fmt.Println(err)
	s, _ := ep.Status(ctx)
	fmt.Println(s.Phase, s.Desired)
	// Output:
	// update b fake/workers: connection broke off: unavailable
	// updating template b (acme/sdxl:v2)
}

func ExampleNewVariants() {
	ctx := context.Background()
	ep := endpointtest.NewVariants(endpointtest.VariantsConfig{
		Revisions: map[string]string{"sdxl-1": "model-1", "sdxl-2": "model-2"}, Live: "sdxl-1",
		Counts: map[string]int{"AllTraffic": 2},
	})
	to := endpoint.Change{To: endpoint.Revision{Kind: "endpoint-config", ID: "sdxl-2"}}
	fmt.Println(ep.Update(ctx, to))
	s, _ := ep.Status(ctx)
	fmt.Println(s.Phase, s.UpdateStage.Name, s.Desired)
	fmt.Println(ep.Update(ctx, to))
	// Output:
	// <nil>
	// updating Creating endpoint-config sdxl-2 (model-2)
	// update sdxl-2 fake/variants: endpoint is updating: another change is in progress
}
