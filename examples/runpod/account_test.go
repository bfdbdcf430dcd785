package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// The program is tested as what it is: a binary with a command line, signals
// and an exit status, against RunPod in a box behind a socket.

var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "runpod-example-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "runpod")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// marker is the key of every account. No output may have it.
const marker = "rpa_MARKER5f3759df5f3759df5f3759df5f3759df"

// The account that every test begins with.
const (
	blue, green = "sdxlblue00", "sdxlgreen0" // templates; blue is live
	v1, v2      = "acme/sdxl:v1", "acme/sdxl:v2"
	id          = "sdxl0000000000"
)

// account is a RunPod account behind a socket.
type account struct {
	*runpodtest.Server
	t   *testing.T
	url string
}

func newAccount(t *testing.T, edits ...func(*runpodtest.Endpoint)) *account {
	t.Helper()
	srv := runpodtest.New(runpodtest.WithKey(marker, runpodtest.FullAccess), runpodtest.WithBehaviour(runpodtest.Behaviour{
		Tick: 20 * time.Millisecond, Terminate: 10 * time.Millisecond, QuotaField: true,
	}))
	for _, ref := range []string{v1, v2, "acme/sdxl:v3"} {
		srv.AddImage(runpodtest.Image{Ref: ref, Pull: time.Millisecond, Start: time.Millisecond})
	}
	srv.AddImage(runpodtest.Image{Ref: "acme/sdxl:bad", Pull: time.Millisecond, Start: time.Millisecond, Fault: runpodtest.TurnsUnhealthy})
	srv.AddImage(runpodtest.Image{Ref: "acme/sdxl:stuck", Fault: runpodtest.NeverStarts})
	srv.AddTemplate(runpodtest.Template{ID: blue, Image: v1, Env: map[string]string{"SECRET": "value-of-secret"}})
	srv.AddTemplate(runpodtest.Template{ID: green, Image: v2})
	e := runpodtest.Endpoint{ID: id, TemplateID: blue, WorkersMin: 1, WorkersMax: 3}
	for _, edit := range edits {
		edit(&e)
	}
	srv.AddEndpoint(e)
	ts := httptest.NewServer(srv)
	t.Cleanup(ts.Close)
	return &account{srv, t, ts.URL}
}

// protective is what a rollout has to leave alone, and what is served. The
// template is the one that the endpoint is linked to. Over REST there is no
// link: the first write of an image gives the endpoint a template of its own, a
// copy of blue, and it is shown as blue.
type protective struct {
	Template, Image string
	Min, Max        int
	Idle            string // the image of green, and so of the idle template while blue is live
}

func (a *account) protective() protective {
	e := a.Endpoint(id)
	linked := e.TemplateID
	if linked != green {
		linked = blue
	}
	return protective{linked, a.Template(e.TemplateID).Image, e.WorkersMin, e.WorkersMax, a.Template(green).Image}
}

// run is one run of the program.
type run struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr buffer
	done           chan struct{}
}

// buffer can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// command prepares a run, quick, and with the URLs of the account.
func (a *account) command(args ...string) *exec.Cmd {
	args = append([]string{
		"-rest-url", a.url + "/v2", "-graphql-url", a.url + "/graphql", "-job-url", a.url + "/v2", "-interval", "5ms", "-settle", "40ms",
	}, args...)
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "RUNPOD_API_KEY="+marker, "RUNPOD_JOB_KEY=")
	return cmd
}

func start(t *testing.T, cmd *exec.Cmd) *run {
	t.Helper()
	r := &run{t: t, cmd: cmd, done: make(chan struct{})}
	cmd.Stderr = &r.stderr
	if cmd.Stdout == nil {
		cmd.Stdout = &r.stdout
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		_ = cmd.Wait() // the state says what there is to know
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-r.done
	})
	return r
}

// exits waits for the end and checks the status. No output may have a key.
func (r *run) exits(want int) *run {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(15 * time.Second):
		r.t.Fatalf("%v does not end\nstdout:\n%s\nstderr:\n%s", r.cmd.Args, &r.stdout, &r.stderr)
	}
	if got := r.cmd.ProcessState.ExitCode(); got != want {
		r.t.Fatalf("%v: exit status %d, want %d\nstdout:\n%s\nstderr:\n%s", r.cmd.Args, got, want, &r.stdout, &r.stderr)
	}
	for _, secret := range []string{marker, "value-of-secret"} {
		if strings.Contains(r.stdout.String()+r.stderr.String(), secret) {
			r.t.Errorf("%v: the output has a secret\nstdout:\n%s\nstderr:\n%s", r.cmd.Args, &r.stdout, &r.stderr)
		}
	}
	return r
}

func (r *run) says(stream *buffer, words ...string) {
	r.t.Helper()
	for _, w := range words {
		if !strings.Contains(stream.String(), w) {
			r.t.Errorf("%v: %q is missing\nstdout:\n%s\nstderr:\n%s", r.cmd.Args, w, &r.stdout, &r.stderr)
		}
	}
}

// until waits for words on stderr, which has the progress.
func (r *run) until(words string) {
	r.t.Helper()
	for range 3000 {
		if strings.Contains(r.stderr.String(), words) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.t.Fatalf("%v: no %q\nstdout:\n%s\nstderr:\n%s", r.cmd.Args, words, &r.stdout, &r.stderr)
}

func (r *run) signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

func (a *account) run(args ...string) *run { return start(a.t, a.command(args...)) }

func (a *account) is(want protective) {
	a.t.Helper()
	if diff := cmp.Diff(want, a.protective()); diff != "" {
		a.t.Errorf("endpoint (-want +got):\n%s", diff)
	}
}

// rollouts are command lines that work, by API and strategy.
var rollouts = map[string][]string{
	"rest in-place":                {"-endpoint", id, "-strategy", "in-place", "-image", v2},
	"rest flush-to-zero":           {"-endpoint", id, "-strategy", "flush-to-zero", "-image", v2, "-drain", "5s"},
	"graphql in-place":             {"-api", "graphql", "-endpoint", id, "-strategy", "in-place", "-template", green},
	"graphql flush-to-zero":        {"-api", "graphql", "-endpoint", id, "-strategy", "flush-to-zero", "-template", green, "-drain", "5s"},
	"graphql alternating-template": {"-api", "graphql", "-endpoint", id, "-strategy", "alternating-template", "-templates", blue + "," + green, "-image", "acme/sdxl:v3"},
}

// apis are both of them; the first is the default.
var apis = []string{"rest", "graphql"}

func with(args []string, more ...string) []string { return append(slices.Clone(args), more...) }
