package runpodtest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// look is the state of the workers after a time.
type look struct {
	after time.Duration // since the start
	want  []string
}

func TestWorkerLifeCycle(t *testing.T) {
	const sec = time.Second
	v2 := func(f runpodtest.ImageFault, after time.Duration) *runpodtest.Image {
		return &runpodtest.Image{Ref: "acme/sdxl:v2", Fault: f, After: after}
	}
	tests := []struct {
		name      string
		endpoint  runpodtest.Endpoint
		behaviour runpodtest.Behaviour
		image     *runpodtest.Image
		act       func(account)
		looks     []look
	}{
		{
			name:     "active workers are up from the start",
			endpoint: runpodtest.Endpoint{WorkersMin: 2, WorkersMax: 3},
			looks:    []look{{0, []string{"v1 idle", "v1 idle"}}, {24 * time.Hour, []string{"v1 idle", "v1 idle"}}},
		},
		{
			name:     "cold start from standby, serve, scale in",
			endpoint: runpodtest.Endpoint{WorkersMax: 3},
			act:      func(a account) { a.AddJobs(a.id, 20*sec) },
			looks: []look{
				{0, []string{"v1 standby", "v1 initializing"}},
				{10*sec - 1, []string{"v1 standby", "v1 initializing"}},
				{10 * sec, []string{"v1 standby", "v1 running"}},
				{30 * sec, []string{"v1 standby", "v1 idle"}},
				{35*sec - 1, []string{"v1 standby", "v1 idle"}},
				{35 * sec, []string{"v1 standby", "v1 standby"}},
			},
		},
		{
			name:      "scale in without standby",
			endpoint:  runpodtest.Endpoint{WorkersMax: 3},
			behaviour: runpodtest.Behaviour{NoStandby: true, ShowGone: time.Minute},
			act:       func(a account) { a.AddJobs(a.id, 20*sec) },
			looks: []look{
				{0, []string{"v1 initializing"}},
				{30 * sec, []string{"v1 idle"}},
				{35 * sec, []string{"v1 stopping"}},
				{40 * sec, []string{"v1 gone"}},
				{100 * sec, []string{}},
			},
		},
		{
			name:     "minimum lowered: idle workers stay for the idle timeout",
			endpoint: runpodtest.Endpoint{WorkersMin: 2, WorkersMax: 3, IdleTimeout: 90},
			act:      func(a account) { a.setMin("0") },
			looks: []look{
				{90*sec - 1, []string{"v1 idle", "v1 idle"}},
				{90 * sec, []string{"v1 standby", "v1 standby"}},
			},
		},
		{
			name:     "paused: idle workers go, jobs finish",
			endpoint: runpodtest.Endpoint{WorkersMin: 2, WorkersMax: 3},
			act: func(a account) {
				a.AddJobs(a.id, time.Minute)
				a.setMin("0")
				a.setMax("0")
			},
			looks: []look{
				{0, []string{"v1 running", "v1 stopping"}},
				{5 * sec, []string{"v1 running"}},
				{60 * sec, []string{"v1 stopping"}},
				{65 * sec, []string{}},
			},
		},
		{
			name:     "rolling release: one worker per tick, pull once",
			endpoint: runpodtest.Endpoint{WorkersMin: 2, WorkersMax: 3},
			act:      func(a account) { a.link(a.v2) },
			looks: []look{
				{10*sec - 1, []string{"v1 idle", "v1 idle"}},
				{10 * sec, []string{"v1 stopping", "v1 idle", "v2 initializing"}},
				{15 * sec, []string{"v1 idle", "v2 initializing"}},
				{20 * sec, []string{"v1 stopping", "v2 initializing", "v2 initializing"}},
				{25 * sec, []string{"v2 initializing", "v2 initializing"}},
				{50 * sec, []string{"v2 idle", "v2 initializing"}},
				{60 * sec, []string{"v2 idle", "v2 idle"}},
			},
		},
		{
			name:     "rolling release of a single slot waits for the old worker to be gone",
			endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			act:      func(a account) { a.link(a.v2) },
			looks: []look{
				{10 * sec, []string{"v1 stopping"}},
				{15 * sec, []string{"v2 initializing"}},
				{55 * sec, []string{"v2 idle"}},
			},
		},
		{
			name:     "rolling release lets jobs finish",
			endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 2},
			act: func(a account) {
				a.AddJobs(a.id, time.Hour)
				a.link(a.v2)
			},
			looks: []look{
				{time.Hour - 1, []string{"v1 running"}},
				{time.Hour, []string{"v1 stopping", "v2 initializing"}},
				{time.Hour + 40*sec, []string{"v2 idle"}},
			},
		},
		{
			name:     "a cached image needs no pull",
			endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			act: func(a account) {
				a.link(a.v2)
				wait(time.Hour)
				a.link(a.v1)
			},
			looks: []look{
				{time.Hour + 15*sec, []string{"v1 initializing"}},
				{time.Hour + 25*sec, []string{"v1 idle"}},
			},
		},
		{
			name:      "stuck active slot recycles once the minimum lets it",
			endpoint:  runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 2, IdleTimeout: 3600},
			behaviour: runpodtest.Behaviour{StuckActive: true},
			act: func(a account) {
				a.link(a.v2)
				a.At(time.Now().Add(24*time.Hour+sec), func(st *runpodtest.State) {
					st.EditEndpoint(a.id, func(e *runpodtest.Endpoint) { e.WorkersMin = 0 })
				})
			},
			looks: []look{
				{24*time.Hour + 10*sec - 1, []string{"v1 idle"}},
				{24*time.Hour + 10*sec, []string{"v1 stopping"}},
				{24*time.Hour + 15*sec, []string{}},
			},
		},
		{
			name:     "throttled",
			endpoint: runpodtest.Endpoint{WorkersMin: 0, WorkersMax: 1},
			act: func(a account) {
				a.Do(func(st *runpodtest.State) { st.Throttle(a.id, 10*time.Minute) })
				a.setMin("1")
			},
			looks: []look{
				{10*time.Minute - 1, []string{"v1 throttled"}},
				{10 * time.Minute, []string{"v1 initializing"}},
				{10*time.Minute + 10*sec, []string{"v1 idle"}},
			},
		},
		{
			name:     "unhealthy at once",
			endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			image:    v2(runpodtest.TurnsUnhealthy, 0),
			act:      func(a account) { a.link(a.v2) },
			looks:    []look{{55*sec - 1, []string{"v2 initializing"}}, {55 * sec, []string{"v2 unhealthy"}}},
		},
		{
			name:      "crash loop after a while, and the platform's patience",
			endpoint:  runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			behaviour: runpodtest.Behaviour{CrashScaleDown: time.Hour},
			image:     v2(runpodtest.CrashLoops, 5*sec),
			act:       func(a account) { a.link(a.v2) },
			looks: []look{
				{55 * sec, []string{"v2 idle"}},
				{60 * sec, []string{"v2 crashing"}},
				{60*sec + time.Hour - 1, []string{"v2 crashing"}},
				{60*sec + time.Hour, []string{"v2 stopping"}},
				{65*sec + time.Hour, []string{}},
			},
		},
		{
			name:     "an image that never starts, rolled back",
			endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			image:    v2(runpodtest.NeverStarts, 0),
			act: func(a account) {
				a.link(a.v2)
				wait(time.Hour)
				a.link(a.v1)
			},
			looks: []look{
				{time.Hour, []string{"v2 initializing"}},
				{time.Hour + 10*sec, []string{"v2 stopping"}},
				{time.Hour + 25*sec, []string{"v1 idle"}},
			},
		},
		{
			name:     "an image that nobody pushed",
			endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			act: func(a account) {
				a.Do(func(st *runpodtest.State) {
					st.EditTemplate(a.v1, func(t *runpodtest.Template) { t.Image = "acme/sdxl:typo" })
				})
			},
			looks: []look{{24 * time.Hour, []string{"typo initializing"}}},
		},
		{
			name:     "another template with the same image changes no worker",
			endpoint: runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1},
			act: func(a account) {
				a.Do(func(st *runpodtest.State) {
					st.EditTemplate(a.v2, func(t *runpodtest.Template) { t.Image = "acme/sdxl:v1" })
				})
				a.link(a.v2)
			},
			looks: []look{{0, []string{"v1 idle"}}, {time.Hour, []string{"v1 idle"}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				a := newAccount(t, tt.endpoint, runpodtest.WithBehaviour(tt.behaviour))
				if tt.image != nil {
					a.AddImage(*tt.image)
				}
				if tt.act != nil {
					tt.act(a)
				}
				for _, l := range tt.looks {
					wait(l.after - time.Since(start))
					if diff := cmp.Diff(l.want, a.states()); diff != "" {
						t.Errorf("workers after %v (-want +got):\n%s", l.after, diff)
					}
				}
			})
		})
	}
}

// A look that comes late must see what a look at every moment would have seen.
func TestOneStepOrMany(t *testing.T) {
	end := func(step time.Duration) (states []string, jobs runpodtest.JobCounts) {
		synctest.Test(t, func(t *testing.T) {
			a := newAccount(t, runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 4})
			a.AddJobs(a.id, time.Minute, 2*time.Minute, 3*time.Minute, 4*time.Minute, 5*time.Minute)
			a.link(a.v2)
			for range 10 * time.Minute / step {
				wait(step)
				a.Endpoint(a.id)
			}
			states, jobs = a.states(), a.Jobs(a.id)
		})
		return states, jobs
	}
	oneStates, oneJobs := end(10 * time.Minute)
	manyStates, manyJobs := end(time.Second)
	if diff := cmp.Diff(manyStates, oneStates) + cmp.Diff(manyJobs, oneJobs); diff != "" {
		t.Errorf("one step differs from many (-many +one):\n%s", diff)
	}
	if oneJobs.Completed != 5 {
		t.Errorf("jobs %+v, want 5 completed", oneJobs)
	}
}
