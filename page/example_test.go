package page_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/page"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

func ExampleLoad() {
	ctx, store := context.Background(), journal.NewMemory()
	ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Name: "fake/sdxl", Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Tick: 1, Start: 1,
	})
	if _, err := rollout.Run(ctx, store, ep, strategy.InPlace{}, rollout.ToRevision("b"), rollout.WithInterval(1), rollout.WithSettle(1)); err != nil {
		fmt.Println(err)
		return
	}
	timeline, err := page.Load(ctx, store, "fake/sdxl")
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := os.CreateTemp("", "rollout-*.html")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(file.Name())
	fmt.Println(timeline.WriteHTML(file), file.Close())
	// Output: <nil> <nil>
}

// Decisions are taken of people that a proxy in front has logged in.
func ExampleHandler() {
	store := journal.NewMemory()
	site := page.Handler(store, page.WithDecisions(func(r *http.Request, endpoint string) (string, error) {
		name := r.Header.Get("X-Forwarded-User") // which that proxy sets, and no browser can
		if name != "dana" {
			return "", errors.New("not an approver of " + endpoint)
		}
		return name, nil
	}))
	mux := http.NewServeMux()
	mux.Handle("/rollouts/", http.StripPrefix("/rollouts", site))
	fmt.Println("ready to be served")
	// Output: ready to be served
}
