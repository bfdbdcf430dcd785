package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Trim implements [Trimmer]. The records are in the archive, on disk, before
// they leave the journal; a crash in between leaves them in both.
func (f *Files) Trim(ctx context.Context, name string, first int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	release, err := f.exclude(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	records, lines, err := f.read(ctx, name)
	if err != nil {
		return err
	}
	n, err := trimAt(records, first)
	if err != nil || n == 0 {
		return err
	}
	at := 0
	for range n {
		at += bytes.IndexByte(lines[at:], '\n') + 1
	}
	if err := f.archive(name, records[:n], lines[:at]); err != nil {
		return err
	}
	if err := f.rewrite(f.Path(name), lines[at:]); err != nil {
		return fmt.Errorf("journal trim: %w", err)
	}
	for _, rollout := range trimmedRollouts(records, n) {
		if rerr := os.Remove(f.attachmentPath(name, rollout)); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// archive appends the lines of records to the archive, without those that a
// Trim before, which was interrupted, has put there.
func (f *Files) archive(name string, records []Record, lines []byte) error {
	path := f.ArchivePath(name)
	file, size, err := openTail(path)
	if err != nil {
		return err
	}
	complete := int64(0)
	if file != nil {
		line, _, end, err := lineBefore(file, size)
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("journal archive: %w", err)
		}
		complete = end
		// An archive is never refused: after a line that cannot be read, all is added.
		if last, err := Decode(line); err == nil {
			for len(records) > 0 && records[0].Seq <= last.Seq && last.Seq <= records[len(records)-1].Seq {
				records, lines = records[1:], lines[bytes.IndexByte(lines, '\n')+1:]
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return f.appendLine(path, complete, lines)
}

// rewrite replaces the journal by what is left of it.
func (f *Files) rewrite(path string, lines []byte) error {
	next := path + ".new"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(lines)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return syncDir(f.dir)
}
