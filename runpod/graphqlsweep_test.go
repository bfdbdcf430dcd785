package runpod_test

import (
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/strategy/strategytest"
)

// lost are the ways in which an answer does not arrive.
var lost = map[string]func(applied bool) runpodtest.Fault{
	"dropped": runpodtest.Dropped,
	"502": func(applied bool) runpodtest.Fault {
		f := runpodtest.HTTPStatus(http.StatusBadGateway)
		f.Applied = applied
		return f
	},
	"null":      func(bool) runpodtest.Fault { return runpodtest.Fault{Null: true, Applied: true} },
	"truncated": func(bool) runpodtest.Fault { return runpodtest.Fault{Truncate: true, Applied: true} },
}

// sweep is a move over the real client.
func (m linkMove) sweep(bad bool, b runpodtest.Behaviour, lose func(bool) runpodtest.Fault) strategytest.Sweep {
	s := strategytest.Sweep{
		New: func(t testing.TB) strategytest.World {
			reads := &reader{}
			r := newLinked(t, m, b, runpod.WithHTTPClient(&http.Client{Transport: reads}))
			reads.base = r.srv.Client().Transport
			if bad {
				r.srv.AddImage(runpodtest.Image{Ref: m.image, Fault: runpodtest.TurnsUnhealthy})
			}
			return strategytest.World{
				Updater: r.ep, Protective: func() any { return r.kept() },
				Live: func() string { s := r.linkedState(); return s.TemplateID + " " + s.Image },
				OnMutation: func(hook func(string) strategytest.Fault) {
					r.srv.OnMutation(func(_ int, field string) runpodtest.Fault { return fault(hook(field), lose) })
				},
				Foreign: []strategytest.Foreign{{Name: "workersMax", Do: func() bool {
					r.srv.Do(func(s *runpodtest.State) {
						s.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMax = 5 })
					})
					return true
				}}},
				OnRead: func(hook func()) { reads.hook = hook },
			}
		},
		Strategy: m.strategy, Target: m.target, Goal: m.template + " " + m.image,
		Options: []strategy.Option{strategy.WithInterval(15 * time.Second)}, // fewer looks, the same writes
	}
	if bad {
		s.Goal = ""
	}
	return s
}

// fault is the sweep's fault in the fake's words.
func fault(f strategytest.Fault, lose func(applied bool) runpodtest.Fault) runpodtest.Fault {
	switch f.Kind {
	case strategytest.Lost:
		l := lose(f.Applied)
		l.Then = f.Then
		return l
	case strategytest.Late:
		return runpodtest.Fault{LandsAfter: f.After, Then: f.Then}
	case strategytest.Refused:
		return runpodtest.Refused("Something went wrong.")
	case strategytest.Throttled:
		return runpodtest.RateLimited(f.After)
	case strategytest.Fine:
	}
	return runpodtest.Fault{Then: f.Then}
}

// kept is what no linked may leave changed.
type kept struct {
	State  linkedState
	Strays []string // workers that run something else than the template says
}

func (r *linked) kept() kept {
	k := kept{State: r.linkedState()}
	for _, w := range r.srv.Workers(endpointID) {
		if w.State != runpodtest.Gone && w.Image != k.State.Image {
			k.Strays = append(k.Strays, w.ID)
		}
	}
	k.State.TemplateID, k.State.Image = "", ""
	return k
}

// reader is a transport that tells of each request that only reads.
type reader struct {
	base http.RoundTripper
	hook func()
}

func (r *reader) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.hook != nil && !mutates(req) {
		r.hook()
	}
	return r.base.RoundTrip(req)
}

func mutates(req *http.Request) bool {
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	b, _ := io.ReadAll(body) // which is in memory
	return strings.Contains(string(b), "mutation")
}

// Each misfortune on each mutation, and a death at each read, over GraphQL.
func TestGraphQLSweep(t *testing.T) {
	points := map[string]int{}
	lagging := runpodtest.Behaviour{ReadLag: 15 * time.Second, JobLag: 20 * time.Second}
	eachSweepable(func(name string, m linkMove, bad bool) {
		t.Run(name, func(t *testing.T) {
			n := m.sweep(bad, runpodtest.Behaviour{}, lost["dropped"]).Run(t)
			points[m.strategy.String()] += n
			if bad {
				return
			}
			s := m.sweep(bad, lagging, lost["dropped"])
			s.Only = []strategytest.Misfortune{strategytest.DiesAfter, strategytest.LostAfter, strategytest.LandsLate}
			t.Run("lagging", func(t *testing.T) { points[m.strategy.String()] += s.Run(t) })
			for way, lose := range lost {
				s := m.sweep(bad, runpodtest.Behaviour{}, lose)
				s.Only = []strategytest.Misfortune{strategytest.LostAfter}
				t.Run(way, func(t *testing.T) { points[m.strategy.String()] += s.Run(t) })
			}
		})
	})
	for _, name := range slices.Sorted(maps.Keys(points)) {
		t.Logf("swept %d points of %s over GraphQL, none of them lost anything", points[name], name)
	}
}

// Each pair of misfortunes: all of them with SWEEP=pairs, else a sample.
func TestRolloutSweepPairs(t *testing.T) {
	oneIn, points := 100, 0
	if os.Getenv("SWEEP") == "pairs" {
		oneIn = 1
	}
	eachSweepable(func(name string, m linkMove, bad bool) {
		t.Run(name, func(t *testing.T) {
			points += m.sweep(bad, runpodtest.Behaviour{}, lost["dropped"]).Pairs(t, oneIn)
		})
	})
	t.Logf("swept %d pairs over GraphQL, none of them lost anything", points)
}

func eachSweepable(f func(name string, m linkMove, bad bool)) {
	for _, m := range linkMoves() {
		f(m.strategy.String(), m, false)
		f(m.strategy.String()+", image fails", m, true)
	}
}
