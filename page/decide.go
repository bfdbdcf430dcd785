package page

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
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
	s := newStory(t)
	a := &ask{Title: "Decide", Endpoint: t.endpoint, Rollout: t.plan.Rollout}
	if h := s.open(); h != nil {
		a.Title, a.Approval, a.Expires = "Approve "+h.name+"?", h.name, clock(h.expires)
		a.Verbs = append(a.Verbs, verb{"approve", "Approve", "good"}, verb{"reject", "Reject", "bad"})
	}
	if s.bakes() {
		a.Verbs = append(a.Verbs, verb{"skip-bake", "Skip the bake", ""})
	}
	if !s.rollsBack() && !s.committed() && !s.ended {
		a.Verbs = append(a.Verbs, verb{"abort", "Abort and roll back", "bad"})
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
		w.Header().Set("Location", "rollout?endpoint="+url.QueryEscape(d.endpoint))
		w.WriteHeader(http.StatusSeeOther)
	case errors.Is(err, errMovedOn), errors.Is(err, journal.ErrConflict):
		s.refuse(w, http.StatusConflict, "The rollout has moved on since this page was read. Read it again, and decide then.")
	case errors.Is(err, endpoint.ErrNotFound):
		s.refuse(w, http.StatusNotFound, "There is no such rollout.")
	case errors.Is(err, endpoint.ErrInvalid):
		s.refuse(w, http.StatusBadRequest, "This cannot be decided.")
	default:
		s.refuse(w, http.StatusBadGateway, "The decision could not be put on record. Whether it was, the page shows.")
	}
}

// errMovedOn: a decision is about something that is not to be decided any more.
var errMovedOn = errors.New("the rollout has moved on")

// current refuses a decision that a person made by an older page.
func (s *site) current(ctx context.Context, d decision) error {
	t, err := Load(ctx, s.store, d.endpoint)
	if err != nil {
		return err
	}
	a := newAsk(t)
	if t.plan.Rollout != d.rollout || a == nil || a.Approval != d.approval {
		return errMovedOn
	}
	for _, v := range a.Verbs {
		if v.Value == d.verb {
			return nil
		}
	}
	return errMovedOn
}

// record puts a decision on record.
func (s *site) record(ctx context.Context, d decision) error {
	if err := s.current(ctx, d); err != nil {
		return err
	}
	return errors.ErrUnsupported
}

// waits reports whether a journal's last record waits for a decision.
func waits(*journal.Record) bool { return false }

// bakes reports whether the step in progress is a bake.
func (s *story) bakes() bool {
	return s.running() != nil && s.running().Do == "bake"
}

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
	for _, m := range s.marks {
		if m.kind == journal.KindCommit {
			return true
		}
	}
	return false
}
