package runpodtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// deploy stands for the program under test: it moves an endpoint to a template.
func deploy(ctx context.Context, hc *http.Client, key, endpoint, template string) error {
	query := fmt.Sprintf(`{"query":"mutation{updateEndpointTemplate(input:{endpointId:\"%s\",templateId:\"%s\"}){templateId}}"}`, endpoint, template)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.runpod.io/graphql", strings.NewReader(query))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	res, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	fmt.Println(res.StatusCode, strings.TrimSpace(string(body)))
	return err
}

func ExampleServer() {
	srv := runpodtest.New()
	v1 := srv.AddTemplate(runpodtest.Template{Image: "acme/sdxl:v1"})
	v2 := srv.AddTemplate(runpodtest.Template{ID: "wphkv67a0p", Image: "acme/sdxl:v2"})
	id := srv.AddEndpoint(runpodtest.Endpoint{ID: "i02xupws21hp6i", TemplateID: v1, WorkersMax: 3})

	if err := deploy(context.Background(), srv.Client(), runpodtest.Key, id, v2); err != nil {
		fmt.Println(err)
	}
	fmt.Println("linked to", srv.Endpoint(id).TemplateID)
	for _, m := range srv.Mutations() {
		fmt.Println(m.Fields, "applied:", m.Applied)
	}
	// Output:
	// 200 {"data":{"updateEndpointTemplate":{"templateId":"wphkv67a0p"}}}
	// linked to wphkv67a0p
	// [updateEndpointTemplate] applied: true
}

// The connection breaks after the write took effect: the program cannot know,
// and has to look.
func ExampleServer_Fail() {
	srv := runpodtest.New()
	v1 := srv.AddTemplate(runpodtest.Template{Image: "acme/sdxl:v1"})
	v2 := srv.AddTemplate(runpodtest.Template{ID: "wphkv67a0p", Image: "acme/sdxl:v2"})
	id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: v1, WorkersMax: 3})

	srv.Fail(runpodtest.Call{Field: "updateEndpointTemplate"}, runpodtest.Dropped(true))
	err := deploy(context.Background(), srv.Client(), runpodtest.Key, id, v2)
	fmt.Println(err)
	fmt.Println("linked to", srv.Endpoint(id).TemplateID)
	// Output:
	// Post "https://api.runpod.io/graphql": unexpected EOF
	// linked to wphkv67a0p
}

// Another person pauses the endpoint a minute from now.
func ExampleServer_At() {
	srv := runpodtest.New()
	v1 := srv.AddTemplate(runpodtest.Template{Image: "acme/sdxl:v1"})
	id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: v1, WorkersMax: 3})
	srv.At(time.Now().Add(time.Minute), func(st *runpodtest.State) {
		st.EditEndpoint(id, func(e *runpodtest.Endpoint) { e.WorkersMax = 0 })
	})
	fmt.Println(srv.Endpoint(id).WorkersMax)
	// Output: 3
}
