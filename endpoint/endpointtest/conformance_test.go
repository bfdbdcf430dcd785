package endpointtest

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/promise"
)

func writes(calls []Call) (n int) {
	for _, c := range calls {
		if c.Write > 0 {
			n++
		}
	}
	return n
}

// faulty plugs the faults of a fake into its subject.
func faulty(s Subject, fake interface {
	Calls() []Call
	OnMutation(hook func(int, string) Fault)
	OnRead(hook func(int, string) Fault)
},
) Subject {
	var mu sync.Mutex
	before, next := func() {}, Fault{}
	fake.OnMutation(func(int, string) Fault {
		before()
		mu.Lock()
		defer mu.Unlock()
		f := next
		next = Fault{}
		return f
	})
	s.Mutations = func() int { return writes(fake.Calls()) }
	s.OnMutation = func(hook func()) { before = hook }
	s.DropResponse = func(applied bool) {
		mu.Lock()
		defer mu.Unlock()
		if next = LostBefore(); applied {
			next = LostAfter()
		}
	}
	s.HangResponse = func(applied bool) {
		mu.Lock()
		defer mu.Unlock()
		if next = HangBefore(24 * time.Hour); applied {
			next = HangAfter(24 * time.Hour)
		}
	}
	s.FailReads = func() { fake.OnRead(func(int, string) Fault { return LostBefore() }) }
	return s
}

func workersSubject(edit ...func(*WorkersConfig)) (*Workers, Subject) {
	c := WorkersConfig{Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3}
	for _, f := range edit {
		f(&c)
	}
	w := NewWorkers(c)
	return w, faulty(Subject{
		Updater: w, To: template("b", "acme/sdxl:v2"),
		BreakTarget: func() { w.FailOn("acme/sdxl:v2", "image pull backoff") },
		Actual:      func() Actual { return actualWorkers(w) },
		Pause:       func() { w.Foreign(func(s *WorkersState) { s.Min, s.Max = 0, 0 }) },
		Empty:       func() { w.Foreign(func(s *WorkersState) { s.Min = 0 }) },
		Key:         endpoint.WorkersMax, Value: 2, Others: endpoint.Settings{endpoint.WorkersMin: 0},
		Base: template("b", "acme/sdxl:v2"), Artifact: "acme/sdxl:v3",
		TakeName: func(d endpoint.Draft) {
			w.Foreign(func(s *WorkersState) { s.Templates[d.Revision.ID] = "acme/other:v9" })
		},
		Enqueue: func(n int) { _ = w.Enqueue(n, 24*time.Hour) }, // it is not paused
	}, w)
}

// actualWorkers is what the workers of a fake really are.
func actualWorkers(w *Workers) Actual {
	s := w.Truth()
	a := Actual{Desired: template(s.Live, s.Templates[s.Live]), Paused: s.Max == 0}
	for _, is := range s.Workers {
		a.Units = append(a.Units, Unit{Runs: is.Runs, Up: is.Up, Serves: is.Up, Failed: is.Unhealthy})
		if is.Unhealthy {
			a.Reason = w.fates.reasons[is.Runs.Artifact]
		}
	}
	return a
}

// actualVariants is what the instances of a fake really are.
func actualVariants(v *Variants) (a Actual) {
	v.truth(func(m *variants) {
		a = Actual{Desired: m.revision(cmp.Or(m.Pending, m.Live)), Updating: m.change.stage != "", Failed: m.Failed, Reason: m.Reason}
		for range total(m.running) {
			a.Units = append(a.Units, Unit{Runs: m.revision(m.Live), Up: true, Serves: !m.Failed, Failed: m.Failed})
		}
		if stage := m.change.stage; stage == creating || stage == baking {
			for range total(m.Counts) {
				a.Units = append(a.Units, Unit{Runs: m.revision(m.Pending), Up: stage == baking})
			}
		}
	})
	return a
}

func variantsSubject(edit ...func(*VariantsConfig)) (*Variants, Subject) {
	const step, pager = "arn:policy/step", "arn:sns/pager"
	c := VariantsConfig{
		Revisions: map[string]string{"c1": "model-1", "c2": "model-2"}, Live: "c1", Counts: map[string]int{"main": 2, "side": 1, "shadow": 1},
		Targets: map[string]Target{"main": {
			Min: 1, Max: 6, Suspended: Suspended{Scheduled: true},
			Policies:  []Policy{{"track", "arn:policy/track", "70"}, {"step", step, "+2"}},
			Schedules: []Schedule{{Name: "night", Expression: "cron(0 22 * * ? *)", Min: 1, Max: 2}},
		}, "side": {Min: 1, Max: 3}},
		Alarms: map[string][]string{"backlog": {step, pager}, "other": {pager}},
	}
	for _, f := range edit {
		f(&c)
	}
	v := NewVariants(c)
	return v, faulty(Subject{
		Updater: v, To: endpoint.Revision{Kind: "endpoint-config", ID: "c2", Artifact: "model-2"},
		BreakTarget: func() { v.FailOn("model-2", "did not pass the ping health check") },
		Actual:      func() Actual { return actualVariants(v) },
		Key:         "variant/shadow/instances", Value: 2, Base: endpoint.Revision{Kind: "endpoint-config", ID: "c1", Artifact: "model-1"}, Artifact: "model-3",
		TakeName: func(d endpoint.Draft) {
			v.Foreign(func(s *VariantsState) { s.Revisions[d.Revision.ID] = "a third party's" })
		},
		Guarded: func() any { return v.Protective() }, Foreign: foreign(v, c),
	}, v)
}

// foreign is every kind of change that a third party can make to what hangs on
// the target "main". Where it is deregistered, they register it as it was.
func foreign(v *Variants, c VariantsConfig) []Foreign {
	edit := func(name string, f func(s *VariantsState)) Foreign {
		return Foreign{name, func() bool { v.Foreign(f); return true }}
	}
	main := func(name string, f func(t *Target)) Foreign {
		return edit(name, func(s *VariantsState) {
			t, ok := s.Targets["main"]
			if !ok {
				t = Target{Min: c.Targets["main"].Min, Max: c.Targets["main"].Max, Suspended: c.Targets["main"].Suspended}
			}
			f(&t)
			s.Targets["main"] = t
		})
	}
	all := []Foreign{
		main("bounds", func(t *Target) { t.Max = 9 }),
		main("what is suspended", func(t *Target) { t.Suspended = Suspended{Out: true} }),
		main("a policy's configuration", func(t *Target) {
			t.Policies = append(slices.DeleteFunc(t.Policies, func(p Policy) bool { return p.Name == "track" }), Policy{"track", "arn:other", "55"})
		}),
		main("a policy that is added", func(t *Target) { t.Policies = append(t.Policies, Policy{"other", "arn:other", "30"}) }),
		{"a schedule's expression", func() (done bool) { // which takes a target that is there
			v.Foreign(func(s *VariantsState) {
				if t, ok := s.Targets["main"]; ok {
					t.Schedules, done = []Schedule{{"night", "cron(0 23 * * ? *)", 1, 2}}, true
					s.Targets["main"] = t
				}
			})
			return done
		}},
		main("a schedule that is added", func(t *Target) { t.Schedules = append(t.Schedules, Schedule{"other", "rate(1 day)", 3, 4}) }),
		edit("an alarm's action that is added", func(s *VariantsState) { s.Alarms["backlog"] = append(s.Alarms["backlog"], "arn:other") }),
		edit("an alarm that is gone", func(s *VariantsState) { delete(s.Alarms, "backlog") }),
		edit("another target", func(s *VariantsState) { s.Targets["shadow"] = Target{Min: 1, Max: 2} }),
	}
	if c.Deregister {
		return all // what it lacks was taken from it by SuspendAutoscaling
	}
	return append(all,
		main("a policy that is gone", func(t *Target) { t.Policies = t.Policies[:1] }),
		main("a schedule that is gone", func(t *Target) { t.Schedules = nil }),
		edit("an alarm's action that is gone", func(s *VariantsState) { s.Alarms["backlog"] = s.Alarms["backlog"][1:] }),
		edit("a target that is gone", func(s *VariantsState) { delete(s.Targets, "main") }),
	)
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
			_, s := variantsSubject(func(c *VariantsConfig) { c.Targets = nil })
			s.Foreign = nil
			return s
		}})
	})
	t.Run("variants, that take minutes to be made, and cost money", func(t *testing.T) {
		Run(t, Harness{New: func(testing.TB) Subject {
			v, s := variantsSubject(func(c *VariantsConfig) { c.Build = 10 * time.Minute })
			s.Updater = Builder{v}
			return s
		}})
	})
	t.Run("variants, deregistered", func(t *testing.T) { // which refuses every update until it is protected
		only := updaterSuite
		only.Promises = slices.DeleteFunc(slices.Clone(only.Promises), func(p promise.Promise[Harness]) bool {
			return !slices.Contains([]string{
				"autoscaling is put back exactly", "suspending survives an interruption at each write", "what a third party changed is left alone",
			}, p.Name)
		})
		only.Run(t, Harness{New: func(testing.TB) Subject {
			_, s := variantsSubject(func(c *VariantsConfig) { c.Deregister = true })
			return s
		}})
	})
}
