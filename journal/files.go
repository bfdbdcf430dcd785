package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/changeover-dev/changeover/endpoint"
)

// Files is a [Store] in a directory: one file of JSON lines per endpoint, each
// line on disk before Append returns. Its lock is the operating system's, so
// it dies with its holder. All drivers of an endpoint must be on one machine.
type Files struct {
	dir string
	mu  sync.Mutex
}

// appendTime is how long Append waits for another one to end. That takes
// milliseconds, unless its process was stopped in the middle of it.
const appendTime = time.Minute

// NewFiles returns a store in dir, which is made if it does not exist. A
// directory that cannot be read is an error here; one that cannot be written
// is found by the first Append, before anything is changed.
func NewFiles(dir string) (*Files, error) {
	if dir == "" {
		return nil, fmt.Errorf("journal directory: %w: empty", endpoint.ErrInvalid)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("journal directory: %w", err)
	}
	if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("journal directory: %w", err)
	}
	return &Files{dir: dir}, nil
}

// Path is the file that holds an endpoint's journal.
func (f *Files) Path(name string) string {
	return filepath.Join(f.dir, url.PathEscape(name)+".jsonl")
}

// Load implements [Store]. A last line without an end is what a crash in the
// middle of Append left: nothing was done on its account, and it is ignored.
func (f *Files) Load(ctx context.Context, name string) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	records, _, err := f.read(name)
	return records, err
}

// read returns the records and the length of the file up to its last complete line.
func (f *Files) read(name string) ([]Record, int64, error) {
	b, err := os.ReadFile(f.Path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("journal: %w", err)
	}
	records, complete, err := decodeLines(b)
	if err != nil {
		return nil, 0, fmt.Errorf("journal %s, %w", f.Path(name), err)
	}
	return records, complete, nil
}

// decodeLines returns the records of a journal and the length of its complete lines.
func decodeLines(b []byte) ([]Record, int64, error) {
	var records []Record
	complete := int64(0)
	for line := 1; ; line++ {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return records, complete, nil
		}
		r, err := decodeRecord(b[:end])
		if err != nil {
			return nil, 0, fmt.Errorf("line %d: %w: %v", line, ErrDamaged, err) //nolint:errorlint // what the decoder says is for people
		}
		records = append(records, r)
		b, complete = b[end+1:], complete+int64(end)+1
	}
}

// Append implements [Store].
func (f *Files) Append(ctx context.Context, name string, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// Nobody else, in whatever process, appends between the look and the write.
	l := flock.New(f.Path(name) + ".append")
	lctx, cancel := context.WithTimeoutCause(ctx, appendTime, endpoint.ErrBusy)
	defer cancel()
	if _, err := l.TryLockContext(lctx, 5*time.Millisecond); err != nil {
		if lctx.Err() != nil {
			err = fmt.Errorf("somebody is in the middle of an append: %w", context.Cause(lctx))
		}
		return fmt.Errorf("journal: %w", err)
	}
	defer func() { _ = l.Unlock() }() // which closing it has done in any case
	records, complete, err := f.read(name)
	if err != nil {
		return err
	}
	if r.Seq != len(records)+1 {
		return fmt.Errorf("record %d after %d: %w", r.Seq, len(records), ErrConflict)
	}
	return f.appendLine(f.Path(name), complete, append(line, '\n'))
}

// appendLine writes a line behind the first complete bytes of the file and
// sees it to the disk, and the file's own name too when it is new.
func (f *Files) appendLine(path string, complete int64, line []byte) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer func() {
		if err != nil {
			// Half a line, or one that may not last, is no record.
			err = errors.Join(err, file.Truncate(complete))
		}
		if err = errors.Join(err, file.Close()); err != nil {
			err = fmt.Errorf("journal: %w", err)
		}
	}()
	if err := file.Truncate(complete); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if _, err := file.Write(line); err != nil {
		return err
	}
	if err := file.Sync(); err != nil || complete > 0 {
		return err
	}
	return syncDir(f.dir)
}

// syncDir makes a new file's name durable. Systems that cannot sync a
// directory make names durable by themselves.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// Lock implements [Locker].
func (f *Files) Lock(ctx context.Context, name string) (func() error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := flock.New(f.Path(name) + ".lock")
	held, err := l.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("journal lock: %w", err)
	case !held:
		return nil, fmt.Errorf("journal %s is in use: %w", f.Path(name), endpoint.ErrBusy)
	}
	return l.Unlock, nil
}

// Heartbeat implements [Heartbeater].
func (f *Files) Heartbeat(ctx context.Context, name string, s Heartbeat) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("journal stamp: %w", err)
	}
	// Whoever reads it finds the one before or this one, and no half of one.
	path := f.stampPath(name)
	if err := errors.Join(os.WriteFile(path+".new", append(b, '\n'), 0o600), os.Rename(path+".new", path)); err != nil {
		return fmt.Errorf("journal stamp: %w", err)
	}
	return nil
}

// Stamped implements [Heartbeater].
func (f *Files) LastHeartbeat(ctx context.Context, name string) (Heartbeat, error) {
	if err := ctx.Err(); err != nil {
		return Heartbeat{}, err
	}
	b, err := os.ReadFile(f.stampPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Heartbeat{}, fmt.Errorf("stamp of %s: %w", name, endpoint.ErrNotFound)
	}
	var s Heartbeat
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return Heartbeat{}, fmt.Errorf("journal stamp: %w", err)
	}
	return s, nil
}

func (f *Files) stampPath(name string) string { return f.Path(name) + ".alive" }

// decodeRecord reads one line of a journal.
func decodeRecord(b []byte) (Record, error) {
	var r Record
	err := json.Unmarshal(b, &r)
	return r, err
}
