package runpod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// Rollouts of a fake account through the real clients: every strategy, over
// each transport that can do it, from one table.

// route is a transport and a way to name a target over it.
type route struct {
	name     string
	opts     []runpod.Option
	allow    []runpod.EndpointOption
	target   strategy.Target
	goal     string // image
	changing func(st *runpodtest.State)
}

var graphQL = []runpod.Option{runpod.WithTransport(runpod.GraphQL)}

func routes() []route {
	return []route{
		{name: "rest", target: strategy.ToArtifact(imageV2), goal: imageV2},
		{
			name: "rest, template copy", allow: []runpod.EndpointOption{runpod.AllowTemplateCopy()},
			target: strategy.ToRevision(nextID), goal: imageV2, changing: otherSettings,
		},
		{name: "graphql, template", opts: graphQL, target: strategy.ToRevision(nextID), goal: imageV2},
		{name: "graphql, image", opts: graphQL, allow: []runpod.EndpointOption{runpod.AllowSharedTemplate()}, target: strategy.ToArtifact(imageV2), goal: imageV2},
	}
}

// otherSettings make the template to come differ in more than its image.
func otherSettings(st *runpodtest.State) {
	st.EditTemplate(nextID, func(t *runpodtest.Template) {
		t.Env = map[string]string{"MODEL": "sdxl-2", "HF_TOKEN": secret + "2", "NEW": secret + "3"}
		t.DockerArgs, t.ContainerDiskInGb = "python other.py --token "+secret+"4", 40
	})
}

// world is one account with one endpoint, and what a test wants to know of it.
type world struct {
	*runpodtest.Server
	route
	ep     *runpod.Endpoint
	before protected
	store  *strategy.Memory
	events []strategy.Event
}

// protected is what a rollout that is rolled back leaves as it was, and one
// that succeeds leaves but for the image.
type protected struct {
	Min, Max, IdleTimeout int
	Image, Args, Ports    string
	Env                   map[string]string
	Disk                  int
	Registry              string
}

func newWorld(t *testing.T, r route, opts ...runpodtest.Option) *world {
	t.Helper()
	srv := account(t, opts...)
	if r.changing != nil {
		srv.Do(r.changing)
	}
	time.Sleep(time.Minute) // whatever lags shows that by now
	w := &world{Server: srv, route: r, store: strategy.NewMemory()}
	w.ep = w.endpoint(t)
	w.before = w.truth()
	return w
}

// endpoint is a client of its own, as a new process would have.
func (w *world) endpoint(t *testing.T) *runpod.Endpoint {
	t.Helper()
	c, err := runpod.New(runpodtest.Key, append([]runpod.Option{runpod.WithHTTPClient(w.Client())}, w.opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c.Endpoint(endpointID, w.allow...)
}

func (w *world) truth() protected {
	e := w.Endpoint(endpointID)
	t := w.Template(e.TemplateID)
	env := maps.Clone(t.Env)
	maps.Copy(env, e.Env)
	return protected{
		e.WorkersMin, e.WorkersMax, e.IdleTimeout, t.Image, t.DockerArgs, t.Ports, env, t.ContainerDiskInGb, t.RegistryAuthID,
	}
}

func (w *world) observe(e strategy.Event) { w.events = append(w.events, e) }

func (w *world) run(ctx context.Context, s strategy.Strategy, opts ...strategy.Option) (*strategy.Report, error) {
	return strategy.Run(ctx, w.store, w.ep, s, w.target, append(opts, strategy.WithObserver(w.observe))...)
}

// wantRolledBack fails unless the endpoint is as it was and err says so.
func (w *world) wantRolledBack(t *testing.T, r *strategy.Report, err error, causes ...error) {
	t.Helper()
	if r == nil || r.Outcome != strategy.RolledBack || !errors.Is(err, endpoint.ErrRolledBack) {
		t.Fatalf("not rolled back: %v", err)
	}
	for _, cause := range causes {
		if !errors.Is(err, cause) {
			t.Errorf("error is %v\nwant it to be %q", err, cause)
		}
	}
	if diff := cmp.Diff(w.before, w.truth()); diff != "" {
		t.Errorf("endpoint (-before +after):\n%s", diff)
	}
	w.wantNoSecret(t, r, err)
}

// wantServing fails unless all workers run the goal and all else is as before.
func (w *world) wantServing(t *testing.T, r *strategy.Report, err error) {
	t.Helper()
	if err != nil || r.Outcome != strategy.Succeeded {
		t.Fatalf("Run = %v", err)
	}
	after := w.truth()
	if after.Image != w.goal {
		t.Errorf("serves %s, want %s", after.Image, w.goal)
	}
	for _, worker := range w.Workers(endpointID) {
		if worker.Image != w.goal && worker.State != runpodtest.Gone {
			t.Errorf("worker %s runs %s", worker.ID, worker.Image)
		}
	}
	want := w.before
	if want.Image = w.goal; w.changing != nil {
		t := w.Template(nextID)
		want.Args, want.Disk = t.DockerArgs, t.ContainerDiskInGb
		want.Env = maps.Clone(t.Env)
		want.Env["PORT"] = "8000" // RunPod's own, which it would not set again
	}
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
	w.wantNoSecret(t, r, err)
}

// wantNoSecret scans everything that a rollout puts out.
func (w *world) wantNoSecret(t *testing.T, r *strategy.Report, err error) {
	t.Helper()
	records, lerr := w.store.Load(t.Context(), w.ep.Name())
	if lerr != nil {
		t.Fatal(lerr)
	}
	explained, lerr := strategy.Explain(t.Context(), w.store, w.ep.Name())
	if lerr != nil {
		t.Fatal(lerr)
	}
	outputs := []any{records, w.events, r}
	for _, out := range outputs {
		b, jerr := json.Marshal(out)
		if jerr != nil {
			t.Fatal(jerr)
		}
		noSecret(t, string(b))
		noSecret(t, fmt.Sprintf("%v %+v %#v", out, out, out))
	}
	noSecret(t, explained)
	noSecret(t, fmt.Sprintf("%v %+v %#v %+v", err, err, err, w.ep))
	if r != nil && r.Plan != nil {
		noSecret(t, r.Plan.String())
		noSecret(t, fmt.Sprintf("%+v %+v", *r.Plan, r.Status))
	}
	for _, e := range w.events {
		noSecret(t, e.String())
	}
	for _, q := range w.Requests() {
		for _, f := range q.Fields {
			if f == "purge-queue" {
				t.Error("the queue was purged")
			}
		}
		if q.KeyInURL {
			t.Error("the key was in a URL")
		}
	}
}

// strategies are those that every route can do.
var strategies = []strategy.Strategy{strategy.InPlace{}, strategy.FlushToZero{}}

// eachRoute runs f for both strategies over every route, in bubbles of their own.
func eachRoute(t *testing.T, b runpodtest.Behaviour, f func(t *testing.T, w *world, s strategy.Strategy)) {
	t.Helper()
	for _, r := range routes() {
		for _, s := range strategies {
			t.Run(fmt.Sprintf("%s/%s", r.name, s), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f(t, newWorld(t, r, runpodtest.WithBehaviour(b)), s)
				})
			})
		}
	}
}

func TestRollout(t *testing.T) {
	for name, b := range map[string]runpodtest.Behaviour{
		"plain":                      {},
		"reads lag":                  {ReadLag: 20 * time.Second, JobLag: 10 * time.Second},
		"reads flicker":              {ReadLag: 20 * time.Second, ReadFlaps: true},
		"list of workers lags":       {WorkersLag: 25 * time.Second},
		"bounds make releases":       {ScalingReleases: true},
		"bounds make releases, late": {ScalingReleases: true, ReadLag: 15 * time.Second, WorkersLag: 15 * time.Second},
		"list of workers degraded":   {DegradedWorkers: true},
		"releases without values":    {HideReleaseValues: true},
		"no standby":                 {NoStandby: true, ShowGone: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			eachRoute(t, b, func(t *testing.T, w *world, s strategy.Strategy) {
				t.Helper()
				r, err := w.run(t.Context(), s)
				w.wantServing(t, r, err)
				if r.Proof != "workers" {
					t.Errorf("proof %q, want workers", r.Proof)
				}
			})
		})
	}
}

// What a transport sends is what was asked for, and nothing else.
func TestWrites(t *testing.T) {
	want := map[string][]string{
		"rest/in-place":                     {"updateEndpoint image"},
		"rest, template copy/in-place":      {"updateEndpoint env templateId"},
		"graphql, template/in-place":        {"updateEndpointTemplate"},
		"graphql, image/in-place":           {"saveTemplate"},
		"rest/flush-to-zero":                {"updateEndpoint workers map[min:0]", "updateEndpoint workers map[max:0]", "updateEndpoint image", "updateEndpoint workers map[max:3]", "updateEndpoint workers map[min:2]"},
		"rest, template copy/flush-to-zero": {"updateEndpoint workers map[min:0]", "updateEndpoint workers map[max:0]", "updateEndpoint env templateId", "updateEndpoint workers map[max:3]", "updateEndpoint workers map[min:2]"},
		"graphql, template/flush-to-zero":   {"updateEndpointWorkersMin", "updateEndpointWorkersMax", "updateEndpointTemplate", "updateEndpointWorkersMax", "updateEndpointWorkersMin"},
		"graphql, image/flush-to-zero":      {"updateEndpointWorkersMin", "updateEndpointWorkersMax", "saveTemplate", "updateEndpointWorkersMax", "updateEndpointWorkersMin"},
	}
	eachRoute(t, runpodtest.Behaviour{}, func(t *testing.T, w *world, s strategy.Strategy) {
		t.Helper()
		_, err := w.run(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range w.Mutations() {
			line := strings.Join(m.Fields, " ")
			if bounds, ok := m.Args["workers"]; ok {
				line += fmt.Sprintf(" %v", bounds)
			}
			got = append(got, line)
			if env, ok := m.Args["env"]; ok { // the platform's own part alone
				if diff := cmp.Diff(map[string]any{"PORT": "8000"}, env); diff != "" {
					t.Errorf("env (-want +got):\n%s", diff)
				}
			}
		}
		if diff := cmp.Diff(want[w.name+"/"+s.String()], got); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	})
}

func TestBadImageIsRolledBack(t *testing.T) {
	for name, tt := range map[string]struct {
		fault     runpodtest.ImageFault
		behaviour runpodtest.Behaviour
		causes    []error
		opts      []strategy.Option
	}{
		"unhealthy":                {fault: runpodtest.TurnsUnhealthy, causes: []error{endpoint.ErrUnhealthy}},
		"unhealthy, reads flicker": {fault: runpodtest.TurnsUnhealthy, behaviour: runpodtest.Behaviour{ReadLag: 20 * time.Second, ReadFlaps: true}, causes: []error{endpoint.ErrUnhealthy}},
		"unhealthy, list degraded": {fault: runpodtest.TurnsUnhealthy, behaviour: runpodtest.Behaviour{DegradedWorkers: true}, causes: []error{endpoint.ErrUnhealthy}},
		"crash loop":               {fault: runpodtest.CrashLoops, causes: []error{endpoint.ErrUnhealthy}},
		"bounds make releases":     {fault: runpodtest.CrashLoops, behaviour: runpodtest.Behaviour{ScalingReleases: true}, causes: []error{endpoint.ErrUnhealthy}},
		"never starts":             {fault: runpodtest.NeverStarts, causes: []error{strategy.ErrTimeout}, opts: []strategy.Option{strategy.WithTimeout(10 * time.Minute)}},
	} {
		t.Run(name, func(t *testing.T) {
			eachRoute(t, tt.behaviour, func(t *testing.T, w *world, s strategy.Strategy) {
				t.Helper()
				w.AddImage(runpodtest.Image{Ref: imageV2, Fault: tt.fault})
				r, err := w.run(t.Context(), s, tt.opts...)
				w.wantRolledBack(t, r, err, tt.causes...)
				if tt.fault == runpodtest.TurnsUnhealthy && !strings.Contains(err.Error(), "unhealthy workers") {
					t.Errorf("error %q has no fact about the workers", err)
				}
			})
		})
	}
}

// What REST cannot do is refused before anything is touched, and says what can
// be done instead.
func TestUnsupportedOverREST(t *testing.T) {
	refused := 0
	for name, tt := range map[string]struct {
		strategy strategy.Strategy
		target   strategy.Target
	}{
		"in-place to a template":      {strategy.InPlace{}, strategy.ToRevision(nextID)},
		"flush-to-zero to a template": {strategy.FlushToZero{}, strategy.ToRevision(nextID)},
		"alternating-template":        {strategy.AlternatingTemplate{Templates: [2]string{liveID, nextID}}, strategy.ToArtifact(imageV3)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, routes()[0])
				_, err := strategy.Run(t.Context(), w.store, w.ep, tt.strategy, tt.target)
				if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "GraphQL transport") || !strings.Contains(err.Error(), "early 2027") {
					t.Errorf("Run = %v, want it unsupported, and the alternative with its end", err)
				}
				if n := fields(w.Server); len(n) > 0 {
					t.Errorf("it wrote %v", n)
				}
				refused++
			})
		})
	}
	t.Logf("%d combinations of a strategy and a target are refused over REST and carried out over GraphQL", refused)
}

func TestAlternatingTemplateOverGraphQL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := route{name: "graphql", opts: graphQL, target: strategy.ToArtifact(imageV3), goal: imageV3}
		w := newWorld(t, r)
		report, err := w.run(t.Context(), strategy.AlternatingTemplate{Templates: [2]string{liveID, nextID}})
		w.wantServing(t, report, err)
	})
}
