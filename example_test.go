package changeover_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// rollOut is the rollout that README.md shows, word for word.
func rollOut(ctx context.Context, key string) error {
	client, err := runpod.New(key)
	if err != nil {
		return err
	}
	store, err := journal.NewFiles("journal") // where a crash is resumed from
	if err != nil {
		return err
	}
	endpoint := client.Endpoint("i02xupws21hp6i")
	report, err := rollout.Run(ctx, store, endpoint, strategy.InPlace{}, rollout.ToArtifact("acme/sdxl:v2"),
		rollout.WithResumeFirst()) // a rollout that was killed is dealt with first
	if err != nil {
		return err // serves the old image again, or says what remains
	}
	log.Print(report.Outcome, " on ", report.Plan.Target)
	return nil
}

// account is a RunPod in process whose workers start at once.
func account() *http.Client {
	srv := runpodtest.New(runpodtest.WithBehaviour(runpodtest.Behaviour{Tick: time.Millisecond, Terminate: time.Millisecond}))
	srv.AddTemplate(runpodtest.Template{ID: "xkhgg72fuo", Image: "acme/sdxl:v1"})
	srv.AddImage(runpodtest.Image{Ref: "acme/sdxl:v2", Pull: time.Millisecond, Start: time.Millisecond})
	srv.AddEndpoint(runpodtest.Endpoint{ID: "i02xupws21hp6i", TemplateID: "xkhgg72fuo", WorkersMin: 1, WorkersMax: 3})
	return srv.Client()
}

func Example() {
	client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(account()))
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := rollout.Run(context.Background(), journal.NewMemory(), client.Endpoint("i02xupws21hp6i"),
		strategy.FlushToZero{}, rollout.ToArtifact("acme/sdxl:v2"),
		rollout.WithInterval(time.Millisecond), rollout.WithSettle(10*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Outcome, "on", report.Status.Serving, report.Status.Settings)
	// Output: succeeded on image acme/sdxl:v2 map[workers.max:3 workers.min:1]
}

// What README.md shows compiles: it is the body of rollOut.
func TestReadmeShowsRollOut(t *testing.T) {
	_ = rollOut
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	shown, _, ok := strings.Cut(rest, "```")
	if !ok || !strings.Contains(string(source), shown) {
		t.Errorf("README.md's first Go block is not in example_test.go:\n%s", shown)
	}
}
