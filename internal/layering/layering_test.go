// Package layering holds the test that keeps imports pointing one way and
// every dependency a decision.
package layering

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/changeover-dev/changeover"
)

// rule says what the code of a package that is not a test may import besides
// the standard library.
type rule struct {
	own   []string // packages of this module
	third []string // modules of others, with everything below
	tests []string // modules of others that tests may import beside those
	kit   bool     // a test kit: may import testing
}

const (
	aws   = "github.com/aws"
	gocmp = "github.com/google/go-cmp"
)

// table has every package of the module. A package may be missing on disk; one
// that is missing here fails the test, so that its place is decided on.
var table = map[string]rule{
	".":              {},
	"endpoint":       {},
	"endpoint/httpx": {own: []string{"endpoint"}},
	"strategy":       {own: []string{"endpoint"}},
	"journal":        {own: []string{"endpoint", "strategy"}, third: []string{"github.com/gofrs/flock"}},
	"waiter":         {own: []string{"endpoint", "internal/forecast", "internal/condition"}, third: []string{"github.com/cenkalti/backoff/v4"}},
	"rollout":        {own: []string{"endpoint", "strategy", "journal", "waiter", "internal/core"}},
	"page":           {own: []string{"endpoint", "strategy", "journal", "rollout", "fleet"}},
	"fleet":          {own: []string{"endpoint", "strategy", "journal", "waiter", "rollout"}},

	"check/prometheus": {own: []string{"endpoint", "endpoint/httpx", "rollout", "internal/redact"}},
	"check/cloudwatch": {own: []string{"endpoint", "rollout"}, third: []string{aws}},

	"runpod": {
		own:   []string{"endpoint", "endpoint/httpx", "internal/redact"},
		third: []string{"github.com/shurcooL/graphql", "github.com/distribution/reference"},
	},
	"sagemaker": {own: []string{"endpoint", "internal/redact"}, third: []string{aws, "github.com/hashicorp/cronexpr"}},

	"endpoint/endpointtest": {own: []string{"endpoint", "internal/promise", "internal/inproc"}, third: []string{gocmp}, kit: true},
	"runpod/runpodtest": {
		own:   []string{"endpoint", "endpoint/endpointtest", "runpod", "internal/faultrule", "internal/inproc"},
		third: []string{gocmp, "github.com/graph-gophers/graphql-go"},
		kit:   true,
	},
	"sagemaker/sagemakertest": {
		own:   []string{"endpoint", "endpoint/endpointtest", "sagemaker", "internal/faultrule", "internal/inproc"},
		third: []string{gocmp, aws, "github.com/fxamacker/cbor/v2"},
		kit:   true,
	},

	"journal/journaltest": {own: []string{"endpoint", "internal/promise", "strategy", "journal"}, third: []string{gocmp}, kit: true},
	"rollout/rollouttest": {
		own:   []string{"endpoint", "endpoint/endpointtest", "internal/promise", "strategy", "journal", "rollout", "waiter", "internal/core"},
		third: []string{gocmp}, kit: true,
	},

	"internal/clitest":   {kit: true},
	"internal/condition": {own: []string{"endpoint"}},
	"internal/core":      {own: []string{"endpoint", "strategy", "journal", "waiter", "internal/condition"}},
	"internal/faultrule": {},
	"internal/forecast":  {},
	"internal/inproc":    {},
	"internal/promise":   {kit: true},
	"internal/redact":    {},
	"internal/sampled":   {kit: true},
	"internal/showcase":  {own: []string{"endpoint", "endpoint/endpointtest", "strategy", "journal", "rollout", "waiter", "fleet"}, kit: true},
	"internal/layering":  {},
}

// examples is the rule for every package below examples/, which may import
// all of the module. Nobody can import a program, so they bind no user.
var examples = rule{third: []string{aws, "github.com/mattn/go-isatty", "github.com/vbauerster/mpb/v8"}}

// confined names what may not even be reached, however indirectly, but from
// the given folders, their subfolders and examples: a program that imports
// only runpod compiles no AWS package.
var confined = map[string][]string{
	aws:                           {"sagemaker", "check/cloudwatch"},
	"github.com/shurcooL/graphql": {"runpod"},
	"github.com/graph-gophers":    {"runpod/runpodtest"},
	"github.com/vbauerster":       {},
	"github.com/mattn/go-isatty":  {},
	"github.com/stretchr/testify": {},

	"github.com/distribution/reference": {"runpod"},
	"testing": {
		"endpoint/endpointtest", "runpod/runpodtest", "sagemaker/sagemakertest", "journal/journaltest", "rollout/rollouttest",
		"internal/promise", "internal/clitest", "internal/showcase",
	},
}

func TestImports(t *testing.T) {
	for _, p := range list(t).own {
		r, ok := table[p.name]
		if p.isExample() {
			r, ok = examples, true
		}
		if !ok {
			t.Errorf("package %q is not in the table: decide what it may import, here and in .golangci.yml", p.name)
			continue
		}
		for _, imp := range p.Imports {
			own, isOwn := ownName(imp)
			switch {
			case isOwn && !p.isExample() && !slices.Contains(r.own, own):
				t.Errorf("%s imports %s", p.name, own)
			case !isOwn && isThird(imp) && !covers(r.third, imp):
				t.Errorf("%s imports %s", p.name, imp)
			case covers([]string{"testing"}, imp) && !r.kit:
				t.Errorf("%s imports %s outside a test", p.name, imp)
			}
		}
		// A test may import any package of the module, since no program
		// compiles it, but no module that its package was not granted.
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if _, isOwn := ownName(imp); !isOwn && isThird(imp) && !covers(slices.Concat(r.third, r.tests, []string{gocmp}), imp) {
				t.Errorf("a test of %s imports %s", p.name, imp)
			}
		}
	}
}

func TestReach(t *testing.T) {
	for _, p := range list(t).own {
		if p.isExample() {
			continue
		}
		for what, where := range confined {
			reached := func(dep string) bool { return covers([]string{what}, dep) }
			if i := slices.IndexFunc(p.Deps, reached); i >= 0 && !covers(where, p.name) {
				t.Errorf("a program that imports %s compiles %s", p.name, p.Deps[i])
			}
		}
	}
}

const depsHead = `# The modules that changeover makes somebody compile, their versions, and the
# packages that need them ("tests": only tests do). A change of dependencies
# is a line of this file for review; UPDATE=1 go test ./internal/layering
# rewrites it.
#
# It lists what the code of the module, its examples and its tests import on
# Linux, macOS and Windows, directly or not. "go list -m all" would name many
# modules more, of which nobody ever downloads more than the go.mod.

`

func TestDependencies(t *testing.T) {
	l := list(t)
	users := map[string][]string{}
	for mod := range l.mods {
		users[mod] = nil
	}
	for _, p := range l.own {
		name := p.name
		if p.isExample() {
			name = "examples"
		}
		for _, dep := range p.Deps {
			if mod, ok := l.modOf[dep]; ok && !slices.Contains(users[mod], name) {
				users[mod] = append(users[mod], name)
			}
		}
	}
	var lines []string
	for mod, u := range users {
		slices.Sort(u)
		if len(u) == 0 {
			u = []string{"tests"}
		}
		lines = append(lines, mod+": "+strings.Join(u, ", ")+"\n")
	}
	slices.Sort(lines)
	want := depsHead + strings.Join(lines, "")

	path := filepath.Join(root, "deps.txt")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if string(got) == want {
		return
	}
	t.Error("deps.txt (-) is not what is imported (+); UPDATE=1 rewrites it")
	old, now := strings.Split(string(got), "\n"), strings.Split(want, "\n")
	for _, line := range old {
		if !slices.Contains(now, line) {
			t.Log("-", line)
		}
	}
	for _, line := range now {
		if !slices.Contains(old, line) {
			t.Log("+", line)
		}
	}
}

// pkg is a package as go list prints it.
type pkg struct {
	ImportPath, ForTest string
	Module              *struct{ Path, Version string }

	Imports, Deps, TestImports, XTestImports []string

	name string // the import path below the module's
}

func (p *pkg) isExample() bool { return covers([]string{"examples"}, p.name) }

type listing struct {
	own   []*pkg            // this module's packages, in order
	modOf map[string]string // package of another module → "path version"
	mods  map[string]bool   // the values of modOf
}

func list(t *testing.T) listing {
	t.Helper()
	l, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// load lists the module for three systems and puts them together, since a file
// may be for one of them only.
var load = sync.OnceValues(func() (listing, error) {
	// Reading every folder tells the test cache what the result depends on: it
	// does not see what go list reads.
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		return listing{}, err
	}

	l := listing{modOf: map[string]string{}, mods: map[string]bool{}}
	own := map[string]*pkg{}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		cmd := exec.Command("go", "list", "-deps", "-test",
			"-json=ImportPath,ForTest,Module,Imports,Deps,TestImports,XTestImports", "./...")
		cmd.Dir = root
		// Flags meant for the test that runs, such as -race, do not fit every system.
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return listing{}, fmt.Errorf("%v: %w\n%s", cmd, err, stderr.Bytes())
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			p := &pkg{}
			if err := dec.Decode(p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return listing{}, err
			}
			name, isOwn := ownName(p.ImportPath)
			switch {
			case p.Module == nil || p.ForTest != "" || strings.HasSuffix(p.ImportPath, ".test"):
			case isOwn:
				p.name = name
				if q := own[name]; q != nil {
					p.Imports = union(p.Imports, q.Imports)
					p.Deps = union(p.Deps, q.Deps)
					p.TestImports = union(p.TestImports, q.TestImports)
					p.XTestImports = union(p.XTestImports, q.XTestImports)
				}
				own[name] = p
			default:
				mod := p.Module.Path + " " + p.Module.Version
				l.modOf[p.ImportPath] = mod
				l.mods[mod] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		l.own = append(l.own, own[name])
	}
	return l, nil
})

func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

// ownName returns the import path below the module's, "." for the module's own.
func ownName(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// covers reports whether path is one of tops, or below one.
func covers(tops []string, path string) bool {
	return slices.ContainsFunc(tops, func(top string) bool {
		return path == top || strings.HasPrefix(path, top+"/")
	})
}

// isThird reports whether path is neither of the standard library nor internal
// to a build: the first element of every other path has a dot.
func isThird(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}
