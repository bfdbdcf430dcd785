package temporal_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
)

// server is a Temporal server in a process of its own, with its state in a file.
type server struct {
	program, db string
	args        []string
	port        int
	cmd         *exec.Cmd
	stdin       io.Closer
}

// programs is where the server is compiled to.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if programs, err = os.MkdirTemp("", "devserver"); err != nil {
		panic(err)
	}
	if err := flag.Set("test.parallel", "16"); err != nil { // they wait, most of the time
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(status)
}

// program compiles the server, which is a module of its own, of a hundred modules: the
// first time takes minutes.
var program = sync.OnceValues(func() (string, error) {
	name := filepath.Join(programs, "devserver")
	build := exec.Command("go", "build", "-o", name, ".")
	build.Dir = filepath.Join("internal", "devserver")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the server does not build: %w\n%s", err, out)
	}
	return name, nil
})

// newServer starts a server, with more arguments than are needed.
func newServer(t *testing.T, args ...string) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED with -short: a Temporal server is compiled and started")
	}
	name, err := program()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{program: name, args: args, db: filepath.Join(t.TempDir(), "state.db")}
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
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), s.program, append(s.args, "-db", s.db, "-port", fmt.Sprint(s.port))...)
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
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
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
