package page

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// decision is what a person decided on a page.
type decision struct {
	endpoint, rollout        string
	verb, approval, by, text string
}

// ask is the form that takes a decision.
type ask struct {
	Title, Expires              string
	Endpoint, Rollout, Approval string
	Verbs                       []verb
}

type verb struct{ Value, Label, Class string }

// newAsk offers what can be decided now, nil if there is nothing.
func newAsk(t *Timeline) *ask {
	s := t.told
	a := &ask{Title: "Decide", Endpoint: t.endpoint, Rollout: t.plan.Rollout}
	if h := s.open(); h != nil {
		a.Title, a.Approval, a.Expires = "Approve "+h.name+"?", h.name, clock(h.expires)
		a.Verbs = append(a.Verbs, verb{string(rollout.Approve), "Approve", "good"}, verb{string(rollout.Reject), "Reject", "bad"})
	}
	if st := s.running(); st != nil && st.Do == strategy.ActionBake {
		a.Verbs = append(a.Verbs, verb{string(rollout.SkipBake), "Skip the bake", ""})
	}
	if !s.rollsBack() && !s.committed() && !s.ended {
		a.Verbs = append(a.Verbs, verb{string(rollout.Abort), "Abort and roll back", "bad"})
	}
	if a.Verbs == nil {
		return nil
	}
	return a
}

// askFleet offers what can be decided about a fleet now.
func askFleet(s *fleet.State) *ask {
	a := &ask{Title: "Decide", Endpoint: fleet.JournalPrefix + s.Fleet, Rollout: s.Fleet}
	for _, w := range s.Waves {
		if w.Phase == fleet.WaveHeld {
			a.Title, a.Approval, a.Expires = "Approve "+w.Approval+"?", w.Approval, clock(w.Until)
			a.Verbs = append(a.Verbs, verb{string(rollout.Approve), "Approve", "good"}, verb{string(rollout.Reject), "Reject", "bad"})
			break
		}
	}
	if s.Breach == "" {
		a.Verbs = append(a.Verbs, verb{string(rollout.Abort), "Abort", "bad"})
	}
	if a.Verbs == nil {
		return nil
	}
	return a
}

// decided takes a decision.
func (s *site) decided(w http.ResponseWriter, r *http.Request) {
	if s.authorize == nil {
		s.refuse(w, http.StatusForbidden, "This site takes no decisions.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if err := r.ParseForm(); err != nil {
		s.refuse(w, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	form := r.PostForm
	d := decision{
		endpoint: form.Get("endpoint"), rollout: form.Get("rollout"), verb: form.Get("verb"), approval: form.Get("approval"), text: form.Get("reason"),
	}
	by, err := s.authorize(r, d.endpoint)
	if err != nil || by == "" {
		s.refuse(w, http.StatusForbidden, "You may not decide about this endpoint.")
		return
	}
	d.by = by
	switch err := s.decide(r.Context(), d); {
	case err == nil:
		to := "rollout?endpoint=" + url.QueryEscape(d.endpoint)
		if id, ok := strings.CutPrefix(d.endpoint, fleet.JournalPrefix); ok {
			to = "fleet?id=" + url.QueryEscape(id)
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
	case errors.Is(err, errMovedOn), errors.Is(err, rollout.ErrDecided), errors.Is(err, rollout.ErrNothingToDecide):
		s.refuse(w, http.StatusConflict, "The rollout has moved on since this page was read. Read it again, and decide then.")
	case errors.Is(err, endpoint.ErrNotFound):
		s.refuse(w, http.StatusNotFound, "There is no such rollout.")
	case errors.Is(err, endpoint.ErrInvalid):
		s.refuse(w, http.StatusBadRequest, "This cannot be decided.")
	default:
		s.refuse(w, http.StatusBadGateway, "The decision could not be put on record. The page shows whether it was.")
	}
}

// errMovedOn: a decision is about something that is not to be decided any more.
var errMovedOn = errors.New("the rollout has moved on")

// record puts a decision on record, unless the rollout has moved on since the
// person's page was read.
func (s *site) record(ctx context.Context, d decision) error {
	if id, ok := strings.CutPrefix(d.endpoint, fleet.JournalPrefix); ok {
		return fleet.Decide(ctx, s.store, id, rollout.Decision{
			Verb: rollout.Verb(d.verb), Approval: d.approval, By: d.by, Reason: cut(d.text, mostReason),
		})
	}
	t, err := Load(ctx, s.store, d.endpoint)
	if err != nil {
		return err
	}
	a := newAsk(t)
	if t.plan.Rollout != d.rollout || a == nil || d.approval != "" && a.Approval != d.approval {
		return errMovedOn
	}
	if !slices.ContainsFunc(a.Verbs, func(v verb) bool { return v.Value == d.verb }) {
		return errMovedOn
	}
	return rollout.Decide(ctx, s.store, d.endpoint, rollout.Decision{
		Verb: rollout.Verb(d.verb), Approval: a.Approval, By: d.by, Reason: cut(d.text, mostReason),
	})
}

// mostReason is the longest reason of a decision, in characters.
const mostReason = 500

// open is the hold that waits for a decision, nil if there is none.
func (s *story) open() *hold {
	if s.ended || len(s.holds) == 0 {
		return nil
	}
	if h := s.holds[len(s.holds)-1]; h.ended.IsZero() {
		return h
	}
	return nil
}

// running is the step in progress, nil between two of them.
func (s *story) running() *step {
	for _, st := range s.steps {
		if st.state == running {
			return st
		}
	}
	return nil
}

// committed reports whether the commit point is passed.
func (s *story) committed() bool {
	return slices.ContainsFunc(s.marks, func(m mark) bool { return m.kind == journal.KindCommit })
}
