package core

import (
	"errors"
	"fmt"
	"time"
)

// Freeze says until when nothing new begins or advances, and why. A zero Until
// freezes nothing.
type Freeze struct {
	Until time.Time
	Why   string
}

// ErrFrozen means that a freeze window keeps the rollout from beginning.
var ErrFrozen = errors.New("frozen")

func (f *Freeze) at(now time.Time) bool { return f != nil && now.Before(f.Until) }

func (f *Freeze) error() error {
	return fmt.Errorf("%w until %s: %s", ErrFrozen, f.Until.UTC().Format(time.RFC3339), f.Why)
}

// findFrozen judges a poll during a freeze window: the endpoint is watched.
func findFrozen(m *Machine, w *waiting, now time.Time) finding {
	f, whole := findWatched(m, w, now)
	if !whole {
		return f
	}
	if _, err := m.verdict(now); err != nil {
		return finding{err: err}
	}
	if !m.frozen.at(now) {
		return finding{done: true}
	}
	return finding{note: "frozen until " + m.frozen.Until.UTC().Format(time.RFC3339) + ": " + m.frozen.Why, due: m.frozen.Until}
}
