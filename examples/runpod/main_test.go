package main

import (
	"bufio"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestSuccess(t *testing.T) {
	t.Parallel()
	for name, args := range rollouts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			api, strategy, _ := strings.Cut(name, " ")
			image := v2
			if strategy == "alternating-template" {
				image = "acme/sdxl:v3"
			}
			before := a.protective()

			plan := a.run(with(args, "-plan")...).Exits(0)
			plan.Says(&plan.Stdout, strategy+" of runpod/"+id, "forward:", "back, if anything fails", image)
			if n := len(a.Mutations()); n != 0 {
				t.Fatalf("%d mutations for a plan", n)
			}

			r := a.run(with(args, "-journal", t.TempDir(), "-bake", "20ms", "-timeout", "1m")...).Exits(0)
			r.Says(&r.Stdout, "succeeded: runpod/"+id, image, "workers.max=3")
			r.Says(&r.Stderr, "[1/", "✓")
			want := before
			want.Image = image
			if api == "graphql" {
				want.Template, want.Idle = green, image
			}
			a.is(want)

			n := len(a.Mutations())
			again := a.run(args...)
			if strategy == "alternating-template" {
				// The other template is the idle one now: what runs would not change.
				again.Exits(2).Says(&again.Stderr, "same artifact")
			} else {
				again.Exits(0).Says(&again.Stdout, "no-op")
			}
			again.Says(&again.Stderr, "cannot be resumed") // no -journal
			if got := len(a.Mutations()); got != n {
				t.Errorf("%d mutations for nothing", got-n)
			}
		})
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		a := newAccount(t)
		a.run("-api", api, "-endpoint", id, "-strategy", "in-place", "-image", "acme/sdxl:v3").Exits(0)
		a.is(protective{blue, "acme/sdxl:v3", 1, 3, v2})
		linked := a.Endpoint(id).TemplateID
		if got := a.Template(linked).Env["SECRET"]; got != "value-of-secret" {
			t.Errorf("%s: the environment is lost: %q", api, got)
		}
		// Over REST nobody else's template is written.
		if own := linked != blue; own != (api == "rest") {
			t.Errorf("%s: linked to template %s", api, linked)
		}
	}
}

func TestBoot(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]protective{"rest in-place": {blue, v2, 0, 0, v2}, "graphql in-place": {green, v2, 0, 0, v2}} {
		a := newAccount(t, func(e *runpodtest.Endpoint) { e.WorkersMin, e.WorkersMax = 0, 0 })
		r := a.run(with(rollouts[name], "-allow-paused", "-prove", "boot")...).Exits(0)
		r.Says(&r.Stdout, "proven by workers")
		a.is(want)
	}
}

func TestRolledBack(t *testing.T) {
	t.Parallel()
	for name, more := range map[string][]string{
		"rest in-place":         {"-strategy", "in-place", "-image", "acme/sdxl:bad"},
		"rest flush-to-zero":    {"-strategy", "flush-to-zero", "-image", "acme/sdxl:bad"},
		"graphql in-place":      {"-api", "graphql", "-strategy", "in-place", "-image", "acme/sdxl:bad"},
		"graphql flush-to-zero": {"-api", "graphql", "-strategy", "flush-to-zero", "-image", "acme/sdxl:bad"},
		"alternating-template":  {"-api", "graphql", "-strategy", "alternating-template", "-templates", green + ", " + blue, "-image", "acme/sdxl:bad"},
		"time-out":              {"-strategy", "in-place", "-image", "acme/sdxl:stuck", "-timeout", "300ms"},
		"jobs that do not end":  {"-strategy", "flush-to-zero", "-image", v2, "-drain", "200ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			want := a.protective()
			if name == "alternating-template" {
				want.Idle = "acme/sdxl:bad" // staged, and without effect there
			}
			if name == "jobs that do not end" {
				a.AddJobs(id, time.Hour)
			}
			r := a.run(with(more, "-endpoint", id, "-journal", t.TempDir())...).Exits(1)
			r.Says(&r.Stdout, "rolled back: runpod/"+id, v1, "workers.min=1")
			r.Says(&r.Stderr, "going back", "rolled back: ")
			a.is(want)
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		name    string
		args    []string
		exit    int
		kinds   []string // the first and the last
		outcome string
	}{
		{"success", with(rollouts["rest flush-to-zero"], "-journal", dir), 0, []string{"plan", "end"}, "succeeded"},
		{"rolled back", []string{"-endpoint", id, "-strategy", "in-place", "-image", "acme/sdxl:bad"}, 1, []string{"plan", "end"}, "rolled back"},
		{"refused", []string{"-api", "graphql", "-endpoint", id, "-strategy", "in-place", "-template", "nosuchtemplate"}, 2, []string{"end", "end"}, "refused"},
		{"usage", []string{"-endpoint", id}, 2, []string{"end", "end"}, "refused"},
		{"plan", with(rollouts["rest in-place"], "-plan"), 0, []string{"plan", "plan"}, ""},
		{"explain", []string{"-endpoint", id, "-explain", "-journal", t.TempDir()}, 0, []string{"explain", "explain"}, ""},
		{"nothing", []string{"-endpoint", id, "-resume", "-journal", filepath.Join(t.TempDir(), "none")}, 0, []string{"end", "end"}, "nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			r := a.run(with(tt.args, "-json")...).Exits(tt.exit)
			type line struct {
				Kind, Outcome, Error string
				Exit                 *int
				Plan                 json.RawMessage
			}
			var all []line
			for s := bufio.NewScanner(strings.NewReader(r.Stdout.String())); s.Scan(); {
				var l line
				if err := json.Unmarshal(s.Bytes(), &l); err != nil {
					t.Fatalf("%q: %v", s.Text(), err)
				}
				if l.Kind != "poll" || len(all) > 0 { // before the rollout begins
					all = append(all, l)
				}
			}
			if len(all) == 0 {
				t.Fatalf("no lines; stderr:\n%s", &r.Stderr)
			}
			first, last := all[0], all[len(all)-1]
			if diff := cmp.Diff(tt.kinds, []string{first.Kind, last.Kind}); diff != "" {
				t.Errorf("kinds (-want +got):\n%s", diff)
			}
			if last.Outcome != tt.outcome || last.Kind == "end" && (last.Exit == nil || *last.Exit != tt.exit || (last.Error != "") != (tt.exit != 0)) {
				t.Errorf("last line %+v", last)
			}
			if first.Kind == "plan" && len(first.Plan) == 0 {
				t.Error("the plan is missing")
			}
			if tt.exit != 0 && r.Stderr.String() == "" {
				t.Error("no error on stderr")
			}
		})
	}
}
