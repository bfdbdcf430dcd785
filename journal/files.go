package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gofrs/flock"

	"github.com/changeover-dev/changeover/endpoint"
)

// Files is a [Store] in a directory: one file of JSON lines per endpoint, each
// line on disk before Append returns. Its lock is the operating system's, so
// it dies with its holder. All runners of an endpoint must be on one machine.
//
// An endpoint waits for no other one, and an append takes the same time
// however long the journal is. Trim moves the records that it takes out to the
// end of [Files.ArchivePath], a file that is never read and may be deleted at
// any time.
type Files struct {
	dir string

	mu     sync.Mutex // of queues, and never held while a file is used
	queues map[string]*queue
}

var (
	_ Locker      = (*Files)(nil)
	_ Heartbeater = (*Files)(nil)
	_ Tailer      = (*Files)(nil)
	_ Lister      = (*Files)(nil)
	_ Trimmer     = (*Files)(nil)
	_ Attacher    = (*Files)(nil)
)

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
	return &Files{dir: dir, queues: map[string]*queue{}}, nil
}

const journalExt = ".jsonl"

// Path is the file that holds an endpoint's journal.
func (f *Files) Path(name string) string {
	return filepath.Join(f.dir, url.PathEscape(name)+journalExt)
}

// ArchivePath is the file to which Trim moves records of an endpoint.
func (f *Files) ArchivePath(name string) string { return f.Path(name) + ".old" }

// Load implements [Store]. A last line without an end is what a crash in the
// middle of Append left: nothing was done on its account, and it is ignored.
func (f *Files) Load(ctx context.Context, name string) ([]Record, error) {
	records, _, err := f.read(ctx, name)
	return records, err
}

// read returns the records of a journal and the bytes of its complete lines.
func (f *Files) read(ctx context.Context, name string) ([]Record, []byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	b, err := os.ReadFile(f.Path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	records, complete, err := decodeLines(b)
	if err != nil {
		return nil, nil, fmt.Errorf("journal %s, %w", f.Path(name), err)
	}
	return records, b[:complete], nil
}

// decodeLines returns the records of a journal and the length of its complete lines.
func decodeLines(b []byte) ([]Record, int64, error) {
	records := make([]Record, 0, bytes.Count(b, []byte{'\n'}))
	complete := int64(0)
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return records, complete, nil
		}
		r, err := Decode(b[:end])
		if err != nil {
			return nil, 0, &ReadError{Records: records, Line: len(records) + 1, Err: err}
		}
		records = append(records, r)
		b, complete = b[end+1:], complete+int64(end)+1
	}
}

// LoadAfter implements [Tailer]. It reads the file from its end.
func (f *Files) LoadAfter(ctx context.Context, name string, after int) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records, err := tail(f.Path(name), after)
	if err != nil {
		// Read whole, the line is named; and an append that was under way has ended.
		if records, _, err = f.read(ctx, name); err != nil {
			return nil, err
		}
		records = slices.DeleteFunc(records, func(r Record) bool { return r.Seq <= after })
	}
	return records, nil
}

// tail reads the records with a Seq above after from the end of a file.
func tail(path string, after int) ([]Record, error) {
	file, end, err := openTail(path)
	if err != nil || file == nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var records []Record
	for {
		line, begin, _, err := lineBefore(file, end)
		if err != nil {
			return nil, err
		}
		if line == nil {
			break
		}
		r, err := Decode(line)
		if err != nil {
			return nil, err
		}
		if r.Seq <= after {
			break
		}
		records, end = append(records, r), begin
	}
	slices.Reverse(records)
	return records, nil
}

// List implements [Lister].
func (f *Files) List(ctx context.Context) ([]Entry, error) {
	files, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("journal directory: %w", err)
	}
	var list []Entry
	for _, file := range files {
		escaped, ok := strings.CutSuffix(file.Name(), journalExt)
		name, err := url.PathUnescape(escaped)
		if !ok || err != nil || filepath.Base(f.Path(name)) != file.Name() {
			continue // of no store
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		last, _, err := f.last(ctx, name)
		if err == nil && last.Seq == 0 {
			continue // its first append was interrupted
		}
		list = append(list, Entry{Endpoint: name, Last: last, Err: err})
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Endpoint, b.Endpoint) })
	return list, nil
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
func (f *Files) Heartbeat(ctx context.Context, name string, h Heartbeat) error {
	b, err := json.Marshal(h)
	if err == nil {
		err = f.replace(ctx, f.heartbeatPath(name), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("journal heartbeat: %w", err)
	}
	return nil
}

// LastHeartbeat implements [Heartbeater].
func (f *Files) LastHeartbeat(ctx context.Context, name string) (Heartbeat, error) {
	var h Heartbeat
	b, err := readBeside(ctx, f.heartbeatPath(name))
	if err == nil {
		err = json.Unmarshal(b, &h)
	}
	if err != nil {
		return Heartbeat{}, fmt.Errorf("journal heartbeat of %s: %w", name, err)
	}
	return h, nil
}

func (f *Files) heartbeatPath(name string) string { return f.Path(name) + ".alive" }

// Attach implements [Attacher].
func (f *Files) Attach(ctx context.Context, name, rollout string, document []byte) error {
	err := checkAttachment(ctx, document)
	if err == nil {
		err = f.replace(ctx, f.attachmentPath(name, rollout), document)
	}
	if err != nil {
		return fmt.Errorf("journal of %s: %w", name, err)
	}
	return nil
}

// Attachment implements [Attacher].
func (f *Files) Attachment(ctx context.Context, name, rollout string) ([]byte, error) {
	b, err := readBeside(ctx, f.attachmentPath(name, rollout))
	if err != nil {
		return nil, fmt.Errorf("attachment of %s, rollout %s: %w", name, rollout, err)
	}
	return b, nil
}

func (f *Files) attachmentPath(name, rollout string) string {
	return f.Path(name) + "." + url.PathEscape(rollout) + ".attached"
}

// replace writes a small file so that a reader finds the one before or this
// one, and no half of one.
func (f *Files) replace(ctx context.Context, path string, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	file, err := os.CreateTemp(f.dir, filepath.Base(path)+".new*")
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}

// readBeside reads what replace wrote.
func readBeside(ctx context.Context, path string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, endpoint.ErrNotFound
	}
	return b, err
}
