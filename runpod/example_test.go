package runpod_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// production is a fake account with one endpoint and two templates.
func production() *runpodtest.Server {
	srv := runpodtest.New()
	srv.AddTemplate(runpodtest.Template{ID: "xkhgg72fuo", Name: "sdxl-a", Image: "acme/sdxl:v1"})
	srv.AddTemplate(runpodtest.Template{ID: "wphkv67a0p", Name: "sdxl-b", Image: "acme/sdxl:v2"})
	srv.AddEndpoint(runpodtest.Endpoint{ID: "i02xupws21hp6i", TemplateID: "xkhgg72fuo", WorkersMin: 1, WorkersMax: 3})
	return srv
}

func ExampleEndpoint_Status() {
	srv := production() // stands in for RunPod
	client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(srv.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := client.Endpoint("i02xupws21hp6i").Status(context.Background())
	fmt.Println(s.Phase, s.Serving, s.Settings, err)
	// Output: ready image acme/sdxl:v1 map[workers.max:3 workers.min:1] <nil>
}

func ExampleEndpoint_Update() {
	srv := production()
	client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(srv.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, e := context.Background(), client.Endpoint("i02xupws21hp6i")
	to, err := e.Resolve(ctx, endpoint.Revision{Artifact: "acme/sdxl:v2"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := e.Update(ctx, endpoint.Change{To: to}); err != nil {
		fmt.Println(err)
		return
	}
	// RunPod has accepted it. The worker still has to be replaced.
	s, err := e.Status(ctx)
	fmt.Println(s.Phase, s.Desired, "serving", s.Serving, err)
	// Output: updating image acme/sdxl:v2 serving nothing <nil>
}

func ExampleEndpoint_Set() {
	srv := production()
	client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(srv.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.Endpoint("i02xupws21hp6i").Set(context.Background(), endpoint.WorkersMax, 12)
	var refused *runpod.APIError
	if errors.As(err, &refused) && errors.Is(err, endpoint.ErrQuota) {
		fmt.Println(refused.AtMost())
	}
	// Output: 10 true
}

func ExampleEndpoint_Draft() {
	srv := production()
	client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(srv.Client()), runpod.WithTransport(runpod.GraphQL))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, e := context.Background(), client.Endpoint("i02xupws21hp6i")
	draft, err := e.Draft(ctx, endpoint.Revision{Kind: runpod.KindTemplate, ID: "wphkv67a0p"}, "acme/sdxl:v3")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(draft.Base, "becomes", draft.Revision)
	fmt.Println(e.Stage(ctx, draft), e.Staged(ctx, draft))
	// Output:
	// template wphkv67a0p (acme/sdxl:v2) becomes template wphkv67a0p (acme/sdxl:v3)
	// <nil> <nil>
}

func ExampleEndpoint_Preflight() {
	srv := production()
	client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(srv.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	e := client.Endpoint("i02xupws21hp6i")
	to := endpoint.Revision{Kind: runpod.KindImage, Artifact: "docker.io/acme/sdxl:v1"}
	_, err = e.Preflight(context.Background(), endpoint.Change{To: to}, nil)
	fmt.Println(errors.Is(err, endpoint.ErrSameArtifact))
	// Output: true
}

func ExampleMaxWorkersFor() {
	fmt.Println(runpod.MaxWorkersFor(10), runpod.MaxWorkersFor(11))
	// Output: 12 14
}
