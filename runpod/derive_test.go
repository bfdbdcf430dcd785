package runpod

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
)

func at(image, status string, version int) *pod {
	return &pod{id: image + status, image: image, status: status, version: version}
}

func TestDerive(t *testing.T) {
	const v1, v2 = "acme/x:v1", "acme/x:v2"
	want := (&content{ID: "t2", ImageName: v2}).revision()
	tests := []struct {
		name    string
		workers bounds
		version int
		pods    []*pod
		health  *healthWorkers
		loops   []string

		phase   endpoint.Phase
		serving bool
		mixed   bool
		pool    endpoint.Pool
		failing bool // nothing else: RunPod is going to scale down
	}{
		{
			name: "scaled to zero", workers: bounds{0, 3}, version: 8,
			pods: []*pod{at(v2, "EXITED", 8)}, health: &healthWorkers{Idle: 2, Ready: 2},
			phase: endpoint.PhaseReady,
		},
		{
			name: "scaled to zero, one up", workers: bounds{0, 3}, version: 8,
			pods: []*pod{at(v2, "RUNNING", 8)}, health: &healthWorkers{Idle: 1, Ready: 1, Running: 1},
			phase: endpoint.PhaseReady, serving: true, pool: endpoint.Pool{Ready: 1},
		},
		{
			name: "idle and ready overlap", workers: bounds{3, 3}, version: 8,
			pods: []*pod{at(v2, "RUNNING", 8), at(v2, "CREATED", 8), at(v2, "RESTARTING", 8)}, health: &healthWorkers{Idle: 2, Ready: 2},
			phase: endpoint.PhaseScaling, serving: true, pool: endpoint.Pool{Ready: 2, Starting: 1},
		},
		{
			name: "nobody capable", workers: bounds{1, 3}, version: 8,
			pods: []*pod{at(v2, "RUNNING", 8)}, health: &healthWorkers{},
			phase: endpoint.PhaseScaling, pool: endpoint.Pool{Starting: 1},
		},
		{
			name: "one of two wanted", workers: bounds{2, 3}, version: 8,
			pods: []*pod{at(v2, "RUNNING", 8), at(v2, "RUNNING", 8)}, health: &healthWorkers{Running: 1, Throttled: 1},
			phase: endpoint.PhaseScaling, serving: true, pool: endpoint.Pool{Ready: 1, Throttled: 1},
		},
		{
			name: "half way", workers: bounds{2, 3}, version: 8,
			pods: []*pod{at(v1, "RUNNING", 7), at(v2, "RUNNING", 8)}, health: &healthWorkers{Running: 2},
			phase: endpoint.PhaseUpdating, mixed: true, pool: endpoint.Pool{Ready: 1, Stale: 1},
		},
		{
			name: "the capable one may be the stale one", workers: bounds{1, 3}, version: 8,
			pods: []*pod{at(v1, "RUNNING", 7), at(v2, "RUNNING", 8)}, health: &healthWorkers{Running: 1},
			phase: endpoint.PhaseUpdating, mixed: true, pool: endpoint.Pool{Starting: 1, Stale: 1},
		},
		{
			name: "the unhealthy one is the stale one", workers: bounds{1, 3}, version: 8,
			pods: []*pod{at(v1, "RUNNING", 7), at(v2, "RUNNING", 8)}, health: &healthWorkers{Unhealthy: 1, Ready: 1},
			phase: endpoint.PhaseUpdating, mixed: true, pool: endpoint.Pool{Ready: 1, Stale: 1},
		},
		{
			name: "more unhealthy than stale", workers: bounds{1, 3}, version: 8,
			pods: []*pod{at(v1, "RUNNING", 7), at(v2, "RUNNING", 8)}, health: &healthWorkers{Unhealthy: 2},
			phase: endpoint.PhaseUpdating, mixed: true, pool: endpoint.Pool{Unhealthy: 1, Stale: 1}, failing: true,
		},
		{
			name: "degraded", workers: bounds{1, 3}, version: 8,
			pods: []*pod{at(v2, "RUNNING", 8), at(v2, "RUNNING", 8)}, health: &healthWorkers{Ready: 1, Unhealthy: 1},
			phase: endpoint.PhaseDegraded, serving: true, pool: endpoint.Pool{Ready: 1, Unhealthy: 1},
		},
		{
			name: "restarting", workers: bounds{1, 3}, version: 8,
			pods: []*pod{at(v2, "RUNNING", 8)}, health: &healthWorkers{Initializing: 1}, loops: []string{v2 + "RUNNING"},
			phase: endpoint.PhaseDegraded, pool: endpoint.Pool{Unhealthy: 1}, failing: true,
		},
		{
			name: "same image, older version", workers: bounds{1, 3}, version: 8,
			pods: []*pod{at(v2, "RUNNING", 7)}, health: &healthWorkers{Running: 1},
			phase: endpoint.PhaseUpdating, pool: endpoint.Pool{Stale: 1},
		},
		{
			name: "no versions, images decide", workers: bounds{1, 3},
			pods: []*pod{at("docker.io/"+v2, "RUNNING", 0)}, health: &healthWorkers{Running: 1},
			phase: endpoint.PhaseReady, serving: true, pool: endpoint.Pool{Ready: 1},
		},
		{
			name: "stale without any version", workers: bounds{1, 3},
			pods: []*pod{at(v1, "RUNNING", 0)}, health: &healthWorkers{Running: 1},
			phase: endpoint.PhaseUpdating, pool: endpoint.Pool{Stale: 1},
		},
		{
			name: "nothing known of a worker", workers: bounds{1, 3}, version: 8,
			pods: []*pod{at("", "RUNNING", 0), at(v2, "RUNNING", 8)}, health: &healthWorkers{Running: 2},
			phase: endpoint.PhaseReady, pool: endpoint.Pool{Ready: 1, Starting: 1},
		},
		{
			name: "a status that is not known counts as live", workers: bounds{0, 0}, version: 8,
			pods:  []*pod{at(v2, "HIBERNATING", 8)},
			phase: endpoint.PhaseUpdating, pool: endpoint.Pool{Starting: 1},
		},
		{
			name: "paused", workers: bounds{0, 0}, version: 8,
			pods:  []*pod{at(v2, "EXITED", 8), at(v2, "TERMINATED", 8)},
			phase: endpoint.PhasePaused,
		},
		{
			name: "draining", workers: bounds{0, 0}, version: 8,
			pods: []*pod{at(v2, "RUNNING", 8)}, health: &healthWorkers{Running: 1},
			phase: endpoint.PhaseUpdating, serving: true, pool: endpoint.Pool{Ready: 1},
		},
		{
			name: "active workers are missing", workers: bounds{1, 3}, version: 8, health: &healthWorkers{Throttled: 1},
			phase: endpoint.PhaseScaling,
		},
		{
			name: "load balancer", workers: bounds{2, 3}, version: 8,
			pods:  []*pod{at(v2, "RUNNING", 8), at(v2, "CREATED", 8)},
			phase: endpoint.PhaseScaling, serving: true, pool: endpoint.Pool{Ready: 1, Starting: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &state{
				id: "e", templateID: "t2", template: &content{ID: "t2", ImageName: v2},
				workers: tt.workers, version: tt.version, pods: tt.pods,
			}
			got := derive(s, sortPods(s), tt.health, tt.loops)
			if got.Desired != want || got.Phase != tt.phase || got.Mixed != tt.mixed || (got.Serving == want) != tt.serving ||
				!tt.serving && !got.Serving.IsZero() {
				t.Errorf("got %v, serving %v, mixed %v, desired %v", got.Phase, got.Serving, got.Mixed, got.Desired)
			}
			if diff := cmp.Diff([]endpoint.Pool{tt.pool}, got.Pools); diff != "" {
				t.Errorf("pools (-want +got):\n%s", diff)
			}
			var imposed endpoint.Settings
			if tt.failing {
				imposed = endpoint.Settings{endpoint.WorkersMin: 0, endpoint.WorkersMax: 0}
			}
			if diff := cmp.Diff(imposed, got.ProviderOverrides); diff != "" {
				t.Errorf("imposed (-want +got):\n%s", diff)
			}
		})
	}
}

// Two views of the same workers: what is worse is believed, and what one of
// them alone shows proves nothing.
func TestViewsThatDiffer(t *testing.T) {
	const v1, v2 = "acme/x:v1", "acme/x:v2"
	yes, no := true, false
	shown := func(id, image string, version int) *pod {
		return &pod{id: id, image: image, status: "RUNNING", version: version}
	}
	listed := func(id, image string, version int, stale *bool) *pod {
		return &pod{id: id, image: image, status: "IDLE", version: version, stale: stale}
	}
	for name, tt := range map[string]struct {
		pods    []*pod // by GraphQL, at version 8
		list    []*pod // by REST
		version int    // by REST
		target  int
		want    endpoint.Pool
	}{
		"agreed":                            {[]*pod{shown("a", v2, 8)}, []*pod{listed("a", v2, 8, &no)}, 8, 8, endpoint.Pool{Ready: 1}},
		"REST calls it stale":               {[]*pod{shown("a", v2, 8)}, []*pod{listed("a", v2, 8, &yes)}, 9, 8, endpoint.Pool{Stale: 1}},
		"REST shows the old image":          {[]*pod{shown("a", v2, 8)}, []*pod{listed("a", v1, 7, &no)}, 7, 0, endpoint.Pool{Stale: 1}},
		"REST shows the old version":        {[]*pod{shown("a", v2, 8)}, []*pod{listed("a", v2, 7, &no)}, 7, 8, endpoint.Pool{Stale: 1}},
		"GraphQL shows the old image":       {[]*pod{shown("a", v1, 7)}, []*pod{listed("a", v2, 8, &no)}, 8, 8, endpoint.Pool{Stale: 1}},
		"GraphQL shows the old version":     {[]*pod{shown("a", v2, 7)}, []*pod{listed("a", v2, 8, &no)}, 8, 8, endpoint.Pool{Stale: 1}},
		"GraphQL does not say what it runs": {[]*pod{shown("a", "", 0)}, []*pod{listed("a", v2, 8, &no)}, 8, 8, endpoint.Pool{Ready: 1}},
		"REST does not say what it runs":    {[]*pod{shown("a", v2, 8)}, []*pod{listed("a", "", 0, nil)}, 0, 8, endpoint.Pool{Starting: 1}},
		"REST is degraded":                  {[]*pod{shown("a", v2, 8)}, []*pod{listed("a", v2, 0, &no)}, 0, 8, endpoint.Pool{Ready: 1}},
		"REST is degraded, GraphQL is not":  {[]*pod{shown("a", v2, 7)}, []*pod{listed("a", v2, 0, &no)}, 0, 8, endpoint.Pool{Stale: 1}},
		"the old one is not in the list":    {[]*pod{shown("a", v2, 8), shown("b", v1, 7)}, []*pod{listed("a", v2, 8, &no)}, 8, 8, endpoint.Pool{Ready: 1, Stale: 1}},
		"a new one is not in the list":      {[]*pod{shown("a", v2, 8), shown("b", v2, 8)}, []*pod{listed("a", v2, 8, &no)}, 8, 8, endpoint.Pool{Ready: 1, Starting: 1}},
		"none is in the list":               {[]*pod{shown("a", v2, 8)}, nil, 8, 8, endpoint.Pool{Starting: 1}},
		"the list alone has it":             {nil, []*pod{listed("a", v2, 8, &no)}, 8, 8, endpoint.Pool{Ready: 1}},
		"the list alone has an old one":     {[]*pod{shown("a", v2, 8)}, []*pod{listed("a", v2, 8, &no), listed("b", v1, 7, &yes)}, 8, 8, endpoint.Pool{Ready: 1, Stale: 1}},
		"GraphQL shows one that has gone":   {[]*pod{shown("a", v2, 8), {id: "b", image: v1, status: "EXITED", version: 7}}, []*pod{listed("a", v2, 8, &no)}, 8, 8, endpoint.Pool{Ready: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &state{
				id: "e", templateID: "t2", template: &content{ID: "t2", ImageName: v2}, workers: bounds{1, 3}, version: 8,
				pods: tt.pods, list: &workerList{version: tt.version, pods: tt.list}, target: tt.target,
			}
			got := derive(s, sortPods(s), &healthWorkers{Idle: 9, Ready: 9}, nil)
			if diff := cmp.Diff([]endpoint.Pool{tt.want}, got.Pools); diff != "" {
				t.Errorf("pools (-want +got):\n%s", diff)
			}
			proven := tt.want == endpoint.Pool{Ready: 1}
			if got.Serving.IsZero() == proven || (got.Phase == endpoint.PhaseReady) != proven && tt.want.Stale > 0 {
				t.Errorf("%v, serving %v", got.Phase, got.Serving)
			}
			if got.Generation != "8" || got.Evidence != "REST" {
				t.Errorf("generation %s by %s", got.Generation, got.Evidence)
			}
		})
	}
}

func TestRestarts(t *testing.T) {
	type look struct {
		note     string
		version  int
		gone     bool
		excused  bool
		after    time.Duration
		wantLoop bool
	}
	tests := []struct {
		name  string
		looks []look
	}{
		{"a loop", []look{{note: "a"}, {note: "b"}, {note: "c", wantLoop: true}, {note: "c", wantLoop: true}}},
		{"old reads in between", []look{{note: "a"}, {note: "b"}, {note: "a"}, {note: "b"}, {note: "a"}}},
		{"no notes", []look{{}, {}, {}}},
		{"a new version starts afresh", []look{{note: "a"}, {note: "b"}, {note: "c", version: 2}, {note: "d", version: 2}}},
		{"stopped in between", []look{{note: "a"}, {note: "b"}, {gone: true}, {note: "c"}, {note: "d"}}},
		{"excused", []look{{note: "a"}, {note: "b", excused: true}, {note: "c"}, {note: "d", wantLoop: true}}},
		{"long ago", []look{{note: "a"}, {note: "b"}, {note: "c", after: 11 * time.Minute}, {note: "d"}}},
		{"quiet again", []look{{note: "a"}, {note: "b"}, {note: "c", wantLoop: true}, {note: "c", after: 11 * time.Minute}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r restarts
			now := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
			for i, l := range tt.looks {
				now = now.Add(max(l.after, 20*time.Second))
				pods := []*pod{{id: "p", changed: l.note, version: l.version}}
				if l.gone {
					pods = nil
				}
				if got := slices.Contains(r.observe(pods, !l.excused, now), "p"); got != l.wantLoop {
					t.Errorf("look %d: loop = %v, want %v", i, got, l.wantLoop)
				}
			}
		})
	}
	var r restarts
	for i := range 100 {
		r.observe([]*pod{{id: "p", changed: string(rune('a' + i))}}, true, time.Time{})
	}
	if n := len(r.pods["p"].seen); n > loopNotes {
		t.Errorf("%d notes are remembered", n)
	}
}

func TestMaxWorkersFor(t *testing.T) {
	for concurrency, want := range map[int]int{-1: 0, 0: 0, 1: 2, 4: 5, 5: 6, 6: 8, 10: 12, 100: 120, 101: 122} {
		if got := MaxWorkersFor(concurrency); got != want {
			t.Errorf("MaxWorkersFor(%d) = %d, want %d", concurrency, got, want)
		}
	}
}
