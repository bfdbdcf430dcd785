package main

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/internal/clitest"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// The program is tested as what it is: a binary with a command line, signals
// and an exit status, against RunPod in a box behind a socket.

var binary string

func TestMain(m *testing.M) { os.Exit(clitest.Main(m, func(b string) { binary = b })) }

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

// command prepares a run, quick, and with the URLs of the account.
func (a *account) command(args ...string) *exec.Cmd {
	args = append([]string{
		"-rest-url", a.url + "/v2", "-graphql-url", a.url + "/graphql", "-job-url", a.url + "/v2", "-interval", "5ms", "-settle", "40ms",
	}, args...)
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "RUNPOD_API_KEY="+marker, "RUNPOD_JOB_KEY=")
	return cmd
}

func (a *account) run(args ...string) *clitest.Run { return start(a.t, a.command(args...)) }

func start(t *testing.T, cmd *exec.Cmd) *clitest.Run {
	t.Helper()
	return clitest.Start(t, cmd, marker, "value-of-secret")
}

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
