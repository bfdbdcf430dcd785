package runpodtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestHealth(t *testing.T) {
	tests := []struct {
		name      string
		endpoint  runpodtest.Endpoint
		behaviour runpodtest.Behaviour
		act       func(account)
		want      string
	}{
		{
			name: "scale to zero, at rest: warm workers look ready", endpoint: runpodtest.Endpoint{WorkersMax: 5},
			want: `{"jobs":{"completed":0,"failed":0,"inProgress":0,"inQueue":0,"retried":0},"workers":{"idle":2,"initializing":0,"ready":2,"running":0,"throttled":0,"unhealthy":0}}`,
		},
		{
			name: "without standby", endpoint: runpodtest.Endpoint{WorkersMax: 5}, behaviour: runpodtest.Behaviour{NoStandby: true},
			want: `{"jobs":{"completed":0,"failed":0,"inProgress":0,"inQueue":0,"retried":0},"workers":{"idle":0,"initializing":0,"ready":0,"running":0,"throttled":0,"unhealthy":0}}`,
		},
		{
			name: "at work", endpoint: runpodtest.Endpoint{WorkersMin: 2, WorkersMax: 2},
			act:  func(a account) { a.AddJobs(a.id, 0, time.Hour, time.Hour, time.Hour) },
			want: `{"jobs":{"completed":1,"failed":0,"inProgress":2,"inQueue":1,"retried":0},"workers":{"idle":0,"initializing":0,"ready":0,"running":2,"throttled":0,"unhealthy":0}}`,
		},
		{
			name: "paused does not show", endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1}, behaviour: runpodtest.Behaviour{HealthOmits: []string{"throttled", "retried"}},
			act: func(a account) {
				a.setMin("0")
				a.setMax("0")
			},
			want: `{"jobs":{"completed":0,"failed":0,"inProgress":0,"inQueue":0},"workers":{"idle":0,"initializing":0,"ready":0,"running":0,"unhealthy":0}}`,
		},
		{
			name: "a crash loop looks like a start", endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			act: func(a account) {
				a.AddImage(runpodtest.Image{Ref: "acme/sdxl:v2", Fault: runpodtest.CrashLoops})
				a.link(a.v2)
				wait(time.Hour)
			},
			want: `{"jobs":{"completed":0,"failed":0,"inProgress":0,"inQueue":0,"retried":0},"workers":{"idle":0,"initializing":1,"ready":0,"running":0,"throttled":0,"unhealthy":0}}`,
		},
		{
			name: "jobs fail", endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			act: func(a account) {
				a.AddImage(runpodtest.Image{Ref: "acme/sdxl:v1", Fault: runpodtest.FailsJobs})
				a.AddJobs(a.id, time.Second)
				wait(time.Second)
			},
			want: `{"jobs":{"completed":0,"failed":1,"inProgress":0,"inQueue":0,"retried":0},"workers":{"idle":1,"initializing":0,"ready":1,"running":0,"throttled":0,"unhealthy":0}}`,
		},
		{
			name: "a worker dies on its job", endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			act: func(a account) {
				a.AddImage(runpodtest.Image{Ref: "acme/sdxl:v2", Fault: runpodtest.TurnsUnhealthy, After: time.Minute})
				a.link(a.v2)
				wait(time.Minute)
				a.AddJobs(a.id, time.Hour)
				wait(time.Minute)
			},
			want: `{"jobs":{"completed":0,"failed":0,"inProgress":0,"inQueue":1,"retried":1},"workers":{"idle":0,"initializing":0,"ready":0,"running":0,"throttled":0,"unhealthy":1}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAccount(t, tt.endpoint, runpodtest.WithBehaviour(tt.behaviour))
				if tt.act != nil {
					tt.act(a)
				}
				if diff := cmp.Diff(tt.want, health(t, a.Server, a.id)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1}, runpodtest.WithBehaviour(runpodtest.Behaviour{JobTime: 3 * time.Second, JobLag: time.Hour}))
		var job struct{ ID, Status string }
		got := a.run()
		if err := json.Unmarshal([]byte(got.Body), &job); err != nil || got.Status != 200 || job.Status != "IN_QUEUE" {
			t.Fatalf("run: %+v, %v", got, err)
		}
		worker := a.Workers(a.id)[0].ID
		for _, want := range []struct {
			after time.Duration
			body  string
			code  int
		}{
			{0, `{"delayTime":0,"id":"` + job.ID + `","status":"IN_PROGRESS","workerId":"` + worker + `"}`, 200},
			{3 * time.Second, `{"delayTime":0,"executionTime":3000,"id":"` + job.ID + `","output":{},"status":"COMPLETED","workerId":"` + worker + `"}`, 200},
			{30 * time.Minute, `{"error":"job not found"}`, 404},
		} {
			wait(want.after)
			got := send(t, a.Server, http.MethodGet, jobURL+a.id+"/status/"+job.ID, runpodtest.Key, "")
			if diff := cmp.Diff(answer{Status: want.code, Body: want.body}, got); diff != "" {
				t.Errorf("status after %v (-want +got):\n%s", want.after, diff)
			}
		}
		start := time.Now()
		got = send(t, a.Server, http.MethodPost, jobURL+a.id+"/runsync", "Bearer "+runpodtest.Key, `{"input":{"a":1}}`)
		if got.Status != 200 || !strings.Contains(got.Body, `"id":"sync-`) || !strings.Contains(got.Body, "COMPLETED") || time.Since(start) != 3*time.Second {
			t.Errorf("runsync: %+v after %v", got, time.Since(start))
		}
		id := strings.Split(got.Body, `"id":"`)[1]
		id, _, _ = strings.Cut(id, `"`)
		for _, want := range []struct {
			after time.Duration
			code  int
		}{{time.Minute - 1, 200}, {1, 404}} { // half an hour is for those of run
			wait(want.after)
			if got := send(t, a.Server, http.MethodGet, jobURL+a.id+"/status/"+id, runpodtest.Key, ""); got.Status != want.code {
				t.Errorf("result of runsync after %v more: %+v, want %d", want.after, got, want.code)
			}
		}
		for body, want := range map[string]int{`{}`: 400, `{"input":null}`: 400, `x`: 400, `{"input":{}}`: 200} {
			if got := send(t, a.Server, http.MethodPost, jobURL+a.id+"/run", runpodtest.Key, body); got.Status != want {
				t.Errorf("run %s: %+v, want %d", body, got, want)
			}
		}
	})
}

// A job is taken back from the queue or from its worker, which then does the next.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1}, runpodtest.WithBehaviour(runpodtest.Behaviour{JobTime: time.Hour}))
		var jobs [3]struct{ ID string }
		for i := range jobs {
			if err := json.Unmarshal([]byte(a.run().Body), &jobs[i]); err != nil {
				t.Fatal(err)
			}
		}
		cancel := func(i int) answer {
			return send(t, a.Server, http.MethodPost, jobURL+a.id+"/cancel/"+jobs[i].ID, runpodtest.Key, "")
		}
		for _, i := range []int{0, 2, 2} { // running, queued, cancelled already
			if got, want := cancel(i), `{"id":"`+jobs[i].ID+`","status":"CANCELLED"}`; got.Status != 200 || got.Body != want {
				t.Errorf("cancel job %d: %+v, want %s", i, got, want)
			}
		}
		if w := a.Workers(a.id)[0]; w.Job != jobs[1].ID {
			t.Errorf("the worker has job %q, want the second one", w.Job)
		}
		wait(time.Hour)
		if got := cancel(1); !strings.Contains(got.Body, "COMPLETED") {
			t.Errorf("cancel of a job that is done: %+v", got)
		}
		if got := a.Jobs(a.id); got != (runpodtest.JobCounts{Completed: 1}) {
			t.Errorf("jobs %+v", got)
		}
		if got := send(t, a.Server, http.MethodPost, jobURL+a.id+"/cancel/nope", runpodtest.Key, ""); got.Status != 404 {
			t.Errorf("cancel of no job: %+v", got)
		}
		if got := send(t, a.Server, http.MethodGet, jobURL+a.id+"/cancel/"+jobs[1].ID, runpodtest.Key, ""); got.Status != 404 {
			t.Errorf("GET cancel: %+v", got)
		}
	})
}

func TestPausedJobPlane(t *testing.T) {
	const refused = `{"code":"ENDPOINT_PAUSED","detail":"Endpoint is paused (max_workers=0). Set max_workers > 0 to accept work.","status":409,"title":"Conflict"}`
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMax: 1}, runpodtest.WithBehaviour(runpodtest.Behaviour{JobLag: 20 * time.Second}))
		look := func(want int) {
			t.Helper()
			if got := a.run(); got.Status != want || want == 409 && got.Body != refused {
				t.Errorf("run: %+v, want %d", got, want)
			}
		}
		look(200)
		a.setMax("0")
		look(200) // the job plane does not know yet
		wait(20 * time.Second)
		look(409)
		if got := a.Jobs(a.id).InQueue; got != 2 {
			t.Errorf("%d jobs queued, want 2: a pause keeps the queue", got)
		}
		a.setMax("1")
		wait(20*time.Second - 1)
		look(409)
		wait(1)
		look(200)
		a.Do(func(st *runpodtest.State) { st.Behaviour.AcceptWhenPaused = true })
		a.setMax("0")
		wait(time.Minute)
		look(200)
	})
}

func TestPurgeIsOnRecord(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 1})
	a.AddJobs(a.id, time.Hour, time.Hour)
	if got := send(t, a.Server, http.MethodPost, jobURL+a.id+"/purge-queue", runpodtest.Key, ""); got.Body != `{"removed":2,"status":"completed"}` {
		t.Errorf("purge: %+v", got)
	}
	if got := a.Mutations(); len(got) != 1 || got[0].Fields[0] != "purge-queue" || got[0].Plane != runpodtest.JobPlane {
		t.Errorf("mutations %+v", got)
	}
}

func TestNoSuchThing(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 1})
	lb := a.AddEndpoint(runpodtest.Endpoint{TemplateID: a.v1, Type: "LB"})
	for _, url := range []string{jobURL + "nope/health", jobURL + lb + "/health", jobURL + a.id + "/nope", jobURL + a.id, "https://api.runpod.io/"} {
		if got := send(t, a.Server, http.MethodGet, url, runpodtest.Key, ""); got.Status != http.StatusNotFound {
			t.Errorf("GET %s: %+v, want 404", url, got)
		}
	}
}
