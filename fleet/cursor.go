package fleet

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/rollout"
)

// cursor is what a runner knows that is not in the journal, from one call of Advance
// to the next.
type cursor struct {
	Moving  []moving    `json:"moving,omitempty"`
	Remains []remaining `json:"remains,omitempty"`
	Told    string      `json:"told,omitempty"` // the last wave that was said to begin
	Gate    *gateCursor `json:"gate,omitempty"`
}

// moving is a member that is under way.
type moving struct {
	Endpoint string `json:"endpoint"`
	Undo     bool   `json:"undo,omitempty"`
	Finish   bool   `json:"finish,omitempty"`
}

// remaining is a member that something remains to be done for.
type remaining struct {
	Endpoint string `json:"endpoint"`
	Why      string `json:"why"`
	Undo     bool   `json:"undo,omitempty"` // it was tried to undo it
}

// gateCursor is a gate; see gate.
type gateCursor struct {
	Wave   string        `json:"wave"`
	Since  time.Time     `json:"since"`
	Until  time.Time     `json:"until"`
	Checks []checkCursor `json:"checks,omitempty"`
}

// checkCursor is how far a check is; see checkState.
type checkCursor struct {
	Due     time.Time      `json:"due,omitzero"`
	Passed  bool           `json:"passed,omitempty"`
	Unknown time.Time      `json:"unknown,omitzero"`
	Last    rollout.Result `json:"last,omitempty"`
	Reason  string         `json:"reason,omitempty"`
}

func (c *cursor) read(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, c); err != nil {
		return invalid("the cursor cannot be read: %v", err)
	}
	return nil
}

func (c *cursor) text() ([]byte, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("fleet: cursor: %w", err)
	}
	return text, nil
}

func newCursor(r *runner) *cursor {
	c := &cursor{}
	for _, w := range r.waves {
		for _, m := range w.members {
			if why, ok := r.remains[m]; ok {
				c.Remains = append(c.Remains, remaining{m.name, why, m.undoing})
			}
			if m.state == active {
				c.Moving = append(c.Moving, moving{m.name, m.undoing, m.finish})
			}
		}
		if w.told {
			c.Told = w.Name
		}
	}
	if g := r.gate; g != nil {
		c.Gate = &gateCursor{Wave: g.wave.Name, Since: g.since, Until: g.until}
		for _, s := range g.checks {
			c.Gate.Checks = append(c.Gate.Checks, checkCursor{s.due, s.passed, s.unknown, s.last, s.reason})
		}
	}
	return c
}

// restore puts a runner where the one before was. What the journal says of a member
// counts for more: the answer of the call before may have been lost.
func (c *cursor) restore(r *runner) {
	remains, under := map[string]remaining{}, map[string]moving{}
	for _, m := range c.Remains {
		remains[m.Endpoint] = m
	}
	for _, m := range c.Moving {
		under[m.Endpoint] = m
	}
	told := c.Told != ""
	for _, w := range r.waves {
		w.told = told
		if w.Name == c.Told {
			told = false
		}
		for _, m := range w.members {
			if rest, ok := remains[m.name]; ok {
				r.remains[m], m.state, m.outcome, m.undoing = rest.Why, ended, Incomplete, rest.Undo
			}
			if u, ok := under[m.name]; ok && !r.endedMeanwhile(m, u) {
				m.undoing, m.finish = u.Undo, u.Finish
				r.enter(m)
			}
		}
		if g := c.Gate; g != nil && g.Wave == w.Name && len(g.Checks) == len(w.Checks) && !r.ledger.passed[w.Name] && r.ledger.breach == "" {
			r.gate = &gate{wave: w, since: g.Since, until: g.Until}
			for _, s := range g.Checks {
				r.gate.checks = append(r.gate.checks, checkState{due: s.Due, passed: s.Passed, unknown: s.Unknown, last: s.Last, reason: s.Reason})
			}
		}
	}
}

// endedMeanwhile reports whether the journal has how a move ended that the cursor has
// as under way.
func (r *runner) endedMeanwhile(m *member, u moving) bool {
	rec, onRecord := r.ledger.ended[m.name]
	if u.Undo {
		return r.ledger.untouched[m.name] || onRecord && Outcome(rec.Outcome) != Succeeded
	}
	return onRecord
}
