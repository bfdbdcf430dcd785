package temporal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
)

// server is a Temporal server in a process of its own, with its state in a file.
type server struct {
	program, db string
	port        int
	cmd         *exec.Cmd
	stdin       io.Closer
}

// newServer starts a server. What it is compiled of is a module of its own, of a
// hundred modules: the first time takes minutes.
func newServer(t *testing.T) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED with -short: a Temporal server is compiled and started")
	}
	dir := t.TempDir()
	s := &server{program: filepath.Join(dir, "devserver"), db: filepath.Join(dir, "state.db")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.program, ".")
	build.Dir = filepath.Join("internal", "devserver")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the server does not build: %v\n%s", err, out)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), s.program, "-db", s.db, "-port", fmt.Sprint(s.port))
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdin = in // it ends with this process
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill ends the server as the loss of its machine would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	_ = s.stdin.Close()
}

// dial waits until the server answers.
func (s *server) dial(t *testing.T) client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		c, err := client.DialContext(ctx, client.Options{HostPort: fmt.Sprintf("127.0.0.1:%d", s.port), Logger: quiet{}, Identity: "starter"})
		if err == nil {
			if _, err = c.CheckHealth(ctx, nil); err == nil {
				t.Cleanup(c.Close)
				return c
			}
			c.Close()
		}
		if ctx.Err() != nil {
			t.Fatal(errors.Join(err, ctx.Err()))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// quiet says nothing: a server that is gone makes its clients say a lot.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
