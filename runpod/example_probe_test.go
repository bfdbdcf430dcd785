package runpod_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// sendJob is a job for rollout.WithProbe: it sends the input, asks every two
// seconds what has become of it, and takes it back if nobody wants it any more.
func sendJob(client *http.Client, key, endpoint, input string) rollout.Job {
	call := func(ctx context.Context, method, path, body string) (job struct{ ID, Status, WorkerID string }, err error) {
		req, err := http.NewRequestWithContext(ctx, method, runpod.DefaultJobURL+"/"+endpoint+path, strings.NewReader(body))
		if err != nil {
			return job, err
		}
		req.Header.Set("Authorization", "Bearer "+key)
		res, err := client.Do(req)
		if err != nil {
			return job, err
		}
		defer func() { _ = res.Body.Close() }()
		switch res.StatusCode {
		case http.StatusOK:
			return job, json.NewDecoder(res.Body).Decode(&job)
		case http.StatusConflict: // paused a moment ago, for all that the job plane knows
			return job, nil
		}
		return job, fmt.Errorf("%s: %s", path, res.Status)
	}
	return func(ctx context.Context) (worker string, err error) {
		id := ""
		for {
			method, path, body := http.MethodGet, "/status/"+id, ""
			if id == "" {
				method, path, body = http.MethodPost, "/run", `{"input":`+input+`}`
			}
			job, err := call(ctx, method, path, body)
			switch id = job.ID; {
			case err != nil:
				return "", err
			case job.Status == "COMPLETED":
				return job.WorkerID, nil
			case job.Status == "FAILED", job.Status == "CANCELLED", job.Status == "TIMED_OUT":
				return "", fmt.Errorf("the job ended %s", job.Status)
			}
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
				undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
				defer cancel()
				_, _ = call(undo, http.MethodPost, "/cancel/"+id, "")
				return "", context.Cause(ctx)
			}
		}
	}
}

// An endpoint that scales to zero proves its new image by a job.
func ExampleEndpoint_InspectWorker() {
	srv := runpodtest.New(runpodtest.WithBehaviour(runpodtest.Behaviour{Tick: time.Millisecond})) // stands in for RunPod
	for _, image := range []string{"acme/sdxl:v1", "acme/sdxl:v2"} {
		srv.AddImage(runpodtest.Image{Ref: image, Pull: time.Millisecond, Start: time.Millisecond})
	}
	srv.AddTemplate(runpodtest.Template{ID: "xkhgg72fuo", Image: "acme/sdxl:v1"})
	srv.AddEndpoint(runpodtest.Endpoint{ID: "i02xupws21hp6i", TemplateID: "xkhgg72fuo", WorkersMax: 3})

	client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(srv.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	probe := rollout.WithProbe("one picture", sendJob(srv.Client(), runpodtest.Key, "i02xupws21hp6i", `{"prompt":"a cat"}`))
	report, err := rollout.Run(context.Background(), journal.NewMemory(), client.Endpoint("i02xupws21hp6i"),
		strategy.InPlace{}, rollout.ToArtifact("acme/sdxl:v2"), probe, rollout.WithSettle(50*time.Millisecond), rollout.WithInterval(10*time.Millisecond))
	fmt.Println(report.Outcome, "proven by", report.Proof, err)
	// Output: succeeded proven by probe <nil>
}
