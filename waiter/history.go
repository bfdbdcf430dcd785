package waiter

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/internal/forecast"
)

// A History keeps at most so much. It comes to a megabyte.
const (
	maxSeries = 4096 // kinds and stages times endpoints
)

// History remembers how long waits took, by kind of operation and by endpoint,
// and with them the stages that the provider showed on the way. It keeps the
// newest durations of each, and of the 4096 series of them that were used last.
// The zero History is empty and ready to use, and is safe for concurrent use.
// It can be written as JSON and read back, so that a caller can keep it between
// runs; the document holds the names of kinds, endpoints and stages, and times.
type History struct {
	mu    sync.Mutex
	pools map[poolKey]*forecast.Pool
	size  int    // series in all pools
	clock uint64 // counts uses
}

// Forecast says when a wait is likely to end, as far as earlier ones of its
// kind tell. It is immutable. The nil Forecast knows nothing.
type Forecast = forecast.Forecast

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
	if p := h.pools[poolKey{kind, ""}]; p != nil && p.Series[endpoint] != nil {
		return slices.Clone(p.Series[endpoint].Took)
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
	var own []time.Duration
	if s := p.Series[endpoint]; s != nil {
		own = s.Took
		h.use(s)
	}
	return p.Forecast(own)
}

func (h *History) use(s *forecast.Series) {
	h.clock++
	s.Used = h.clock
}

func (h *History) add(key poolKey, endpoint string, d time.Duration) {
	p := h.pools[key]
	if p == nil {
		if h.pools == nil {
			h.pools = map[poolKey]*forecast.Pool{}
		}
		p = &forecast.Pool{Series: map[string]*forecast.Series{}}
		h.pools[key] = p
	}
	s := p.Series[endpoint]
	if s == nil {
		s = &forecast.Series{}
		p.Series[endpoint] = s
		h.size++
	}
	h.use(s)
	p.Learn(s, d)
	if h.size > maxSeries {
		h.forget()
	}
}

// forget drops the quarter of all series that was not used for longest, so
// that the next thousand additions need not search for one.
func (h *History) forget() {
	var used []uint64
	for _, p := range h.pools {
		for _, s := range p.Series {
			used = append(used, s.Used)
		}
	}
	slices.Sort(used)
	limit := used[len(used)/4]
	for key, p := range h.pools {
		for name, s := range p.Series {
			if s.Used < limit {
				delete(p.Series, name)
				h.size--
			}
		}
		if len(p.Series) == 0 {
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
		doc := poolDoc{Kind: key.kind, Stage: key.stage, Scores: p.Scores[:]}
		for name, s := range p.Series {
			doc.Of = append(doc.Of, seriesDoc{name, s.Took})
		}
		// What was used last is read last, and so stays the newest.
		slices.SortFunc(doc.Of, func(a, b seriesDoc) int {
			return cmp.Compare(p.Series[a.Endpoint].Used, p.Series[b.Endpoint].Used)
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
			for _, d := range s.Took[max(0, len(s.Took)-forecast.Remembered):] {
				h.add(key, s.Endpoint, d)
			}
		}
		if p := h.pools[key]; p != nil && len(doc.Scores) == forecast.Models {
			p.Scores = [forecast.Models]float64{}
			for i, s := range doc.Scores {
				p.Scores[i] = min(max(s, -1000), 0)
			}
		}
	}
	return nil
}
