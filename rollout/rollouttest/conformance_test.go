package rollouttest_test

import (
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/strategy"
)

func newWorkers() *endpointtest.Workers {
	return endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
	})
}

// counted is a sweep that says whether it was run.
type counted struct {
	rollouttest.Sweep
	points *int
}

func (c counted) Run(t *testing.T) int {
	*c.points += c.Sweep.Run(t)
	return *c.points
}

// A provider's one test: the promises and the sweeps of two strategies.
func TestConformanceWithSweeps(t *testing.T) {
	sweep := rollouttest.Sweep{
		New:    func(testing.TB) rollouttest.Environment { return environment(newWorkers()) },
		Target: rollout.ToRevision("b"), Goal: "acme/sdxl:v2",
		Only: []rollouttest.FaultCase{rollouttest.DiesAfter, rollouttest.LostAfter, rollouttest.ForeignChange},
	}
	points := map[string]*int{}
	sweeps := map[string]endpointtest.Sweep{}
	for _, s := range []strategy.Strategy{strategy.InPlace{}, strategy.FlushToZero{}} {
		sweep.Strategy = s
		points[s.String()] = new(int)
		sweeps[s.String()] = counted{sweep, points[s.String()]}
	}
	endpointtest.Run(t, endpointtest.Harness{
		Sweeps: sweeps,
		New: func(testing.TB) endpointtest.Subject {
			ep := newWorkers()
			return endpointtest.Subject{
				Updater: ep, To: endpoint.Revision{Kind: "template", ID: "b", Artifact: "acme/sdxl:v2"},
				Mutations: func() (n int) {
					for _, c := range ep.Calls() {
						if c.Write > 0 {
							n++
						}
					}
					return n
				},
			}
		},
	})
	for name, n := range points {
		if *n < 5 && !testing.Short() {
			t.Errorf("%s was swept at %d points", name, *n)
		}
	}
}
