package rollouttest_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/strategy"
)

// panicking is an updater with a bug in how it treats an error.
type panicking struct{ *endpointtest.Workers }

func (p panicking) Update(ctx context.Context, c endpoint.Change) error {
	if p.Workers.Update(ctx, c) != nil {
		panic("index out of range")
	}
	return nil
}

// deaf is an updater that hides what its writes are answered.
type deaf struct{ *endpointtest.Workers }

func (d deaf) Update(ctx context.Context, c endpoint.Change) error {
	_ = d.Workers.Update(ctx, c)
	return nil
}

// badSweeps are sweeps that have to fail, with the words of the failure.
var badSweeps = map[string]struct {
	edit func(ep *endpointtest.Workers, e *rollouttest.Environment)
	only rollouttest.FaultCase
	want string
}{
	"a fault that is ignored": {
		func(ep *endpointtest.Workers, e *rollouttest.Environment) {
			e.OnWrite = func(hook func(string) endpointtest.Fault) {
				ep.OnMutation(func(_ int, name string) endpointtest.Fault { hook(name); return endpointtest.Fault{} })
			}
		}, rollouttest.LostAfter, "did not call its Then: it did not happen",
	},
	"a fault that lets its write through": {
		func(ep *endpointtest.Workers, e *rollouttest.Environment) {
			e.OnWrite = func(hook func(string) endpointtest.Fault) {
				ep.OnMutation(func(_ int, name string) endpointtest.Fault {
					f := hook(name)
					f.Kind = endpointtest.FaultNone
					return f
				})
			}
		}, rollouttest.RefusedOnce, "took effect, although its fault was \"refused\"",
	},
	"an answer that is hidden": {
		func(ep *endpointtest.Workers, e *rollouttest.Environment) { e.Updater = deaf{ep} },
		rollouttest.LostAfter, "Update returned no error, although the fault of its write was \"lost after\"",
	},
	"a panic in the updater": {
		func(ep *endpointtest.Workers, e *rollouttest.Environment) { e.Updater = panicking{ep} },
		rollouttest.ThrottledOnce, "the write of revision panicked: index out of range",
	},
	"nothing to guard": {
		func(_ *endpointtest.Workers, e *rollouttest.Environment) { e.Guarded = nil },
		rollouttest.LostAfter, "Environment.Guarded is nil, and has to be set",
	},
}

const badSweep = "ROLLOUTTEST_BAD_SWEEP"

// TestBadSweep runs the bad sweep that the environment names: in the process
// that TestBadSweepsFail starts.
func TestBadSweep(t *testing.T) {
	tt, ok := badSweeps[os.Getenv(badSweep)]
	if !ok {
		t.Skip("run by TestBadSweepsFail")
	}
	rollouttest.Sweep{
		New: func(testing.TB) rollouttest.Environment {
			ep := newWorkers()
			e := environment(ep)
			tt.edit(ep, &e)
			return e
		},
		Strategy: strategy.InPlace{}, Target: rollout.ToRevision("b"), Goal: "acme/sdxl:v2", Only: []rollouttest.FaultCase{tt.only},
	}.Run(t)
}

// A sweep fails where the environment does not do what it was asked for, and
// says so. The sweep fails the test that runs it, so that test is another
// process's.
func TestBadSweepsFail(t *testing.T) {
	for name, tt := range badSweeps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBadSweep$")
			cmd.Env = append(os.Environ(), badSweep+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("the sweep ends with %v, want it to fail with %q:\n%s", err, tt.want, out)
			}
		})
	}
}

// environment is what a sweep has to know of an endpoint of the kit.
func environment(ep *endpointtest.Workers) rollouttest.Environment {
	return rollouttest.Environment{
		Updater: ep, Guarded: func() any { return ep.Protective() },
		Live: func() string { s := ep.Truth(); return s.Templates[s.Live] },
		Applied: func(n int) bool {
			return slices.ContainsFunc(ep.Calls(), func(c endpointtest.Call) bool { return c.Write == n && c.Applied })
		},
		OnWrite: func(hook func(string) endpointtest.Fault) {
			ep.OnMutation(func(_ int, name string) endpointtest.Fault { return hook(name) })
		},
	}
}
