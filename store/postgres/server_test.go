//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/changeover-dev/changeover/store/postgres"
)

// server is a PostgreSQL in a directory that the tests throw away, reached by
// a socket in it.
type server struct {
	bin, dir string
	as       *syscall.SysProcAttr
	process  *exec.Cmd
}

// shared is the server of all tests but those that kill one.
var shared *server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	s, err := newServer()
	if err != nil {
		fmt.Println(err)
		return m.Run() // each test is skipped, and says why
	}
	defer s.remove()
	if err := s.start(); err != nil {
		fmt.Println(err)
		return 1
	}
	shared = s
	return m.Run()
}

// binaries is the folder with initdb and postgres, "" if they are not installed.
func binaries() string {
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, dir := range append(debian, filepath.SplitList(os.Getenv("PATH"))...) {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir
		}
	}
	return ""
}

func newServer() (*server, error) {
	s := &server{bin: binaries(), as: &syscall.SysProcAttr{}}
	if s.bin == "" {
		return nil, errors.New("SKIPPED: PostgreSQL is not installed, in Debian the package postgresql: nothing of this store was tested")
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "changeover-postgres-"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // as whom the server refuses to run
		if err := s.leaveRoot(); err != nil {
			return nil, err
		}
	}
	return s, s.run("initdb", "--pgdata="+s.data(), "--auth=trust", "--username=changeover", "--encoding=UTF8", "--locale=C", "--no-sync")
}

// leaveRoot has the server run as a user that owns its directory.
func (s *server) leaveRoot() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	s.as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, uid, gid)
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.SysProcAttr, cmd.Dir = s.as, s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// start runs the server until it can be connected to.
func (s *server) start() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		s.process = exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir,
			"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "recovery_init_sync_method=syncfs")
		s.process.SysProcAttr, s.process.Dir, s.process.Stdout, s.process.Stderr = s.as, s.dir, log, log
		if err := s.process.Start(); err != nil {
			return err
		}
		ended := make(chan struct{})
		go func() { _ = s.process.Wait(); close(ended) }()
		if s.answers(ctx, ended) {
			return nil
		} // right after a kill, memory of the one before may still be in use
	}
	out, err := os.ReadFile(log.Name())
	return fmt.Errorf("PostgreSQL does not start: %w\n%s", err, out)
}

// answers reports whether the server answers before it ends.
func (s *server) answers(ctx context.Context, ended chan struct{}) bool {
	pool, err := pgxpool.New(ctx, s.url(""))
	if err != nil {
		return false
	}
	defer pool.Close()
	for {
		if pool.Ping(ctx) == nil {
			return true
		}
		select {
		case <-ended:
			return false
		case <-ctx.Done():
			_ = s.process.Process.Kill()
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// url is where the server is, with more settings.
func (s *server) url(more string) string {
	return "host=" + s.dir + " user=changeover dbname=postgres sslmode=disable " + more
}

// kill ends the server and all its processes at once, as a machine would that
// loses its power, but for what the kernel has been handed.
func (s *server) kill(t *testing.T) {
	t.Helper()
	main := s.process.Process.Pid
	_ = syscall.Kill(main, syscall.SIGSTOP) // starts no further ones
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(b), ") ") // the command's name is in parentheses
		fields := strings.Fields(after)
		if len(fields) < 2 || fields[1] != strconv.Itoa(main) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if err := syscall.Kill(main, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func (s *server) remove() {
	if s.process != nil {
		_ = s.process.Process.Signal(syscall.SIGQUIT)
		for range 500 {
			if syscall.Kill(s.process.Process.Pid, 0) != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	_ = os.RemoveAll(s.dir)
}

// pool connects to the server, with more settings.
func (s *server) pool(t testing.TB, more string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), s.url(more))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// installed skips a test if there is no server.
func installed(t testing.TB) *server {
	t.Helper()
	if shared == nil {
		t.Skip("SKIPPED: PostgreSQL is not installed, in Debian the package postgresql")
	}
	return shared
}

// open is a store in a schema, which is made if it is missing.
func open(t testing.TB, pool *pgxpool.Pool, schema string) *postgres.Store {
	t.Helper()
	s, err := postgres.New(pool, schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
