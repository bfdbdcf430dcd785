package waiter

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// What a History keeps, at most. It comes to a megabyte.
const (
	remembered = 16   // durations of one kind on one endpoint
	maxSeries  = 4096 // kinds and stages times endpoints
)

// History remembers how long waits took, by kind of operation and by endpoint,
// and with them the stages that the provider showed on the way. It keeps the
// newest durations of each, and of the 4096 series of them that were used last.
// The zero History is empty and ready to use, and is safe for concurrent use.
// It can be written as JSON and read back, so that a caller can keep it between
// runs; the document holds the names of kinds, endpoints and stages, and times.
type History struct {
	mu    sync.Mutex
	pools map[poolKey]*pool
	size  int    // series in all pools
	clock uint64 // counts uses
}

// poolKey names an operation, and one of its stages or "" for all of it.
type poolKey struct{ kind, stage string }

// Add remembers that a wait of the kind on the endpoint took d.
func (h *History) Add(kind, endpoint string, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.add(poolKey{kind, ""}, endpoint, d)
}

// Durations returns what is remembered of the kind on the endpoint, oldest
// first, as a copy.
func (h *History) Durations(kind, endpoint string) []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pools[poolKey{kind, ""}]; p != nil && p.series[endpoint] != nil {
		return slices.Clone(p.series[endpoint].took)
	}
	return nil
}

// Forecast says when a wait of the kind on the endpoint is likely to end: what
// a [Schedule] is handed by a wait with [WithHistory].
func (h *History) Forecast(kind, endpoint string) *Forecast { return h.forecast(kind, "", endpoint) }

// forecast is nil if nothing is known of the kind and the stage.
func (h *History) forecast(kind, stage, endpoint string) *Forecast {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pools[poolKey{kind, stage}]
	if p == nil {
		return nil
	}
	var own []float64
	if s := p.series[endpoint]; s != nil {
		own = logs(s.took)
		h.use(s)
	}
	return newForecast(p.predict(own))
}

func (h *History) use(s *series) {
	h.clock++
	s.used = h.clock
}

func (h *History) add(key poolKey, endpoint string, d time.Duration) {
	p := h.pools[key]
	if p == nil {
		if h.pools == nil {
			h.pools = map[poolKey]*pool{}
		}
		p = &pool{series: map[string]*series{}}
		h.pools[key] = p
	}
	s := p.series[endpoint]
	if s == nil {
		s = &series{}
		p.series[endpoint] = s
		h.size++
	}
	h.use(s)
	p.learn(s, d)
	if h.size > maxSeries {
		h.forget()
	}
}

// forget drops the quarter of all series that was not used for longest, so
// that the next thousand additions need not look for one.
func (h *History) forget() {
	var used []uint64
	for _, p := range h.pools {
		for _, s := range p.series {
			used = append(used, s.used)
		}
	}
	slices.Sort(used)
	limit := used[len(used)/4]
	for key, p := range h.pools {
		for name, s := range p.series {
			if s.used < limit {
				delete(p.series, name)
				h.size--
			}
		}
		if len(p.series) == 0 {
			delete(h.pools, key)
		}
	}
}

// The document that a History is written as.
type (
	poolDoc struct {
		Kind   string      `json:"kind"`
		Stage  string      `json:"stage,omitempty"`
		Scores []float64   `json:"scores,omitempty"`
		Of     []seriesDoc `json:"of"`
	}
	seriesDoc struct {
		Endpoint string          `json:"endpoint"`
		Took     []time.Duration `json:"took"` // nanoseconds
	}
)

// MarshalJSON writes what is remembered.
func (h *History) MarshalJSON() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	docs := []poolDoc{}
	for key, p := range h.pools {
		doc := poolDoc{Kind: key.kind, Stage: key.stage, Scores: p.scores[:]}
		for name, s := range p.series {
			doc.Of = append(doc.Of, seriesDoc{name, s.took})
		}
		// What was used last is read last, and so stays the newest.
		slices.SortFunc(doc.Of, func(a, b seriesDoc) int {
			return cmp.Compare(p.series[a.Endpoint].used, p.series[b.Endpoint].used)
		})
		docs = append(docs, doc)
	}
	slices.SortFunc(docs, func(a, b poolDoc) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Stage, b.Stage))
	})
	return json.Marshal(docs)
}

// UnmarshalJSON replaces what is remembered. It takes no more than a History
// keeps, and of scores that make no sense none.
func (h *History) UnmarshalJSON(b []byte) error {
	var docs []poolDoc
	if err := json.Unmarshal(b, &docs); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pools, h.size, h.clock = nil, 0, 0
	for _, doc := range docs {
		key := poolKey{doc.Kind, doc.Stage}
		for _, s := range doc.Of {
			for _, d := range s.Took[max(0, len(s.Took)-remembered):] {
				h.add(key, s.Endpoint, d)
			}
		}
		if p := h.pools[key]; p != nil && len(doc.Scores) == models {
			p.scores = [models]float64{}
			for i, s := range doc.Scores {
				p.scores[i] = min(max(s, -1000), 0)
			}
		}
	}
	return nil
}
