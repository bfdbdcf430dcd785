package sagemaker_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// othersOf are the changes that somebody else may make of what a level protects.
func othersOf(srv *sagemakertest.Server, level sagemaker.AutoscalingMode) []endpointtest.Foreign {
	var all []endpointtest.Foreign
	for _, f := range foreignChanges() {
		// Capacity is for settings, and an alarm is only made to reach its policies.
		other := slices.ContainsFunc([]string{"instances", "weight", "alarm"}, func(word string) bool { return strings.HasPrefix(f.name, word) })
		if !other && f.serves == "" && !(f.gone && level == sagemaker.AutoscalingDeregister) {
			all = append(all, endpointtest.Foreign{Name: f.name, Do: func() bool { return f.do(srv) }})
		}
	}
	return all
}

// sweepsOf are the crashes of a rollout at the level. The other misfortunes are
// swept by TestSweep.
func sweepsOf(level sagemaker.AutoscalingMode) map[string]endpointtest.Sweep {
	all := map[string]endpointtest.Sweep{}
	for _, sw := range sweeps() {
		if sw.level == level && !sw.fails {
			s := sw.sweep()
			s.Only, s.OneIn = []rollouttest.FaultCase{rollouttest.DiesSending}, 64
			all[sw.name] = s
		}
	}
	return all
}

func TestConformance(t *testing.T) {
	lagging := sagemakertest.Behaviour{
		ReadLag: 20 * time.Second, ConfigLag: 10 * time.Second, TargetLag: 5 * time.Second, NewNameWhileUpdating: true, ShowRollingBack: true,
	}
	for _, tt := range []struct {
		name  string
		level sagemaker.AutoscalingMode
		b     sagemakertest.Behaviour
	}{
		{"as documented, auto", sagemaker.AutoscalingAuto, sagemakertest.Behaviour{}},
		{"as documented, deregister", sagemaker.AutoscalingDeregister, sagemakertest.Behaviour{}},
		{"lagging, retain", sagemaker.AutoscalingRetain, lagging},
		{"lagging, suspend", sagemaker.AutoscalingSuspend, lagging},
		{"lagging, deregister", sagemaker.AutoscalingDeregister, lagging},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.level != sagemaker.AutoscalingDeregister {
				t.Skip("SKIPPED: the level with the most writes stands for the others with -short")
			}
			if !sampled.All() && (tt.level == sagemaker.AutoscalingRetain || tt.level == sagemaker.AutoscalingDeregister && tt.b.ReadLag == 0) {
				t.Skip("SKIPPED without SWEEP=all: the other levels stand for it")
			}
			t.Parallel()
			endpointtest.Run(t, endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
				srv := account()
				scaled(srv, "main", 6)
				scaled(srv, "side", 4)
				return subject(t, srv, tt.level, tt.b)
			}, Sweeps: sweepsOf(tt.level)})
		})
	}
}

// An endpoint of one variant can split its traffic.
func TestConformanceOfOneVariant(t *testing.T) {
	for name, b := range map[string]sagemakertest.Behaviour{
		"as documented": {}, "lagging": {ReadLag: 20 * time.Second, ConfigLag: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpointtest.Run(t, endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
				srv := single(4)
				scaled(srv, "main", 6)
				return subject(t, srv, sagemaker.AutoscalingAuto, b)
			}})
		})
	}
}

// subject is the endpoint of an account, at a protection level.
func subject(t testing.TB, srv *sagemakertest.Server, level sagemaker.AutoscalingMode, b sagemakertest.Behaviour) endpointtest.Subject {
	srv.Behave(func(to *sagemakertest.Behaviour) { *to = b })
	before, next := func() {}, sagemakertest.Fault{}
	srv.OnMutation(func(int, string) sagemakertest.Fault {
		before()
		f := next
		next = sagemakertest.Fault{}
		return f
	})
	return endpointtest.Subject{
		Updater:      open(t, srv, sagemaker.WithAutoscalingMode(level)),
		To:           endpoint.Revision{Kind: sagemaker.KindEndpointConfig, ID: "c2", Artifact: "model-2"},
		Mutations:    func() int { return len(srv.Mutations()) },
		OnMutation:   func(hook func()) { before = hook },
		DropResponse: func(applied bool) { next = sagemakertest.Dropped(applied) },
		HangResponse: func(applied bool) { next = sagemakertest.Fault{Delay: 24 * time.Hour, Applied: applied} },
		FailReads: func() {
			srv.Fail(sagemakertest.Call{Times: -1}, sagemakertest.HTTPStatus(http.StatusServiceUnavailable))
		},
		BreakTarget: func() { srv.SetOutcome("model-2", sagemakertest.RollsBack, "") },
		Actual:      func() endpointtest.Actual { return actual(srv) },
		Key:         "variant/main/instances", Value: 5,
		Artifact: "model-3",
		TakeName: func(d endpoint.Draft) {
			srv.Seed(createConfig(d.Revision.ID, productionVariant("main", "model-1", 7)))
		},
		Guarded: func() any { return srv.Guarded() },
		Foreign: othersOf(srv, level),
		Secrets: []string{secret},
	}
}
