// Package clitest tests a program as what it is: a binary with a command line,
// signals and an exit status.
package clitest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Main builds the program of the package under test, calls use with its path,
// and runs the tests. It returns the exit status for TestMain.
func Main(m *testing.M, use func(binary string)) int {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-o", binary, ".") //nolint:noctx // it is over before the tests begin
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	// The tests wait for processes that wait. What the command line says goes first.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Programs are started with every signal as a terminal has it: whoever runs the
	// tests by nohup has SIGHUP ignored, which programs respect.
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	use(binary)
	return m.Run()
}

// Run is one run of a program.
type Run struct {
	Cmd            *exec.Cmd
	Stdout, Stderr Buffer
	Done           chan struct{} // closed at its end

	t       *testing.T
	secrets []string
}

// Buffer can be read while it is written.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Start starts cmd, and kills it at the end of the test. No output may have one
// of the secrets.
func Start(t *testing.T, cmd *exec.Cmd, secrets ...string) *Run {
	t.Helper()
	r := &Run{t: t, Cmd: cmd, Done: make(chan struct{}), secrets: secrets}
	cmd.Stderr = &r.Stderr
	if cmd.Stdout == nil {
		cmd.Stdout = &r.Stdout
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.Done)
		_ = cmd.Wait() // the state says what there is to know
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-r.Done
	})
	return r
}

// Exits waits for the end, and checks the status and that no secret was put out.
func (r *Run) Exits(want int) *Run {
	r.t.Helper()
	select {
	case <-r.Done:
	case <-time.After(15 * time.Second): //nolint:forbidigo // there is no context
		r.t.Fatalf("%v does not end\n%s", r.Cmd.Args, r.output())
	}
	if got := r.Cmd.ProcessState.ExitCode(); got != want {
		r.t.Fatalf("%v: exit status %d, want %d\n%s", r.Cmd.Args, got, want, r.output())
	}
	for _, secret := range r.secrets {
		if strings.Contains(r.output(), secret) {
			r.t.Errorf("%v: the output has a secret\n%s", r.Cmd.Args, r.output())
		}
	}
	return r
}

// Says checks that a stream has words in it.
func (r *Run) Says(stream *Buffer, words ...string) {
	r.t.Helper()
	for _, w := range words {
		if !strings.Contains(stream.String(), w) {
			r.t.Errorf("%v: %q is missing\n%s", r.Cmd.Args, w, r.output())
		}
	}
}

// Until waits for words on stderr, which has the progress.
func (r *Run) Until(words string) {
	r.t.Helper()
	for range 3000 {
		if strings.Contains(r.Stderr.String(), words) {
			return
		}
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // a process tells nobody else
	}
	r.t.Fatalf("%v: no %q\n%s", r.Cmd.Args, words, r.output())
}

// Signal sends a signal.
func (r *Run) Signal(s os.Signal) {
	r.t.Helper()
	if err := r.Cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *Run) output() string { return fmt.Sprintf("stdout:\n%s\nstderr:\n%s", &r.Stdout, &r.Stderr) }
