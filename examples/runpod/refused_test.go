package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ok, rest := rollouts["graphql in-place"], rollouts["rest in-place"]
	paused := func(e *runpodtest.Endpoint) { e.WorkersMin, e.WorkersMax = 0, 0 }
	for _, tt := range []struct {
		name  string
		args  []string
		edit  func(*runpodtest.Endpoint)
		setup func(*account)
		env   string
		says  []string

		unsent bool // not even a read
	}{
		{name: "empty key", args: ok, env: "RUNPOD_API_KEY= ", says: []string{"RUNPOD_API_KEY is empty", "export"}},
		{name: "wrong key", args: ok, env: "RUNPOD_API_KEY=rpa_other", says: []string{"401", "check RUNPOD_API_KEY"}},
		{name: "wrong job key", args: ok, env: "RUNPOD_JOB_KEY=rpa_other", says: []string{"RUNPOD_JOB_KEY"}},
		{name: "unknown endpoint", args: []string{"-api", "graphql", "-endpoint", "nosuchendpoint", "-strategy", "in-place", "-template", green}, says: []string{"runpod/nosuchendpoint", "not found", "check the ids"}},
		{name: "impossible endpoint", args: []string{"-api", "graphql", "-endpoint", "a/b", "-strategy", "in-place", "-template", green}, says: []string{"a/b"}},
		{name: "empty endpoint", args: []string{"-api", "graphql", "-endpoint", "", "-strategy", "in-place", "-template", green}, says: []string{"-endpoint is empty"}},
		{name: "same artifact", args: ok, says: []string{"same artifact", "a tag of its own"}, setup: func(a *account) {
			a.Do(func(st *runpodtest.State) { st.EditTemplate(green, func(t *runpodtest.Template) { t.Image = v1 }) })
		}},
		{name: "same image", args: []string{"-endpoint", id, "-strategy", "in-place", "-image", "docker.io/" + v1}, says: []string{"same artifact"}},
		{name: "missing template", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "in-place", "-template", "nosuchtemplate"}, says: []string{"nosuchtemplate", "not found", "check the ids"}},
		{name: "foreign template", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "in-place", "-template", "foreign000"}, says: []string{"foreign000"}},
		{name: "template of a pod", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "in-place", "-template", "podtempl00"}, says: []string{"podtempl00", "is for pods"}},
		{name: "templates of which none is live", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "alternating-template", "-templates", green + ",other00000", "-image", "acme/sdxl:v3"}, says: []string{"neither"}},
		{name: "min above max", args: rollouts["graphql flush-to-zero"], edit: func(e *runpodtest.Endpoint) { e.WorkersMin, e.WorkersMax = 5, 2 }, says: []string{"workers.min of 5", "workers.max of 2"}},
		{name: "paused", args: ok, edit: paused, says: []string{"paused", "-allow-paused"}},
		{name: "mutable tag", args: []string{"-endpoint", id, "-strategy", "in-place", "-image", "acme/sdxl:latest"}, says: []string{"-allow-mutable-tag"}},
		{name: "shared template", args: ok, says: []string{"-allow-shared-template"}, setup: func(a *account) {
			a.AddEndpoint(runpodtest.Endpoint{ID: "other000000000", TemplateID: green, WorkersMax: 1})
		}},
		{name: "no quota to come back", args: rollouts["graphql flush-to-zero"], says: []string{"quota"}, setup: func(a *account) {
			a.AddEndpoint(runpodtest.Endpoint{ID: "other000000000", TemplateID: blue, WorkersMax: 9})
		}},
		{name: "not ready in time", args: with(ok, "-timeout", "100ms"), says: []string{"not ready", "-timeout"}, setup: func(a *account) {
			a.Do(func(st *runpodtest.State) {
				st.Behaviour.StuckActive = true
				st.EditTemplate(blue, func(t *runpodtest.Template) { t.Image = "acme/sdxl:v3" })
			})
		}},

		{name: "rest: wrong key", args: rest, env: "RUNPOD_API_KEY=rpa_other", says: []string{"401", "check RUNPOD_API_KEY"}},
		{name: "rest: wrong job key", args: rest, env: "RUNPOD_JOB_KEY=rpa_other", says: []string{"RUNPOD_JOB_KEY"}},
		{name: "rest: unknown endpoint", args: with(rest, "-endpoint", "nosuchendpoint"), says: []string{"runpod/nosuchendpoint", "not found", "check the ids"}},
		{name: "rest: same image", args: with(rest, "-image", "docker.io/"+v1), says: []string{"same artifact", "a tag of its own"}},
		{name: "rest: mutable tag", args: with(rest, "-image", "acme/sdxl:latest"), says: []string{"-allow-mutable-tag"}},
		{name: "rest: paused", args: rest, edit: paused, says: []string{"paused", "-allow-paused"}},
		{name: "rest: min above max", args: rollouts["rest flush-to-zero"], edit: func(e *runpodtest.Endpoint) { e.WorkersMin, e.WorkersMax = 5, 2 }, says: []string{"workers.min of 5", "workers.max of 2"}},
		{name: "rest: bad url", args: with(rest, "-rest-url", "api.runpod.io"), says: []string{"-rest-url"}},

		{name: "unknown flag", args: with(ok, "-nosuchflag"), says: []string{"-nosuchflag", "-h lists the flags"}},
		{name: "extra argument", args: with(ok, "surplus"), says: []string{`"surplus"`}},
		{name: "no strategy", args: []string{"-api", "graphql", "-endpoint", id, "-template", green}, says: []string{"-strategy", "in-place"}},
		{name: "unknown strategy", args: with(ok, "-strategy", "blue-green"), says: []string{"blue-green", "flush-to-zero"}},
		{name: "no target", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "in-place"}, says: []string{"-template", "-image"}},
		{name: "empty target", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "in-place", "-template", ""}, says: []string{"-template is empty"}},
		{name: "template and image", args: with(ok, "-image", v2), says: []string{"-template and -image"}},
		{name: "template and templates", args: with(ok, "-templates", "a,b"), says: []string{"-template and -templates"}},
		{name: "templates in-place", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "in-place", "-templates", "a,b", "-image", v2}, says: []string{"-templates has no meaning"}},
		{name: "one template to swap", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "alternating-template", "-templates", blue, "-image", v2}, says: []string{"-templates " + blue}},
		{name: "equal templates", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "alternating-template", "-templates", blue + "," + blue, "-image", v2}, says: []string{"two different"}},
		{name: "swap without image", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "alternating-template", "-templates", blue + "," + green}, says: []string{"-image"}},
		{name: "swap to a template", args: []string{"-api", "graphql", "-endpoint", id, "-strategy", "alternating-template", "-template", green}, says: []string{"-templates A,B"}},
		{name: "drain in-place", args: with(ok, "-drain", "1s"), says: []string{"-drain"}},
		{name: "rest: template", args: []string{"-api", "rest", "-endpoint", id, "-strategy", "in-place", "-template", green}, says: []string{"-api rest", "-image", "-api graphql"}, unsent: true},
		{name: "rest: flush to a template", args: with(rollouts["graphql flush-to-zero"], "-api", "rest", "-plan"), says: []string{"-api rest", "-api graphql"}, unsent: true},
		{name: "rest: templates", args: with(rollouts["graphql alternating-template"], "-api", "rest"), says: []string{"-api rest", "-image", "-api graphql"}, unsent: true},
		{name: "rest: resume with templates", args: with(rollouts["graphql alternating-template"], "-api", "rest", "-resume", "-journal", "x"), says: []string{"-api graphql"}, unsent: true},
		{name: "unknown api", args: with(ok, "-api", "soap"), says: []string{"-api", "soap"}},
		{name: "unknown proof", args: with(ok, "-prove", "faith"), says: []string{"-prove"}},
		{name: "unknown policy", args: with(ok, "-resume-policy", "sideways"), says: []string{"-resume-policy"}},
		{name: "unknown cancel", args: with(ok, "-on-cancel", "panic"), says: []string{"-on-cancel"}},
		{name: "negative timeout", args: with(ok, "-timeout", "-1s"), says: []string{"-timeout", "negative"}},
		{name: "negative bake", args: with(ok, "-bake", "-1s"), says: []string{"-bake"}},
		{name: "negative interval", args: with(ok, "-interval", "-1s"), says: []string{"-interval"}},
		{name: "negative settle", args: with(ok, "-settle", "-1s"), says: []string{"-settle"}},
		{name: "negative drain", args: with(ok, "-drain", "-1s"), says: []string{"-drain"}},
		{name: "no duration", args: with(ok, "-bake", "10"), says: []string{"-bake", "30s"}},
		{name: "plan and resume", args: with(ok, "-plan", "-resume"), says: []string{"-plan and -resume"}},
		{name: "resume without journal", args: with(ok, "-resume"), says: []string{"-journal"}},
		{name: "explain without journal", args: with(ok, "-explain"), says: []string{"-journal"}},
		{name: "resume with both targets", args: with(ok, "-image", v2, "-resume", "-journal", "x"), says: []string{"-template and -image"}},
		{name: "empty journal", args: with(ok, "-journal", ""), says: []string{"-journal is empty"}},
		{name: "journal that is a file", args: with(ok, "-journal", file), says: []string{file, "name a directory"}},
		{name: "journal below a file", args: with(ok, "-journal", filepath.Join(file, "below")), says: []string{file, "name a directory"}},
		{name: "bad url", args: with(ok, "-graphql-url", "api.runpod.io"), says: []string{"-graphql-url"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, func(e *runpodtest.Endpoint) {
				if tt.edit != nil {
					tt.edit(e)
				}
			})
			a.AddTemplate(runpodtest.Template{ID: "foreign000", Image: "acme/sdxl:v3", Foreign: true, Public: true})
			a.AddTemplate(runpodtest.Template{ID: "podtempl00", Image: "acme/sdxl:v3", Pod: true})
			if tt.setup != nil {
				tt.setup(a)
			}
			cmd := a.command(tt.args...)
			if tt.env != "" {
				cmd.Env = append(cmd.Env, tt.env)
			}
			cmd.Dir = t.TempDir()
			r := start(t, cmd).Exits(2)
			r.Says(&r.Stderr, tt.says...)
			r.Says(&r.Stderr, "runpod: ", "next: ")
			if out := r.Stdout.String(); out != "" {
				t.Errorf("stdout: %s", out)
			}
			if n := len(a.Requests()); tt.unsent && n != 0 {
				t.Errorf("it sent %d requests", n)
			}
			if m := a.Mutations(); len(m) != 0 {
				t.Errorf("it sent %d mutations, the first %v", len(m), m[0].Fields)
			}
		})
	}
}

func TestUnreadableJournal(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("nothing is unreadable to root")
	}
	a := newAccount(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	r := a.run(with(rollouts["rest in-place"], "-journal", dir)...).Exits(2)
	r.Says(&r.Stderr, dir, "name a directory")
	if n := len(a.Mutations()); n != 0 {
		t.Errorf("%d mutations", n)
	}
}

func TestForeignJournal(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.AddTemplate(runpodtest.Template{ID: "other00000", Image: "acme/sdxl:v3"})
	a.AddEndpoint(runpodtest.Endpoint{ID: "other000000000", TemplateID: "other00000", WorkersMin: 1, WorkersMax: 1})
	dir := t.TempDir()
	a.run(with(rollouts["rest in-place"], "-journal", dir)...).Exits(0)
	n := len(a.Mutations())
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Rename(files[0], strings.Replace(files[0], id, "other000000000", 1)); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{{"-image", v2, "-strategy", "in-place"}, {"-resume"}, {"-explain"}} {
		r := a.run(with(more, "-endpoint", "other000000000", "-journal", dir)...).Exits(2)
		r.Says(&r.Stderr, "journal of another endpoint", "runpod/"+id, "next: ")
	}
	if got := len(a.Mutations()); got != n {
		t.Errorf("%d mutations", got-n)
	}
}

// A rollout that another process drives is refused with the name of that one.
func TestBusy(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	dir := t.TempDir()
	first := a.stuck("-journal", dir)
	for _, more := range []string{"-resume", "-on-cancel=rollback"} {
		r := a.run(with(rollouts["rest in-place"], "-journal", dir, more)...).Exits(2)
		r.Says(&r.Stderr, "held by", fmt.Sprintf("process %d", first.Cmd.Process.Pid), "wait until")
	}
	first.Signal(os.Interrupt)
	first.Exits(1)
}
