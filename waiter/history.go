package waiter

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"
)

// remembered is how many durations of one kind are kept.
const remembered = 32

// History remembers how long waits took, by kind. The newest durations of each
// kind are kept. The zero History is empty and ready to use, and is safe for
// concurrent use. It can be written as JSON and read back, so that a caller
// can keep it between runs.
type History struct {
	mu    sync.Mutex
	kinds map[string][]time.Duration
}

// Add remembers that a wait of the kind took d.
func (h *History) Add(kind string, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kinds == nil {
		h.kinds = map[string][]time.Duration{}
	}
	ds := append(h.kinds[kind], d)
	h.kinds[kind] = ds[max(0, len(ds)-remembered):]
}

// Durations returns what is remembered of the kind, oldest first, as a copy.
func (h *History) Durations(kind string) []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.kinds[kind])
}

// MarshalJSON writes the durations in nanoseconds, by kind.
func (h *History) MarshalJSON() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return json.Marshal(maps.Clone(h.kinds))
}

// UnmarshalJSON replaces what is remembered.
func (h *History) UnmarshalJSON(b []byte) error {
	var kinds map[string][]time.Duration
	if err := json.Unmarshal(b, &kinds); err != nil {
		return err
	}
	for k, ds := range kinds {
		kinds[k] = ds[max(0, len(ds)-remembered):]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kinds = kinds
	return nil
}
