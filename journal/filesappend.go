package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/gofrs/flock"

	"github.com/changeover-dev/changeover/endpoint"
)

// appendTime is how long Append waits for another one of the same endpoint to
// end. That takes milliseconds, unless its process was stopped in the middle.
const appendTime = time.Minute

// Append implements [Store]. It does not need the [Locker]'s lock.
func (f *Files) Append(ctx context.Context, name string, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line, err := Encode(r)
	if err != nil {
		return err
	}
	release, err := f.exclude(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	last, complete, err := f.last(ctx, name)
	if err != nil {
		return err
	}
	if err := continues(&last, &r); err != nil {
		return err
	}
	return f.appendLine(f.Path(name), complete, append(line, '\n'))
}

// exclude keeps everything else from changing the endpoint's journal, in this
// process and in others, until release is called.
func (f *Files) exclude(ctx context.Context, name string) (release func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, appendTime, endpoint.ErrBusy)
	defer cancel()
	q := f.enqueue(name)
	defer func() {
		if err != nil {
			f.dequeue(name, q)
		}
	}()
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("journal: another append has not ended: %w", context.Cause(ctx))
	}
	l := flock.New(f.Path(name) + ".append")
	if _, err := l.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		<-q.turn
		if ctx.Err() != nil {
			err = fmt.Errorf("another process's append has not ended: %w", context.Cause(ctx))
		}
		return nil, fmt.Errorf("journal: %w", err)
	}
	return func() {
		_ = l.Unlock() // which closing the file has done in any case
		<-q.turn
		f.dequeue(name, q)
	}, nil
}

// queue is the appends of one endpoint in this process. One of them has the turn.
type queue struct {
	turn  chan struct{}
	users int // by Files.mu
}

func (f *Files) enqueue(name string) *queue {
	f.mu.Lock()
	defer f.mu.Unlock()
	q, ok := f.queues[name]
	if !ok {
		q = &queue{turn: make(chan struct{}, 1)}
		f.queues[name] = q
	}
	q.users++
	return q
}

func (f *Files) dequeue(name string, q *queue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if q.users--; q.users == 0 {
		delete(f.queues, name)
	}
}

// last returns the last record, the zero value if there is none, and the
// length of the file up to it. It reads no more of the file than that record.
func (f *Files) last(ctx context.Context, name string) (Record, int64, error) {
	last, complete, err := lastRecord(f.Path(name))
	if err == nil {
		return last, complete, nil
	}
	// Read whole, the line is named; and an append that was under way has ended.
	records, lines, err := f.read(ctx, name)
	if err != nil || len(records) == 0 {
		return Record{}, 0, err
	}
	return records[len(records)-1], int64(len(lines)), nil
}

func lastRecord(path string) (last Record, complete int64, err error) {
	file, size, err := openTail(path)
	if err != nil || file == nil {
		return last, 0, err
	}
	defer func() { _ = file.Close() }()
	line, _, complete, err := lineBefore(file, size)
	if err != nil || line == nil {
		return last, 0, err
	}
	last, err = Decode(line)
	return last, complete, err
}

// openTail opens a file that is going to be read from its end. Without a file
// it returns nil and no error.
func openTail(path string) (*os.File, int64, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("journal: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("journal: %w", err), file.Close())
	}
	return file, info.Size(), nil
}

// lineBefore returns the last complete line of the first size bytes, without
// its newline, and where it begins and ends. Without one, line is nil.
func lineBefore(file io.ReaderAt, size int64) (line []byte, begin, end int64, err error) {
	if end, err = afterNewline(file, size); err != nil || end == 0 {
		return nil, 0, 0, err
	}
	if begin, err = afterNewline(file, end-1); err != nil {
		return nil, 0, 0, err
	}
	line = make([]byte, end-1-begin)
	if _, err := io.ReadFull(io.NewSectionReader(file, begin, int64(len(line))), line); err != nil {
		return nil, 0, 0, err
	}
	return line, begin, end, nil
}

// afterNewline is the offset behind the last newline of the first size bytes,
// 0 if there is none.
func afterNewline(file io.ReaderAt, size int64) (int64, error) {
	const chunk = 4 << 10
	b := make([]byte, chunk)
	for size > 0 {
		from := max(0, size-chunk)
		part := b[:size-from]
		if _, err := io.ReadFull(io.NewSectionReader(file, from, size-from), part); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		size = from
	}
	return 0, nil
}

// appendLine writes lines behind the first complete bytes of the file and
// sees them to the disk, and the file's own name too when it is new.
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
	if _, err := file.WriteAt(line, complete); err != nil {
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
