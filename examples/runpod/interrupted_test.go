package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/internal/clitest"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// stuck starts a rollout that does not get any further than waiting for its image.
func (a *account) stuck(more ...string) *clitest.Run {
	r := a.run(with(more, "-endpoint", id, "-strategy", "in-place", "-image", "acme/sdxl:stuck")...)
	r.Until("await serving: ")
	return r
}

func TestSignals(t *testing.T) {
	t.Parallel()
	t.Run("first", func(t *testing.T) {
		t.Parallel()
		for i, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
			a := newAccount(t)
			before := a.protective()
			r := a.stuck("-api", apis[i%2], "-journal", t.TempDir())
			r.Signal(s)
			r.Exits(1).Says(&r.Stdout, "rolled back")
			r.Says(&r.Stderr, s.String(), "going back")
			a.is(before)
		}
	})
	t.Run("without workers", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		before := a.protective()
		started := make(chan *clitest.Run, 1)
		a.OnMutation(func(int, string) runpodtest.Fault {
			return runpodtest.Fault{Then: func() {
				if a.Endpoint(id).WorkersMax == 0 {
					select {
					case r := <-started:
						r.Signal(os.Interrupt)
					default:
					}
				}
			}}
		})
		r := a.run(rollouts["rest flush-to-zero"]...)
		started <- r
		r.Exits(1).Says(&r.Stdout, "rolled back")
		a.is(before)
	})
	t.Run("before anything was changed", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.Fail(runpodtest.Call{Op: runpodtest.Query, Times: -1}, runpodtest.HTTPStatus(503))
		r := a.run(rollouts["rest in-place"]...)
		r.Until("cannot be resumed")
		for range 200 {
			if len(a.Requests()) > 0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		r.Signal(os.Interrupt)
		r.Exits(1).Says(&r.Stderr, "nothing was changed")
		if n := len(a.Mutations()); n != 0 {
			t.Errorf("%d mutations", n)
		}
	})
	t.Run("second", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		dir := t.TempDir()
		before := a.protective()
		r := a.stuck("-journal", dir)
		a.OnMutation(func(int, string) runpodtest.Fault { return runpodtest.RateLimited(time.Minute) })
		r.Signal(os.Interrupt)
		r.Until("[back 1/")
		at := time.Now()
		r.Signal(os.Interrupt)
		r.Exits(3).Says(&r.Stderr, "stopping at once", "remains: update to image "+v1, "resume with: "+binary, "-journal "+dir, " -resume\n")
		if took := time.Since(at); took > 2*time.Second {
			t.Errorf("it took %v to stop", took)
		}
		a.OnMutation(nil)
		a.run("-endpoint", id, "-journal", dir, "-resume").Exits(1)
		a.is(before)
	})
	t.Run("detach", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		dir := t.TempDir()
		before := a.protective()
		r := a.run("-endpoint", id, "-strategy", "in-place", "-image", "acme/sdxl:v3", "-bake", "1s", "-journal", dir, "-on-cancel", "detach")
		r.Until("] bake: ")
		n := len(a.Mutations())
		r.Signal(os.Interrupt)
		r.Exits(3).Says(&r.Stdout, "detached")
		r.Says(&r.Stderr, "remains: ", "resume with: ", "-resume-policy forward")
		if got := len(a.Mutations()); got != n {
			t.Errorf("%d mutations after detaching", got-n)
		}
		refused := a.run(with(rollouts["rest in-place"], "-journal", dir)...).Exits(2)
		refused.Says(&refused.Stderr, "unfinished rollout", "resume with: ")

		want := before
		want.Image = "acme/sdxl:v3"
		done := a.run("-endpoint", id, "-journal", dir, "-resume", "-resume-policy", "forward").Exits(0)
		done.Says(&done.Stdout, "succeeded")
		a.is(want)
	})
}

func TestQuotaAtRestore(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			quotaAtRestore(t, rollouts[api+" flush-to-zero"])
		})
	}
}

func quotaAtRestore(t *testing.T, rollout []string) {
	t.Helper()
	a := newAccount(t, func(e *runpodtest.Endpoint) { e.WorkersMin = 0 })
	dir := t.TempDir()
	before := a.protective()
	a.OnMutation(func(int, string) runpodtest.Fault {
		all := a.Mutations()
		fields := all[len(all)-1].Fields
		scales := slices.Contains(fields, "workers") || slices.Contains(fields, "updateEndpointWorkersMax")
		if scales && a.Endpoint(id).WorkersMax == 0 {
			return runpodtest.Refused("Max workers across all endpoints must not exceed your workers quota (5).")
		}
		return runpodtest.Fault{}
	})
	args := with(rollout, "-journal", dir)
	r := a.run(args...).Exits(3)
	r.Says(&r.Stdout, "incomplete")
	r.Says(&r.Stderr, "remains: set workers.max to 3", "quota", "resume with: ", " -resume\n")
	for _, word := range args {
		r.Says(&r.Stderr, word)
	}
	explained := a.run("-endpoint", id, "-journal", dir, "-explain").Exits(0)
	explained.Says(&explained.Stdout, "flush-to-zero of runpod/"+id, "remains: set workers.max to 3", "next: resume")

	a.OnMutation(nil)
	a.run(with(args, "-resume")...).Exits(1)
	a.is(before)
}

// A program that is killed while a write is on its way leaves a journal from
// which the same command line with -resume brings all back.
func TestKillAndResume(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		write int // is applied, and its answer lost with the program
		args  []string
	}{
		"rest in-place":                        {1, []string{"-strategy", "in-place", "-image", "acme/sdxl:v3"}},
		"rest flush-to-zero":                   {2, []string{"-strategy", "flush-to-zero", "-image", v2}},
		"rest flush-to-zero, later":            {4, []string{"-strategy", "flush-to-zero", "-image", v2}},
		"graphql in-place":                     {1, []string{"-api", "graphql", "-strategy", "in-place", "-image", "acme/sdxl:v3"}},
		"graphql flush-to-zero, lowering min":  {1, []string{"-api", "graphql", "-strategy", "flush-to-zero", "-template", green}},
		"graphql flush-to-zero, lowering max":  {2, []string{"-api", "graphql", "-strategy", "flush-to-zero", "-template", green}},
		"graphql flush-to-zero, updating":      {3, []string{"-api", "graphql", "-strategy", "flush-to-zero", "-template", green}},
		"graphql flush-to-zero, restoring max": {4, []string{"-api", "graphql", "-strategy", "flush-to-zero", "-template", green}},
		"graphql flush-to-zero, restoring min": {5, []string{"-api", "graphql", "-strategy", "flush-to-zero", "-template", green}},
		"alternating-template, staging":        {1, []string{"-api", "graphql", "-strategy", "alternating-template", "-templates", blue + "," + green, "-image", "acme/sdxl:v3"}},
		"alternating-template, updating":       {2, []string{"-api", "graphql", "-strategy", "alternating-template", "-templates", blue + "," + green, "-image", "acme/sdxl:v3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			dir := t.TempDir()
			before := a.protective()
			if strings.HasPrefix(name, "alternating-template") {
				before.Idle = "acme/sdxl:v3" // staged, and without effect there
			}
			args := with(tt.args, "-endpoint", id, "-journal", dir)
			applied, dead := make(chan struct{}), make(chan struct{})
			a.OnMutation(func(n int, _ string) runpodtest.Fault {
				if n != tt.write {
					return runpodtest.Fault{}
				}
				return runpodtest.Fault{Then: func() {
					close(applied)
					<-dead
				}}
			})
			r := a.run(args...)
			<-applied
			r.Signal(os.Kill)
			<-r.Done
			close(dead)

			other := a.run("-endpoint", "other000000000", "-journal", dir, "-resume").Exits(2)
			other.Says(&other.Stderr, "runpod/"+id, "name that endpoint")
			explained := a.run("-endpoint", id, "-journal", dir, "-explain").Exits(0)
			explained.Says(&explained.Stdout, "about to write", "next: resume: find out whether")
			refused := a.run(args...).Exits(2)
			refused.Says(&refused.Stderr, "unfinished rollout", "resume with: "+binary)
			again := a.run(with(args, "-resume")...).Exits(1)
			again.Says(&again.Stdout, "rolled back")
			a.is(before)
			nothing := a.run(with(args, "-resume")...).Exits(0)
			nothing.Says(&nothing.Stdout, "nothing to resume")
		})
	}
}

// A rollout is resumed over the API that began it. The other one does not know
// the revisions of its journal, says so, and changes nothing.
func TestResumeOverOtherAPI(t *testing.T) {
	t.Parallel()
	for i, api := range apis {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			dir := t.TempDir()
			before := a.protective()
			begun := with(rollouts[api+" in-place"], "-journal", dir)
			r := a.run(with(begun, "-bake", "1m", "-on-cancel", "detach")...)
			r.Until("] bake: ")
			r.Signal(os.Interrupt)
			r.Exits(3)
			n := len(a.Mutations())

			other := a.run("-api", apis[1-i], "-endpoint", id, "-journal", dir, "-resume").Exits(2)
			other.Says(&other.Stderr, "the rollout began on one of kind", "go on with the kind that it began with")
			if got := len(a.Mutations()); got != n {
				t.Errorf("%d mutations over the other API", got-n)
			}
			a.run(with(begun, "-resume")...).Exits(1)
			a.is(before)
		})
	}
}

// What other people do meanwhile is left alone.
func TestOthers(t *testing.T) {
	t.Parallel()
	t.Run("a bound", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		r := a.run(with(rollouts["rest in-place"], "-bake", "300ms")...)
		r.Until("bake: ")
		a.Do(func(st *runpodtest.State) { st.EditEndpoint(id, func(e *runpodtest.Endpoint) { e.WorkersMax = 5 }) })
		r.Exits(0).Says(&r.Stdout, "succeeded", "drift: workers.max: found 5, left alone")
		a.is(protective{blue, v2, 1, 5, v2})
	})
	t.Run("the template, over GraphQL", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		r := a.stuck("-api", "graphql")
		a.Do(func(st *runpodtest.State) { st.EditEndpoint(id, func(e *runpodtest.Endpoint) { e.TemplateID = green }) })
		r.Exits(1).Says(&r.Stdout, "superseded", green)
		a.is(protective{green, v2, 1, 3, v2})
	})
}

// One lost answer is nothing that a person would have to hear of.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for name, args := range rollouts {
		for _, applied := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, applied %v", name, applied), func(t *testing.T) {
				t.Parallel()
				a := newAccount(t)
				a.Fail(runpodtest.Call{Op: runpodtest.Mutation, Nth: 2}, runpodtest.Dropped(applied))
				a.Fail(runpodtest.Call{Op: runpodtest.Mutation}, runpodtest.Dropped(applied))
				a.run(args...).Exits(0)
			})
		}
	}
}

// A reader that leaves must not kill a rollout.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	cmd := a.command(with(rollouts["rest in-place"], "-json")...)
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = pw
	r := start(t, cmd)
	pw.Close()
	pr.Close()
	r.Exits(0)
	a.is(protective{blue, v2, 1, 3, v2})
}
