package runpod_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// The sweep of package strategytest, over the real clients: every route by
// every strategy that it can do, to a target that comes up and to one that does
// not.

// swept is one rollout to sweep.
type swept struct {
	route
	strategy  strategy.Strategy
	bad       bool // the goal does not come up
	idle      bool // scales to zero, and one worker is booted as proof
	behaviour runpodtest.Behaviour
	lose      func(applied bool) runpodtest.Fault // how answers get lost; dropped if nil
	foreign   *foreignChange
	rival     bool // somebody else moves the endpoint to an image of their own
}

func (s swept) String() string {
	name := fmt.Sprintf("%s/%s", s.name, s.strategy)
	for word, is := range map[string]bool{", image fails": s.bad, ", boot": s.idle} {
		if is {
			name += word
		}
	}
	return name
}

// everySwept is every route by every strategy, to a target that comes up and to
// one that does not.
func everySwept() []swept {
	var all []swept
	for _, r := range routes() {
		for _, s := range r.strategies {
			all = append(all, swept{route: r, strategy: s}, swept{route: r, strategy: s, bad: true})
		}
	}
	return all
}

// sweepAll runs sweeps side by side, and says how many points that were.
func sweepAll(t *testing.T, what string, sweeps map[string]rollouttest.Sweep) {
	t.Helper()
	points := map[string]*atomic.Int64{}
	t.Cleanup(func() {
		for _, name := range slices.Sorted(maps.Keys(points)) {
			t.Logf("swept %d points of %s over REST and GraphQL, %s: none of them lost anything", points[name].Load(), name, what)
		}
	})
	for name, s := range sweeps {
		of := s.Strategy.String()
		if points[of] == nil {
			points[of] = &atomic.Int64{}
		}
		n := points[of]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n.Add(int64(s.Run(t)))
		})
	}
}

// sweep is the kit's, for the misfortunes that are named, or all.
func (s swept) sweep(only ...rollouttest.FaultCase) rollouttest.Sweep {
	k := rollouttest.Sweep{
		New: s.world, Strategy: s.strategy, Target: s.target, Only: only, OneIn: sampled.OneIn(128),
		Options: []rollout.Option{rollout.WithInterval(15 * time.Second)}, // fewer looks, the same writes
	}
	if s.idle {
		k.Options = append(k.Options, rollout.WithProof(strategy.ProofWorkers))
	}
	if !s.bad {
		k.Goal = theTarget
	}
	return k
}

const theTarget = "the target"

// world makes the account of one point.
func (s swept) world(t testing.TB) rollouttest.Environment {
	w := newWorld(t, s.route, runpodtest.WithBehaviour(s.behaviour))
	if s.idle {
		w.Do(func(st *runpodtest.State) {
			st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMin = 0 })
		})
		time.Sleep(time.Hour)
		w.before = w.truth()
	}
	if s.bad {
		w.AddImage(runpodtest.Image{Ref: w.goal, Fault: runpodtest.TurnsUnhealthy})
	}
	lose := s.lose
	if lose == nil {
		lose = runpodtest.Dropped
	}
	k := rollouttest.Environment{
		Updater: w.ep, Guarded: func() any { return w.kept() }, Live: w.live, Secrets: []string{runpodtest.Key, secret},
		Applied: func(n int) bool { return w.Mutations()[n-1].Applied },
		OnWrite: func(hook func(string) endpointtest.Fault) {
			w.OnMutation(func(int, string) runpodtest.Fault {
				q := w.Mutations()
				what := strings.Join(q[len(q)-1].Fields, " ")
				if bounds, ok := q[len(q)-1].Args["workers"]; ok {
					what += fmt.Sprintf(" setWorkers %v", bounds)
				}
				return fault(hook(what), lose)
			})
		},
		OnRead: func(hook func()) { w.onRead = hook },
		Clamp: func(on bool) {
			w.Do(func(st *runpodtest.State) {
				if st.Behaviour.ClampToQuota, st.Quota = on, 10; on {
					st.Quota = 1
				}
			})
		},
		Delete: func() bool {
			w.Do(func(st *runpodtest.State) { st.RemoveEndpoint(endpointID) })
			return true
		},
	}
	switch {
	case s.foreign != nil:
		k.Foreign = []rollouttest.Foreign{{Name: s.foreign.name, Do: func() bool { w.Do(s.foreign.do); return true }}}
	case s.rival:
		k.Foreign = []rollouttest.Foreign{{Name: "image"}, w.back()}
		k.Foreign[0].Do = func() bool {
			w.Do(rivalImage)
			k.Foreign[0].Serves = w.live()
			return true
		}
	}
	return k
}

// rivalImage is what somebody else deploys in the middle of a rollout.
func rivalImage(st *runpodtest.State) {
	st.AddImage(runpodtest.Image{Ref: "acme/sdxl:v9"})
	t := st.AddTemplate(runpodtest.Template{Image: "acme/sdxl:v9"})
	st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.TemplateID = t })
}

// back is somebody else's going back to the source.
func (w *world) back() rollouttest.Foreign {
	e := w.Endpoint(endpointID)
	t := w.Template(e.TemplateID)
	return rollouttest.Foreign{Name: "back to the source", Serves: w.live(), Do: func() bool {
		if w.live() == "the source" {
			return false
		}
		w.Do(func(st *runpodtest.State) {
			st.EditTemplate(t.ID, func(is *runpodtest.Template) { *is = t })
			st.EditEndpoint(endpointID, func(is *runpodtest.Endpoint) { is.TemplateID, is.Env = t.ID, e.Env })
		})
		return true
	}}
}

// fault is the sweep's fault in the fake's words.
func fault(f endpointtest.Fault, lose func(applied bool) runpodtest.Fault) (is runpodtest.Fault) {
	switch f.Kind { //nolint:exhaustive // a sweep asks for no other
	case endpointtest.FaultLostBefore, endpointtest.FaultLostAfter:
		is = lose(f.Kind.Applies())
	case endpointtest.FaultLate:
		is = runpodtest.Fault{LandsAfter: f.After}
	case endpointtest.FaultRefused:
		// RunPod's words may repeat what they are about.
		is = runpodtest.Refused("this may not be: " + secret + ", for " + runpodtest.Key)
	case endpointtest.FaultThrottled:
		is = runpodtest.RateLimited(f.After)
	case endpointtest.FaultForgotten:
		is = runpodtest.Fault{Forgotten: true}
	}
	is.Then = f.Then
	return is
}

// kept is what no rollout may leave changed.
type kept struct {
	Min, Max, IdleTimeout int
	Strays                []string // workers that run something else than they should
}

func (w *world) kept() kept {
	now := w.truth()
	k := kept{Min: now.Min, Max: now.Max, IdleTimeout: now.IdleTimeout}
	for _, worker := range w.Workers(endpointID) {
		if worker.State != runpodtest.Gone && worker.Image != now.Image {
			k.Strays = append(k.Strays, worker.ID)
		}
	}
	return k
}

// live names what is served, link, image and all other settings.
func (w *world) live() string {
	served := func(p protected) protected {
		p.Min, p.Max, p.IdleTimeout = 0, 0, 0
		return p
	}
	now := served(w.truth())
	switch {
	case cmp.Equal(now, served(w.wanted())):
		return theTarget
	case cmp.Equal(now, served(w.before)):
		return "the source"
	}
	return fmt.Sprintf("%+v", now)
}

// foreignChange is somebody else's change of a value that a rollout protects.
type foreignChange struct {
	name string
	do   func(*runpodtest.State)
}

func foreignChanges() []foreignChange {
	edit := func(f func(*runpodtest.Endpoint)) func(*runpodtest.State) {
		return func(st *runpodtest.State) { st.EditEndpoint(endpointID, f) }
	}
	return []foreignChange{
		{"workers.max raised", edit(func(e *runpodtest.Endpoint) { e.WorkersMax = 5 })},
		{"workers.max lowered", edit(func(e *runpodtest.Endpoint) { e.WorkersMax = 2 })},
		{"workers.min", edit(func(e *runpodtest.Endpoint) { e.WorkersMin = 1 })},
		{"both bounds", edit(func(e *runpodtest.Endpoint) { e.WorkersMin, e.WorkersMax = 1, 4 })},
		{"idle timeout", edit(func(e *runpodtest.Endpoint) { e.IdleTimeout = 77 })},
	}
}

// The ways in which an answer does not arrive.
var lost = map[string]func(applied bool) runpodtest.Fault{
	"502": func(applied bool) runpodtest.Fault {
		f := runpodtest.HTTPStatus(http.StatusBadGateway)
		f.Applied = applied
		return f
	},
	"truncated": func(bool) runpodtest.Fault { return runpodtest.Fault{Truncate: true, Applied: true} },
	"null": func(bool) runpodtest.Fault {
		return runpodtest.Fault{Status: http.StatusOK, Body: `{"data":{"updateEndpointTemplate":null,"saveTemplate":null}}`, Applied: true}
	},
}

// Each misfortune on each write, and a death at each read.
func TestSweep(t *testing.T) {
	sweeps := map[string]rollouttest.Sweep{}
	for _, s := range everySwept() {
		// How a revision is written makes no other difference to a flush.
		if _, flush := s.strategy.(strategy.FlushToZero); !flush || !s.variant {
			sweeps[s.String()] = s.sweep()
		}
	}
	sweepAll(t, "each misfortune", sweeps)
}

// The same once more with one entry on a page of a list, and on an endpoint without a
// queue.
func TestSweepAgain(t *testing.T) {
	for what, again := range map[string]func(*swept){
		"with one entry on a page": func(s *swept) { s.behaviour.PageSize = 1 },
		"behind a load balancer":   func(s *swept) { s.changing = loadBalancer },
	} {
		t.Run(what, func(t *testing.T) {
			sweeps := map[string]rollouttest.Sweep{}
			for _, s := range everySwept() {
				if again(&s); !s.variant {
					sweeps[s.String()] = s.sweep()
				}
			}
			sweepAll(t, "each misfortune "+what, sweeps)
		})
	}
}

// Other people's changes, each of them at each write and each read.
func TestSweepForeignChanges(t *testing.T) {
	sweeps := map[string]rollouttest.Sweep{}
	for _, s := range everySwept() {
		for _, f := range foreignChanges() {
			if s.foreign = &f; !s.variant {
				sweeps[s.String()+"/"+f.name] = s.sweep(rollouttest.ForeignChange, rollouttest.ForeignReading)
			}
		}
		s.foreign, s.rival = nil, true
		sweeps[s.String()+"/image"] = s.sweep(rollouttest.ForeignChange, rollouttest.ForeignReading)
	}
	sweepAll(t, "somebody else's changes", sweeps)
}

// The misfortunes for which it matters what reads show, and how an answer is lost.
func TestSweepBehaviours(t *testing.T) {
	sweeps := map[string]rollouttest.Sweep{}
	for _, s := range everySwept() {
		for name, b := range map[string]runpodtest.Behaviour{
			"lagging": {ReadLag: 15 * time.Second, JobLag: 20 * time.Second, WorkersLag: 5 * time.Second},
			"flicker": {ReadLag: 20 * time.Second, ReadFlaps: true, ScalingReleases: true},
			"pages":   {PageSize: 1},
		} {
			if s.behaviour = b; s.variant && s.bad {
				continue
			}
			sweeps[s.String()+"/"+name] = s.sweep(rollouttest.DiesSending, rollouttest.LostAfter, rollouttest.Late, rollouttest.CancelledAfter)
		}
		s.behaviour = runpodtest.Behaviour{}
		for name, lose := range lost {
			if s.lose = lose; !s.bad {
				sweeps[s.String()+"/"+name] = s.sweep(rollouttest.LostAfter)
			}
		}
		_, flush := s.strategy.(strategy.FlushToZero)
		if s.idle, s.lose = true, nil; flush && !s.variant {
			sweeps[s.String()] = s.sweep(rollouttest.DiesSending, rollouttest.LostAfter, rollouttest.Late, rollouttest.RefusedForGood)
		}
	}
	sweepAll(t, "what RunPod does only sometimes", sweeps)
}

// RunPod scales down in the middle, and is known to be RunPod. A process that
// dies before it sees why cannot know: that is another test's.
func TestSweepScaleDown(t *testing.T) {
	sweeps := map[string]rollouttest.Sweep{}
	for _, s := range everySwept() {
		if s.behaviour.CrashScaleDown = 50 * time.Second; s.bad && !s.variant {
			sweeps[s.String()] = s.sweep(rollouttest.LostBefore, rollouttest.LostAfter, rollouttest.Late, rollouttest.RefusedOnce,
				rollouttest.ThrottledOnce, rollouttest.CancelledBefore, rollouttest.CancelledAfter)
		}
	}
	sweepAll(t, "with a scale-down of RunPod's own", sweeps)
}

// Each pair of misfortunes: all of them with SWEEP=pairs, else a sample.
func TestSweepPairs(t *testing.T) {
	oneIn := 800
	if sampled.Pairs() {
		oneIn = 1
	}
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("swept %d pairs; none of them lost anything", points.Load()) })
	for _, s := range everySwept() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			points.Add(int64(s.sweep().Pairs(t, oneIn)))
		})
	}
}

// reader is a transport that tells of each request that only reads.
type reader struct{ *world }

func (r reader) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.onRead != nil && !mutates(req) {
		r.onRead()
	}
	return r.Client().Transport.RoundTrip(req)
}

func mutates(req *http.Request) bool {
	if req.Method != http.MethodPost || req.Body == nil {
		return req.Method == http.MethodPatch
	}
	b, _ := io.ReadAll(req.Body) // which is in memory
	req.Body = io.NopCloser(bytes.NewReader(b))
	return strings.Contains(string(b), "mutation")
}
