package waiter

import (
	"strconv"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// maxStages is how many stages of one wait are told apart. An update of more
// steps than that goes on under the name of the last.
const maxStages = 32

// stages are those that a wait has seen, in order.
type stages struct {
	seen []stage
	// shown and dated are the last that the provider showed; in is false while
	// it shows none.
	shown string
	dated time.Time
	in    bool
}

type stage struct {
	name  string        // with a number if it is not the first of its name
	since time.Time     // by the provider's clock if that can be right
	takes time.Duration // as configured
}

// aligned is by how much two dates of one stage may differ.
const aligned = time.Second

// enter takes in what a poll showed, and reports whether it is another stage
// than before. A wait on a third party's update may begin long after its stage.
func (s *stages) enter(now endpoint.UpdateStage, start, at time.Time) bool {
	was := s.in
	s.in = now.Name != ""
	if !s.in {
		return was
	}
	same := len(s.seen) > 0 && now.Name == s.shown && now.Since.Sub(s.dated).Abs() < aligned
	s.shown, s.dated = now.Name, now.Since
	if same {
		s.seen[len(s.seen)-1].takes = now.For
		return !was
	}
	since := now.Since
	if since.After(at) || since.Before(start.Add(-24*time.Hour)) {
		since = at
	}
	n := 1
	for _, e := range s.seen {
		if e.name == numbered(now.Name, n) {
			n++
		}
	}
	if len(s.seen) < maxStages {
		s.seen = append(s.seen, stage{name: numbered(now.Name, n), since: since, takes: now.For})
		return true
	}
	last := &s.seen[maxStages-1]
	last.since, last.takes = since, now.For
	return true
}

func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	return name + " " + strconv.Itoa(n)
}

// name of the present stage, "" if there is none.
func (s *stages) name() string {
	if !s.in {
		return ""
	}
	return s.seen[len(s.seen)-1].name
}

// lasted is how long the present stage has lasted.
func (s *stages) lasted(now time.Time) time.Duration {
	if !s.in {
		return 0
	}
	return max(0, now.Sub(s.seen[len(s.seen)-1].since))
}

// addStages remembers how long before the end each stage began, beyond what it
// was configured to take.
func (h *History) addStages(kind, name string, s stages, end time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range s.seen {
		h.add(poolKey{kind, e.name}, name, max(0, end.Sub(e.since)-e.takes))
	}
}
