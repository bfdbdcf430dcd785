//go:build unix

package runpod_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// The rest of the tests stop a driver on paper. Here it is a process, stopped
// by the operating system after it has decided on a write and written that
// down, and before it makes the call. It is woken when another driver has taken
// its rollout over and finished it.

// Where the child finds its part.
const (
	envURL     = "CHANGEOVER_TEST_URL"
	envJournal = "CHANGEOVER_TEST_JOURNAL"
	envStopAt  = "CHANGEOVER_TEST_STOP_AT"
)

// stopping is a store without a lock that stops its process after the nth intent.
type stopping struct {
	store journal.Store
	left  int
}

func (s *stopping) Load(ctx context.Context, name string) ([]journal.Record, error) {
	return s.store.Load(ctx, name)
}

func (s *stopping) Append(ctx context.Context, name string, r journal.Record) error {
	err := s.store.Append(ctx, name, r)
	if r.Kind != journal.KindIntent || err != nil {
		return err
	}
	if s.left--; s.left == 0 {
		err = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		// The signal is for the process: this thread may run on for a moment, to
		// the call, or be stopped with the journal in its hands.
		time.Sleep(time.Second)
	}
	return err
}

// callTime is how long a call of the child may take, and so how long whoever
// takes over has to wait for it: the time of the whole way forward. In earnest a
// call has a minute.
const callTime = 5 * time.Second

func flush(store journal.Store, client *http.Client, url string, do func(journal.Store, endpoint.Updater, ...rollout.Option) (*rollout.Report, error)) (*rollout.Report, error) {
	c, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(client), runpod.WithRESTURL(url+"/v2"), runpod.WithJobURL(url+"/v2"), runpod.WithGraphQLURL(url+"/graphql"))
	if err != nil {
		return nil, err
	}
	return do(store, c.Endpoint(endpointID), rollout.WithSettle(200*time.Millisecond), rollout.WithInterval(20*time.Millisecond))
}

func TestStoppedProcess(t *testing.T) {
	if url := os.Getenv(envURL); url != "" {
		beStopped(t, url)
		return
	}
	t.Parallel()
	points := 0
	t.Run("at", func(t *testing.T) {
		// A flush writes five times on its way: minimum, maximum, image, maximum, minimum.
		for at := 1; at <= 5; at += sampled.OneIn(2) {
			points++
			t.Run(strconv.Itoa(at), func(t *testing.T) {
				t.Parallel()
				stopAndWake(t, at)
			})
		}
	})
	t.Logf("swept %d stops of a real process", points)
}

// beStopped is the child.
func beStopped(t *testing.T, url string) {
	files, err := journal.NewFiles(os.Getenv(envJournal))
	if err != nil {
		t.Fatal(err)
	}
	at, err := strconv.Atoi(os.Getenv(envStopAt))
	if err != nil {
		t.Fatal(err)
	}
	_, err = flush(&stopping{files, at}, http.DefaultClient, url, func(s journal.Store, u endpoint.Updater, opts ...rollout.Option) (*rollout.Report, error) {
		return rollout.Run(t.Context(), s, u, strategy.FlushToZero{}, rollout.ToArtifact(imageV2), append(opts, rollout.WithTimeout(callTime))...)
	})
	if !errors.Is(err, journal.ErrConflict) || !errors.Is(err, rollout.ErrDetached) {
		t.Errorf("Run = %v, want it to be detached by a conflict", err)
	}
}

func stopAndWake(t *testing.T, at int) {
	srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{Tick: 10 * time.Millisecond, Terminate: 5 * time.Millisecond}))
	for _, ref := range []string{imageV1, imageV2} {
		srv.AddImage(runpodtest.Image{Ref: ref, Pull: time.Millisecond, Start: time.Millisecond})
	}
	ts := httptest.NewServer(srv)
	defer ts.Close()
	dir := t.TempDir()

	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStoppedProcess$")
	child.Env = append(os.Environ(), envURL+"="+ts.URL, envJournal+"="+dir, fmt.Sprintf("%s=%d", envStopAt, at))
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var state syscall.WaitStatus
	if _, err := syscall.Wait4(child.Process.Pid, &state, syscall.WUNTRACED, nil); err != nil || !state.Stopped() {
		t.Fatalf("the child was not stopped: %v, %v\n%s", state, err, &out)
	}

	files, err := journal.NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	report, err := flush(&stopping{files, 0}, ts.Client(), ts.URL, func(s journal.Store, u endpoint.Updater, opts ...rollout.Option) (*rollout.Report, error) {
		return rollout.Resume(t.Context(), s, u, opts...)
	})
	if report == nil || report.Outcome != rollout.OutcomeRolledBack {
		t.Errorf("Resume = %v, want it rolled back", err)
	}
	if e := srv.Endpoint(endpointID); e.WorkersMin != 2 || e.WorkersMax != 3 || srv.Template(e.TemplateID).Image != imageV1 {
		t.Errorf("taken over, the endpoint is %+v, serving %s", e, srv.Template(e.TemplateID).Image)
	}
	time.Sleep(time.Until(began.Add(callTime))) // its call must not have time left when it wakes
	before := len(srv.Mutations())
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("the child: %v\n%s", err, &out)
	}
	if late := srv.Mutations()[before:]; len(late) > 0 {
		t.Errorf("after it was woken, the child wrote %+v", late)
	}
}
