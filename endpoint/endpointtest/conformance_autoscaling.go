package endpointtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
)

// suspended is a subject with its AutoscalingSuspender and a snapshot of it.
type suspended struct {
	Subject
	endpoint.AutoscalingSuspender
	taken  endpoint.AutoscalingSnapshot // the snapshot
	before any
}

// suspender makes a subject and takes its snapshot, and skips if it has none.
func (h Harness) suspender(t testing.TB) suspended {
	t.Helper()
	s := h.subject(t)
	p, ok := endpoint.As[endpoint.AutoscalingSuspender](s.Updater)
	if !ok || s.Guarded == nil {
		t.Skip("skipped: no endpoint.AutoscalingSuspender, or nothing to compare: ScaleProtectedSwap suspends nothing")
	}
	return suspended{s, p, s.snapshot(t, p), s.Guarded()}
}

// inspect polls for as long as a read may lag, until good is true.
func (p suspended) inspect(t testing.TB, when string, good func(endpoint.AutoscalingState) bool) (is endpoint.AutoscalingState) {
	t.Helper()
	for end := time.Now().Add(p.Settle); ; pause(time.Second) {
		var err error
		if is, err = p.InspectAutoscaling(t.Context(), p.taken); err != nil {
			t.Fatalf("InspectAutoscaling: %v", err)
		}
		if good(is) {
			return is
		}
		if time.Now().After(end) {
			t.Errorf("InspectAutoscaling %s = %+v", when, is)
			return is
		}
	}
}

func intact(is endpoint.AutoscalingState) bool { return is.Restored && len(is.Differences) == 0 }

// whole fails unless everything is as before, and Inspect says so.
func (p suspended) whole(t testing.TB, when string) {
	t.Helper()
	p.inspect(t, when, intact)
	if diff := cmp.Diff(p.before, p.Guarded()); diff != "" {
		t.Errorf("%s (-before +after):\n%s", when, diff)
	}
}

// protect waits until reads show what was done, as a rollout does: what does
// not show cannot be restored.
func (p suspended) protect(t testing.TB) {
	t.Helper()
	if err := p.SuspendAutoscaling(t.Context(), p.taken); err != nil {
		t.Fatalf("SuspendAutoscaling: %v", err)
	}
	pause(p.Settle)
}

func (p suspended) restore(t testing.TB) {
	t.Helper()
	if err := p.RestoreAutoscaling(t.Context(), p.taken); err != nil {
		t.Fatalf("RestoreAutoscaling: %v", err)
	}
}

func protects(t testing.TB, h Harness) {
	p := h.suspender(t)
	p.inspect(t, "before anything was done", intact)
	for range 2 { // a rollout that died may protect and restore again
		if err := p.SuspendAutoscaling(t.Context(), p.taken); err != nil {
			t.Fatalf("SuspendAutoscaling: %v", err)
		}
	}
	p.inspect(t, "while it is suspended", func(is endpoint.AutoscalingState) bool {
		return is.Suspended && len(is.Foreign) == 0 && (!is.Restored || cmp.Equal(p.before, p.Guarded()))
	})
	for range 2 {
		p.restore(t)
	}
	p.whole(t, "after it was restored")
}

// interruptions are what may happen to one remote write.
var interruptions = []struct {
	name   string
	happen func(s Subject, cancel func())
}{
	{"its context ends", func(_ Subject, cancel func()) { cancel() }},
	{"it is lost", func(s Subject, _ func()) { s.DropResponse(false) }},
	{"its answer is lost", func(s Subject, _ func()) { s.DropResponse(true) }},
}

// interrupted lets something happen to the nth write of call, and reports whether
// there was one. done is what call promises.
func (p suspended) interrupted(
	t testing.TB, what string, n int, happen func(Subject, func()),
	call func(context.Context, endpoint.AutoscalingSnapshot) error, done func(endpoint.AutoscalingState) bool,
) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	writes := 0
	p.OnMutation(func() {
		if writes++; writes == n {
			happen(p.Subject, cancel)
		}
	})
	err := call(ctx, p.taken)
	switch {
	case writes < n && err != nil:
		t.Fatalf("%s: %v", what, err)
	case writes < n:
		return false
	case ctx.Err() != nil && writes > n:
		t.Errorf("%s: it went on with %d writes", what, writes-n)
	}
	pause(p.Settle) // so that reads show what there is
	if err == nil {
		p.inspect(t, what+", of which nothing was heard", done)
	}
	p.inspect(t, what, func(is endpoint.AutoscalingState) bool { return !is.Restored || cmp.Equal(p.before, p.Guarded()) })
	return true
}

// survives interrupts SuspendAutoscaling and RestoreAutoscaling at each of their
// writes.
func survives(t testing.TB, h Harness) {
	if p := h.suspender(t); p.OnMutation == nil || p.DropResponse == nil {
		t.Skip("skipped: the subject cannot interrupt a call at one of its writes: whether suspending survives that is not tested")
	}
	frozen := func(is endpoint.AutoscalingState) bool { return is.Suspended }
	points := 0
	for _, i := range interruptions {
		for _, again := range []bool{false, true} {
			for n := 1; !t.Failed(); n++ {
				p, what := h.suspender(t), fmt.Sprintf("SuspendAutoscaling, write %d: %s", n, i.name)
				if !p.interrupted(t, what, n, i.happen, p.SuspendAutoscaling, frozen) {
					break
				}
				if points++; again {
					p.protect(t)
				}
				p.restore(t)
				p.whole(t, what+"; after it was restored")
			}
		}
		for n := 1; !t.Failed(); n++ {
			p, what := h.suspender(t), fmt.Sprintf("RestoreAutoscaling, write %d: %s", n, i.name)
			p.protect(t)
			if !p.interrupted(t, what, n, i.happen, p.RestoreAutoscaling, intact) {
				break
			}
			points++
			p.restore(t)
			p.whole(t, what+"; after it was restored again")
		}
	}
	if t.Logf("%d interruptions", points); points == 0 && !t.Failed() {
		t.Skip("skipped: suspending takes no writes here")
	}
}

// leavesForeign lets a third party change one value after the other. In the end
// everything has to be as their change alone leaves it.
func leavesForeign(t testing.TB, h Harness) {
	p := h.suspender(t)
	if len(p.Foreign) == 0 {
		t.Skip("skipped: no third party changes what is suspended: whether that is left alone is not tested")
	}
	for i, f := range p.Foreign {
		alone := h.suspender(t)
		done := alone.Foreign[i].Do()
		wanted := alone.Guarded()
		if !done || cmp.Equal(alone.before, wanted) {
			t.Fatalf("%s: on an endpoint at rest it changes nothing that Subject.Guarded shows", f.Name)
		}
		changed := func(is endpoint.AutoscalingState) bool { return !is.Restored && len(is.Differences) > 0 }
		names := len(alone.inspect(t, f.Name, changed).Differences)

		for _, early := range []bool{false, true} {
			p, what := h.suspender(t), f.Name+", while it is suspended"
			if early {
				what = f.Name + ", before it is suspended"
				p.Foreign[i].Do()
				pause(p.Settle) // what no read shows yet cannot be left alone
			}
			if err := p.SuspendAutoscaling(t.Context(), p.taken); err != nil && (!early || !errors.Is(err, endpoint.ErrDrift)) {
				t.Fatalf("SuspendAutoscaling (%s): %v", what, err)
			}
			refused := !early && !p.Foreign[i].Do()
			pause(p.Settle)
			if refused { // as long as it is suspended
				p.restore(t)
				p.whole(t, what+", which was refused; after it was restored")
				continue
			}
			p.inspect(t, what, func(is endpoint.AutoscalingState) bool { return !is.Restored && len(is.Foreign) == names })
			p.restore(t)
			p.inspect(t, what+", and restored", func(is endpoint.AutoscalingState) bool {
				return !is.Restored && len(is.Foreign) == names && len(is.Differences) == names
			})
			if diff := cmp.Diff(wanted, p.Guarded()); diff != "" {
				t.Errorf("%s, and restored: it is not what their change alone comes to (-want +got):\n%s", what, diff)
			}
		}
	}
}
