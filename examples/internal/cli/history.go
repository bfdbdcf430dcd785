package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/changeover-dev/changeover/waiter"
)

// historyFile is where a journal directory keeps how long waits took, so that
// the next rollout looks when it is likely to be over.
const historyFile = "waits.json"

// memory is the history of a journal directory. Whatever becomes of it costs
// looks, and never a rollout.
type memory struct {
	waiter.History

	path string
	was  []byte // as it was read
}

// recall reads what earlier rollouts learned, or begins with nothing.
func (c *command) recall() *memory {
	m := &memory{path: filepath.Join(c.Journal, historyFile)}
	b, err := os.ReadFile(m.path)
	if err == nil {
		err = json.Unmarshal(b, &m.History)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.display.Note(fmt.Sprintf("%s has no record of earlier waits: this rollout looks as often as the first", c.Journal))
	case err != nil:
		c.display.Note(fmt.Sprintf("%s cannot be read, so this rollout looks as often as the first: %v", m.path, err))
	}
	m.was, _ = json.Marshal(&m.History) //nolint:errchkjson // if it cannot be written, save says so
	return m
}

// keep writes down what was learned.
func (c *command) keep(m *memory) {
	if err := m.save(); err != nil {
		c.display.Note(fmt.Sprintf("how long this rollout waited is not kept: %v", err))
	}
}

// save replaces the file as a whole, so that a program that dies meanwhile
// leaves the old one. Of two programs at once the later one's stays.
func (m *memory) save() (err error) {
	b, err := json.Marshal(&m.History)
	if err != nil || bytes.Equal(b, m.was) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(m.path), historyFile+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), m.path)
}
