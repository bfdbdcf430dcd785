package runpod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// Rollouts of a fake account through the real clients: every strategy, over
// each transport that can do it, from one table.

// route is a transport and a way to name a target over it.
type route struct {
	name       string
	opts       []runpod.Option
	allow      []runpod.EndpointOption
	strategies []strategy.Strategy
	target     rollout.Target
	goal       string // image
	variant    bool   // of another route: only how the revision is written, or the workers are looked up, is another
	blind      bool   // REST refuses the key, so that GraphQL has to show the workers too
	linked     string // the template that the endpoint is linked to then; "" over REST, which keeps no link
	changing   func(st *runpodtest.State)
}

var graphQL = []runpod.Option{runpod.WithTransport(runpod.GraphQL)}

func routes() []route {
	plain := []strategy.Strategy{strategy.InPlace{}, strategy.FlushToZero{}}
	return []route{
		{name: "rest", strategies: plain, target: rollout.ToArtifact(imageV2), goal: imageV2},
		{
			name: "rest, template copy", variant: true, strategies: plain, allow: []runpod.EndpointOption{runpod.AllowTemplateCopy()},
			target: rollout.ToRevision(nextID), goal: imageV2, changing: otherSettings,
		},
		{name: "graphql, template", strategies: plain, opts: graphQL, target: rollout.ToRevision(nextID), goal: imageV2, linked: nextID},
		{
			name: "graphql, template, without rest", variant: true, blind: true, strategies: plain, opts: graphQL,
			target: rollout.ToRevision(nextID), goal: imageV2, linked: nextID,
		},
		{
			name: "graphql, image", variant: true, strategies: plain, opts: graphQL, allow: []runpod.EndpointOption{runpod.AllowSharedTemplate()},
			target: rollout.ToArtifact(imageV2), goal: imageV2, linked: liveID,
		},
		{
			name: "graphql, pair", opts: graphQL, strategies: []strategy.Strategy{strategy.AlternatingTemplate{Templates: [2]string{liveID, nextID}}},
			target: rollout.ToArtifact(imageV3), goal: imageV3, linked: nextID,
		},
	}
}

func routeNamed(name string) route {
	all := routes()
	return all[slices.IndexFunc(all, func(r route) bool { return r.name == name })]
}

// routesFor are the routes that can do a strategy.
func routesFor(s strategy.Strategy) []route {
	return slices.DeleteFunc(routes(), func(r route) bool { return !slices.Contains(r.strategies, s) })
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
	store  *journal.Memory
	events []rollout.Event
	onRead func() // before each request that only reads
}

// protected is what a rollout that is rolled back leaves as it was, and one
// that succeeds leaves but for the template and its image.
type protected struct {
	Min, Max, IdleTimeout int
	Linked                string
	Image, Args, Ports    string
	Env                   map[string]string
	Disk                  int
	Registry              string
}

func newWorld(t testing.TB, r route, opts ...runpodtest.Option) *world {
	t.Helper()
	if r.blind {
		opts = append(opts, runpodtest.WithKey(runpodtest.Key, runpodtest.GraphQLOnly))
	}
	srv := account(t, opts...)
	if r.changing != nil {
		srv.Do(r.changing)
	}
	time.Sleep(time.Minute) // whatever lags shows that by now
	w := &world{Server: srv, route: r, store: journal.NewMemory()}
	w.ep = w.endpoint(t)
	w.before = w.truth()
	return w
}

// endpoint is a client of its own, as a new process would have.
func (w *world) endpoint(t testing.TB) *runpod.Endpoint {
	t.Helper()
	c, err := runpod.New(runpodtest.Key, append([]runpod.Option{runpod.WithHTTPClient(&http.Client{Transport: reader{w}})}, w.opts...)...)
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
	linked := ""
	if w.linked != "" {
		linked = e.TemplateID
	}
	return protected{
		e.WorkersMin, e.WorkersMax, e.IdleTimeout, linked, t.Image, t.DockerArgs, t.Ports, env, t.ContainerDiskInGb, t.RegistryAuthID,
	}
}

func (w *world) observe(_ context.Context, e rollout.Event) { w.events = append(w.events, e) }

func (w *world) run(ctx context.Context, s strategy.Strategy, opts ...rollout.Option) (*rollout.Report, error) {
	return rollout.Run(ctx, w.store, w.ep, s, w.target, append(opts, rollout.WithObserver(w.observe))...)
}

// wantRolledBack fails unless the endpoint is as it was and err says so.
func (w *world) wantRolledBack(t *testing.T, r *rollout.Report, err error, causes ...error) {
	t.Helper()
	if r == nil || r.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, rollout.ErrRolledBack) {
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
func (w *world) wantServing(t *testing.T, r *rollout.Report, err error) {
	t.Helper()
	if err != nil || r.Outcome != rollout.OutcomeSucceeded {
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
	if diff := cmp.Diff(w.wanted(), after); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
	w.wantNoSecret(t, r, err)
}

// wanted is what a success leaves.
func (w *world) wanted() protected {
	want := w.before
	want.Image, want.Linked = w.goal, w.linked
	if w.changing != nil {
		t := w.Template(nextID)
		want.Args, want.Disk = t.DockerArgs, t.ContainerDiskInGb
		want.Env = maps.Clone(t.Env)
		want.Env["PORT"] = "8000" // RunPod's own, which it would not set again
	}
	return want
}

// wantNoSecret scans everything that a rollout puts out.
func (w *world) wantNoSecret(t *testing.T, r *rollout.Report, err error) {
	t.Helper()
	records, lerr := w.store.Load(t.Context(), w.ep.Name())
	if lerr != nil {
		t.Fatal(lerr)
	}
	explained, lerr := rollout.Explain(t.Context(), w.store, w.ep.Name())
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

// eachRoute runs f for each strategy over every route, side by side, in bubbles of their own.
func eachRoute(t *testing.T, b runpodtest.Behaviour, f func(t *testing.T, w *world, s strategy.Strategy)) {
	t.Helper()
	for _, r := range routes() {
		for _, s := range r.strategies {
			t.Run(fmt.Sprintf("%s/%s", r.name, s), func(t *testing.T) {
				if testing.Short() && crc32.ChecksumIEEE([]byte(t.Name()))%3 != 0 {
					t.Skip("SKIPPED: one route in three with -short")
				}
				t.Parallel()
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
		"one entry on a page":        {PageSize: 1, ScalingReleases: true},
		"no standby":                 {NoStandby: true, ShowGone: time.Minute},
		"reads of templates lag":     {ReadLag: 15 * time.Second, BlankDockerArgs: 5 * time.Second},
		"health is sparse":           {HealthOmits: []string{"throttled", "unhealthy", "ready"}, NoStandby: true},
	} {
		t.Run(name, func(t *testing.T) {
			eachRoute(t, b, func(t *testing.T, w *world, s strategy.Strategy) {
				t.Helper()
				r, err := w.run(t.Context(), s)
				w.wantServing(t, r, err)
				if r.Proof != "workers" {
					t.Errorf("proof %q, want workers", r.Proof)
				}
				if want := map[bool]string{false: "REST", true: "GraphQL"}[w.blind]; r.Status.Evidence != want {
					t.Errorf("evidence %q, want %s", r.Status.Evidence, want)
				}
			})
		})
	}
}

// What a transport sends is what was asked for, and nothing else.
func TestWrites(t *testing.T) {
	want := map[string][]string{
		"rest/in-place":                                 {"updateEndpoint image"},
		"rest, template copy/in-place":                  {"updateEndpoint env templateId"},
		"graphql, template/in-place":                    {"updateEndpointTemplate"},
		"graphql, template, without rest/in-place":      {"updateEndpointTemplate"},
		"graphql, image/in-place":                       {"saveTemplate"},
		"rest/flush-to-zero":                            {"updateEndpoint workers map[min:0]", "updateEndpoint workers map[max:0]", "updateEndpoint image", "updateEndpoint workers map[max:3]", "updateEndpoint workers map[min:2]"},
		"rest, template copy/flush-to-zero":             {"updateEndpoint workers map[min:0]", "updateEndpoint workers map[max:0]", "updateEndpoint env templateId", "updateEndpoint workers map[max:3]", "updateEndpoint workers map[min:2]"},
		"graphql, template/flush-to-zero":               {"updateEndpointWorkersMin", "updateEndpointWorkersMax", "updateEndpointTemplate", "updateEndpointWorkersMax", "updateEndpointWorkersMin"},
		"graphql, template, without rest/flush-to-zero": {"updateEndpointWorkersMin", "updateEndpointWorkersMax", "updateEndpointTemplate", "updateEndpointWorkersMax", "updateEndpointWorkersMin"},
		"graphql, image/flush-to-zero":                  {"updateEndpointWorkersMin", "updateEndpointWorkersMax", "saveTemplate", "updateEndpointWorkersMax", "updateEndpointWorkersMin"},
		"graphql, pair/alternating-template":            {"saveTemplate", "updateEndpointTemplate"},
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
		opts      []rollout.Option
	}{
		"unhealthy":                {fault: runpodtest.TurnsUnhealthy, causes: []error{endpoint.ErrUnhealthy}},
		"unhealthy, reads flicker": {fault: runpodtest.TurnsUnhealthy, behaviour: runpodtest.Behaviour{ReadLag: 20 * time.Second, ReadFlaps: true}, causes: []error{endpoint.ErrUnhealthy}},
		"unhealthy, list degraded": {fault: runpodtest.TurnsUnhealthy, behaviour: runpodtest.Behaviour{DegradedWorkers: true}, causes: []error{endpoint.ErrUnhealthy}},
		"crash loop":               {fault: runpodtest.CrashLoops, causes: []error{endpoint.ErrUnhealthy}},
		"bounds make releases":     {fault: runpodtest.CrashLoops, behaviour: runpodtest.Behaviour{ScalingReleases: true}, causes: []error{endpoint.ErrUnhealthy}},
		"never starts":             {fault: runpodtest.NeverStarts, causes: []error{rollout.ErrTimeout}, opts: []rollout.Option{rollout.WithTimeout(10 * time.Minute)}},
	} {
		t.Run(name, func(t *testing.T) {
			eachRoute(t, tt.behaviour, func(t *testing.T, w *world, s strategy.Strategy) {
				t.Helper()
				w.AddImage(runpodtest.Image{Ref: w.goal, Fault: tt.fault})
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
		target   rollout.Target
	}{
		"in-place to a template":      {strategy.InPlace{}, rollout.ToRevision(nextID)},
		"flush-to-zero to a template": {strategy.FlushToZero{}, rollout.ToRevision(nextID)},
		"alternating-template":        {strategy.AlternatingTemplate{Templates: [2]string{liveID, nextID}}, rollout.ToArtifact(imageV3)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, routes()[0])
				_, err := rollout.Run(t.Context(), w.store, w.ep, tt.strategy, tt.target)
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

// dies reports whether f, on a goroutine of its own, ends by [runtime.Goexit]:
// that is what a process that dies does here.
func dies(f func()) (died bool) {
	died = true
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f()
		died = false
	}()
	<-ended
	return died
}
