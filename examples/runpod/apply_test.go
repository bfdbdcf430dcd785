package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// planned has the program make a plan, and returns the file with it.
func (a *account) planned(t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.json")
	plan := a.run(with(args, "-plan", "-json")...).Exits(0)
	if err := os.WriteFile(file, []byte(plan.Stdout.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The plan that was printed is the plan that runs, by the flags that say where.
func TestApply(t *testing.T) {
	t.Parallel()
	for name, args := range rollouts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, strategy, _ := strings.Cut(name, " ")
			a := newAccount(t)
			file, dir := a.planned(t, with(args, "-bake", "20ms")...), t.TempDir()
			where := []string{"-api", api, "-endpoint", id, "-journal", dir, "-apply", file}
			r := a.run(with(where, "-strategy", strategy, "-bake", "20ms")...).Exits(0)
			r.Says(&r.Stdout, "succeeded")
			n := len(a.Mutations())
			again := a.run(where...).Exits(2)
			again.Says(&again.Stderr, "next: ")
			if got := len(a.Mutations()); got != n {
				t.Errorf("%d mutations when it was applied again", got-n)
			}
		})
	}
}

// What moved since is named, old and new; flags that disagree are refused unsent.
func TestApplyRefused(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	file := a.planned(t, rollouts["rest in-place"]...)
	where := []string{"-endpoint", id, "-apply", file}
	n := len(a.Requests())
	for _, tt := range []struct{ args, says []string }{
		{[]string{"-strategy", "flush-to-zero"}, []string{"-strategy flush-to-zero", "in-place"}},
		{[]string{"-image", "acme/sdxl:v3"}, []string{"-image acme/sdxl:v3", v2}},
		{[]string{"-bake", "1m"}, []string{"-bake 1m"}},
		{[]string{"-approve", "go"}, []string{"-approve"}},
		{[]string{"-apply", filepath.Join(t.TempDir(), "none")}, []string{"-apply", "no such file"}},
		{[]string{"-plan"}, []string{"-plan and -apply"}},
	} {
		r := a.run(with(where, tt.args...)...).Exits(2)
		r.Says(&r.Stderr, append(tt.says, "next: ")...)
	}
	if got := len(a.Requests()); got != n {
		t.Errorf("%d requests for what is refused by its flags", got-n)
	}
	a.Do(func(st *runpodtest.State) { st.EditEndpoint(id, func(e *runpodtest.Endpoint) { e.WorkersMax = 5 }) })
	r := a.run(where...).Exits(2)
	r.Says(&r.Stderr, "workers.max was 3, is 5", "make a new plan")
	if m := a.Mutations(); len(m) != 0 {
		t.Errorf("%d mutations", len(m))
	}
}

// In CI: what a killed run left is dealt with, and then the rollout runs.
func TestResumeThen(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rest flush-to-zero", "graphql in-place"} {
		a, dir := newAccount(t), t.TempDir()
		args := with(rollouts[name], "-journal", dir, "-resume", "-then")
		a.run(args...).Exits(0) // there is nothing to resume
		b, dir2 := newAccount(t), t.TempDir()
		api, _, _ := strings.Cut(name, " ")
		killed := start(t, b.command("-api", api, "-endpoint", id, "-strategy", "in-place", "-image", "acme/sdxl:stuck", "-journal", dir2))
		killed.Until("await serving")
		if err := killed.Cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-killed.Done
		r := b.run(with(rollouts[name], "-journal", dir2, "-resume", "-then")...).Exits(0)
		r.Says(&r.Stdout, "before that: rolled back", "succeeded")
	}
}

// A rollout waits for a person, who decides from another process.
func TestApproval(t *testing.T) {
	t.Parallel()
	for verb, status := range map[string]int{"approve:go": 0, "reject": 1, "abort": 1} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			a, dir := newAccount(t), t.TempDir()
			waiting := start(t, a.command(with(rollouts["rest in-place"], "-journal", dir, "-approve", "go=1h")...))
			waiting.Until("go")
			decide := []string{"-endpoint", id, "-journal", dir, "-by", "alice", "-decide"}
			for range 200 {
				if r := start(t, a.command(append(decide, verb)...)); func() bool { <-r.Done; return r.Cmd.ProcessState.ExitCode() == 0 }() {
					break
				}
			}
			waiting.Exits(status)
			late := a.run(append(decide, verb)...).Exits(2)
			late.Says(&late.Stderr, "nothing to decide", "next: ")
		})
	}
}

// What means nothing for what is asked is refused without a request.
func TestFlagsThatMeanNothing(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	for _, tt := range [][]string{
		{"-resume-policy", "forward"},
		{"-then"},
		{"-by", "alice"},
		{"-decide", "approve", "-journal", t.TempDir()},
		{"-decide", "perhaps", "-by", "alice", "-journal", t.TempDir()},
		{"-decide", "approve", "-by", "alice"},
		{"-approve", "go=soon"},
		{"-approve", "=1h"},
		{"-approve", "go=-1h"},
		{"-explain", "-plan", "-journal", t.TempDir()},
	} {
		r := a.run(with(rollouts["rest in-place"], tt...)...).Exits(2)
		r.Says(&r.Stderr, "next: ")
	}
	if n := len(a.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	h := a.run("-h").Exits(0)
	h.Says(&h.Stdout, "exit status:", "environment:", "RUNPOD_API_KEY", "NO_COLOR", "examples:", "-resume -then", "the journal:")
	for line := range strings.Lines(h.Stdout.String()) {
		if len([]rune(line)) > 110 {
			t.Errorf("a line of %d: %s", len(line), line)
		}
	}
	v := a.run("-version").Exits(0)
	v.Says(&v.Stdout, "of changeover", "go1.")
	if n := len(a.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}
