// Package promise runs suites of promises: what an interface's doc comments
// say of everything that implements it, one subtest each.
package promise

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// Promise is one thing that every implementation has to keep.
type Promise[H any] struct {
	// Name is the subtest's.
	Name string
	// Why says what goes wrong for a user where it is not kept. It is shown
	// when the subtest fails.
	Why string
	// Keep fails t if it is not kept by what h makes.
	Keep func(t testing.TB, h H)
}

// Suite is all that is promised of one interface.
type Suite[H any] struct {
	Promises []Promise[H]
	// Bubble runs each subtest in a testing/synctest bubble of its own.
	Bubble bool
}

// Run runs one subtest for each promise.
func (s Suite[H]) Run(t *testing.T, h H) {
	t.Helper()
	for _, p := range s.Promises {
		t.Run(p.Name, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Log("why it matters: " + p.Why)
				}
			}()
			s.in(t, func(t *testing.T) {
				defer named(t, p.Name)
				p.Keep(t, h)
			})
		})
	}
}

// named makes a panic a failure that names the promise in question, so that the
// others are still tested.
func named(t testing.TB, promise string) {
	if v := recover(); v != nil {
		t.Errorf("panic at the promise %q: %v\n%s", promise, v, debug.Stack())
	}
}

// Broken returns the names of the promises that h does not keep, without
// failing t: it is how the suite itself is tested.
func (s Suite[H]) Broken(t *testing.T, h H) []string {
	t.Helper()
	var names []string
	for _, p := range s.Promises {
		t.Run(p.Name, func(t *testing.T) {
			s.in(t, func(t *testing.T) {
				r := &recorder{TB: t}
				done := make(chan struct{})
				go func() { // which Fatal may end
					defer close(done)
					defer named(r, p.Name)
					p.Keep(r, h)
				}()
				<-done
				if r.Failed() {
					names = append(names, p.Name)
				}
				for _, line := range slices.Compact(r.text) {
					t.Log(line)
				}
			})
		})
	}
	return names
}

func (s Suite[H]) in(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if !s.Bubble {
		f(t)
		return
	}
	skipped := false
	synctest.Test(t, func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		f(t)
	})
	if skipped { // the bubble keeps that to itself
		t.SkipNow()
	}
}

// recorder takes failures down instead of failing the test that it wraps.
type recorder struct {
	testing.TB

	mu     sync.Mutex
	failed bool
	text   []string
}

func (r *recorder) Helper() {}

func (r *recorder) note(failed bool, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	r.text = append(r.text, line)
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Log(args ...any)              { r.note(false, fmt.Sprint(args...)) }
func (r *recorder) Logf(f string, args ...any)   { r.note(false, fmt.Sprintf(f, args...)) }
func (r *recorder) Error(args ...any)            { r.note(true, fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, args ...any) { r.note(true, fmt.Sprintf(f, args...)) }
func (r *recorder) Fail()                        { r.note(true, "failed") }

func (r *recorder) FailNow() {
	r.Fail()
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(f string, args ...any) {
	r.Errorf(f, args...)
	runtime.Goexit()
}

func (r *recorder) SkipNow() { runtime.Goexit() }

func (r *recorder) Skip(args ...any) {
	r.Log(args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(f string, args ...any) {
	r.Logf(f, args...)
	runtime.Goexit()
}
