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

// protected is a subject with its Protector and a snapshot of it.
type protected struct {
	Subject
	endpoint.AutoscalingSuspender
	taken  endpoint.AutoscalingSnapshot // the snapshot
	before any
}

// protector makes a subject and takes its snapshot, and skips if it has none.
func (h Harness) protector(t testing.TB) protected {
	t.Helper()
	s := h.subject(t)
	p, ok := endpoint.As[endpoint.AutoscalingSuspender](s.Updater)
	if !ok || s.Protective == nil {
		t.Skip("SKIPPED: no endpoint.Protector, or nothing to compare: ScaleProtectedSwap protects nothing")
	}
	return protected{s, p, s.snapshot(t, p), s.Protective()}
}

// inspect looks for as long as a read may lag, until good is true.
func (p protected) inspect(t testing.TB, when string, good func(endpoint.AutoscalingState) bool) (is endpoint.AutoscalingState) {
	t.Helper()
	for end := time.Now().Add(p.Settle); ; pause(time.Second) {
		var err error
		if is, err = p.InspectAutoscaling(t.Context(), p.taken); err != nil {
			t.Fatalf("Inspect: %v", err)
		}
		if good(is) {
			return is
		}
		if time.Now().After(end) {
			t.Errorf("Inspect %s = %+v", when, is)
			return is
		}
	}
}

func intact(is endpoint.AutoscalingState) bool { return is.Restored && len(is.Differences) == 0 }

// whole fails unless everything is as before, and Inspect says so.
func (p protected) whole(t testing.TB, when string) {
	t.Helper()
	p.inspect(t, when, intact)
	if diff := cmp.Diff(p.before, p.Protective()); diff != "" {
		t.Errorf("%s (-before +after):\n%s", when, diff)
	}
}

// protect waits until reads show what was done, as a rollout does: what does
// not show cannot be restored.
func (p protected) protect(t testing.TB) {
	t.Helper()
	if err := p.SuspendAutoscaling(t.Context(), p.taken); err != nil {
		t.Fatalf("Protect: %v", err)
	}
	pause(p.Settle)
}

func (p protected) restore(t testing.TB) {
	t.Helper()
	if err := p.RestoreAutoscaling(t.Context(), p.taken); err != nil {
		t.Fatalf("Restore: %v", err)
	}
}

func protects(t testing.TB, h Harness) {
	p := h.protector(t)
	p.inspect(t, "before anything was done", intact)
	for range 2 { // a rollout that died may protect and restore again
		if err := p.SuspendAutoscaling(t.Context(), p.taken); err != nil {
			t.Fatalf("Protect: %v", err)
		}
	}
	p.inspect(t, "while it is protected", func(is endpoint.AutoscalingState) bool {
		return is.Suspended && len(is.Foreign) == 0 && (!is.Restored || cmp.Equal(p.before, p.Protective()))
	})
	for range 2 {
		p.restore(t)
	}
	p.whole(t, "after it was restored")
}

// interruptions are what may befall one remote write.
var interruptions = []struct {
	name   string
	befall func(s Subject, cancel func())
}{
	{"its context ends", func(_ Subject, cancel func()) { cancel() }},
	{"it is lost", func(s Subject, _ func()) { s.Lose(false) }},
	{"its answer is lost", func(s Subject, _ func()) { s.Lose(true) }},
}

// interrupted lets something befall the nth write of call, and reports whether
// there was one. done is what call promises.
func (p protected) interrupted(
	t testing.TB, what string, n int, befall func(Subject, func()),
	call func(context.Context, endpoint.AutoscalingSnapshot) error, done func(endpoint.AutoscalingState) bool,
) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	writes := 0
	p.OnMutation(func() {
		if writes++; writes == n {
			befall(p.Subject, cancel)
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
	p.inspect(t, what, func(is endpoint.AutoscalingState) bool { return !is.Restored || cmp.Equal(p.before, p.Protective()) })
	return true
}

// survives interrupts Protect and Restore at each of their writes.
func survives(t testing.TB, h Harness) {
	if p := h.protector(t); p.OnMutation == nil || p.Lose == nil {
		t.Skip("SKIPPED: the subject cannot interrupt a call at one of its writes: whether protection survives that is not tested")
	}
	frozen := func(is endpoint.AutoscalingState) bool { return is.Suspended }
	points := 0
	for _, i := range interruptions {
		for _, again := range []bool{false, true} {
			for n := 1; !t.Failed(); n++ {
				p, what := h.protector(t), fmt.Sprintf("Protect, write %d: %s", n, i.name)
				if !p.interrupted(t, what, n, i.befall, p.SuspendAutoscaling, frozen) {
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
			p, what := h.protector(t), fmt.Sprintf("Restore, write %d: %s", n, i.name)
			p.protect(t)
			if !p.interrupted(t, what, n, i.befall, p.RestoreAutoscaling, intact) {
				break
			}
			points++
			p.restore(t)
			p.whole(t, what+"; after it was restored again")
		}
	}
	if t.Logf("%d interruptions", points); points == 0 && !t.Failed() {
		t.Skip("SKIPPED: protecting takes no writes here")
	}
}

// leavesForeign lets somebody else change one value after the other. What has
// to be there in the end is what their change alone comes to.
func leavesForeign(t testing.TB, h Harness) {
	p := h.protector(t)
	if len(p.Foreign) == 0 {
		t.Skip("SKIPPED: nobody else changes what is protected: whether that is left alone is not tested")
	}
	for i, f := range p.Foreign {
		alone := h.protector(t)
		done := alone.Foreign[i].Do()
		theirs := alone.Protective()
		if !done || cmp.Equal(alone.before, theirs) {
			t.Fatalf("%s: on an endpoint at rest it changes nothing that Subject.Protective shows", f.Name)
		}
		changed := func(is endpoint.AutoscalingState) bool { return !is.Restored && len(is.Differences) > 0 }
		names := len(alone.inspect(t, f.Name, changed).Differences)

		for _, early := range []bool{false, true} {
			p, what := h.protector(t), f.Name+", while it is protected"
			if early {
				what = f.Name + ", before it is protected"
				p.Foreign[i].Do()
				pause(p.Settle) // what no read shows yet cannot be left alone
			}
			if err := p.SuspendAutoscaling(t.Context(), p.taken); err != nil && (!early || !errors.Is(err, endpoint.ErrDrift)) {
				t.Fatalf("Protect (%s): %v", what, err)
			}
			refused := !early && !p.Foreign[i].Do()
			pause(p.Settle)
			if refused { // as long as it is protected
				p.restore(t)
				p.whole(t, what+", which was refused; after it was restored")
				continue
			}
			p.inspect(t, what, func(is endpoint.AutoscalingState) bool { return !is.Restored && len(is.Foreign) == names })
			p.restore(t)
			p.inspect(t, what+", and restored", func(is endpoint.AutoscalingState) bool {
				return !is.Restored && len(is.Foreign) == names && len(is.Differences) == names
			})
			if diff := cmp.Diff(theirs, p.Protective()); diff != "" {
				t.Errorf("%s, and restored: it is not what their change alone comes to (-want +got):\n%s", what, diff)
			}
		}
	}
}
