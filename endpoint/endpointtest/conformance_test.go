package endpointtest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

func writes(calls []Call) (n int) {
	for _, c := range calls {
		if c.Write > 0 {
			n++
		}
	}
	return n
}

func lose(hook func(func(int, string) Fault)) func(bool) {
	return func(applied bool) {
		done := false
		hook(func(int, string) Fault {
			if done {
				return Fault{}
			}
			done = true
			if applied {
				return LostAfter()
			}
			return LostBefore()
		})
	}
}

func workersSubject() (*Workers, Subject) {
	w := NewWorkers(WorkersConfig{Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3})
	return w, Subject{
		Updater: w, To: template("b", "acme/sdxl:v2"), Mutations: func() int { return writes(w.Calls()) }, Lose: lose(w.OnMutation),
		Spoil: func() { w.FailOn("acme/sdxl:v2", "image pull backoff") },
		Key:   endpoint.WorkersMax, Value: 2, Base: template("b", "acme/sdxl:v2"), Artifact: "acme/sdxl:v3",
	}
}

func variantsSubject() (*Variants, Subject) {
	v := NewVariants(VariantsConfig{
		Revisions: map[string]string{"c1": "model-1", "c2": "model-2"}, Live: "c1", Counts: map[string]int{"main": 2, "shadow": 1},
		Targets: map[string]Target{"main": {
			Min: 1, Max: 6, Suspended: Suspended{Scheduled: true},
			Policies:  []Policy{{Name: "track", Config: "70"}, {Name: "step", Config: "+2"}},
			Schedules: []Schedule{{Name: "night", Expression: "cron(0 22 * * ? *)", Min: 1, Max: 2}},
		}},
	})
	return v, Subject{
		Updater: v, To: endpoint.Revision{Kind: "endpoint-config", ID: "c2", Artifact: "model-2"}, Mutations: func() int { return writes(v.Calls()) },
		Lose: lose(v.OnMutation), Spoil: func() { v.FailOn("model-2", "did not pass the ping health check") },
		Key: "variant/shadow/instances", Value: 2, Base: endpoint.Revision{Kind: "endpoint-config", ID: "c1", Artifact: "model-1"}, Artifact: "model-3",
		Protective: func() any { return v.Protective() },
	}
}

func TestConformance(t *testing.T) {
	t.Run("workers", func(t *testing.T) {
		Run(t, Harness{New: func(testing.TB) Subject { _, s := workersSubject(); return s }})
	})
	for name, d := range map[string]time.Duration{"": 0, ", late": 20 * time.Second} {
		t.Run("variants"+name, func(t *testing.T) {
			Run(t, Harness{New: func(testing.TB) Subject {
				v, s := variantsSubject()
				v.StaleReads(d)
				return s
			}})
		})
	}
	t.Run("variants, without autoscaling", func(t *testing.T) {
		Run(t, Harness{New: func(testing.TB) Subject {
			v, s := variantsSubject()
			v.Foreign(func(s *VariantsState) { s.Targets = nil })
			return s
		}})
	})
	t.Run("variants, deregistered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v, s := variantsSubject()
			v.state.deregister = true
			keep(protects)(t, Harness{New: func(testing.TB) Subject { return s }})
		})
	})
}
