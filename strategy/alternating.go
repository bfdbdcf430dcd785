package strategy

import (
	"fmt"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
)

// AlternatingTemplate keeps two revisions, of which one is live: it stages the
// new artifact into the idle one and moves the endpoint over. The other stays
// as it was, so that the way back is one write. It is what RunPod's "Updating
// Your Endpoint" recommends for production: two templates to swap between,
// with different name:tag.
type AlternatingTemplate struct {
	// Templates are the IDs of the two revisions. One of them must be live.
	Templates [2]string
}

func (AlternatingTemplate) String() string { return "alternating-template" }

// Check refuses a pair that is none, before anything is read.
func (s AlternatingTemplate) Check() error {
	if a, b := s.Templates[0], s.Templates[1]; a == "" || b == "" || a == b {
		return fmt.Errorf("templates %q and %q: %w: two different ones are needed", a, b, endpoint.ErrInvalid)
	}
	return nil
}

// Base names the idle one of the two, which the new artifact is staged into.
func (s AlternatingTemplate) Base(live endpoint.Revision) (endpoint.Revision, error) {
	if err := s.Check(); err != nil {
		return endpoint.Revision{}, err
	}
	a, b := s.Templates[0], s.Templates[1]
	switch {
	case live.ID == a:
		return endpoint.Revision{Kind: live.Kind, ID: b}, nil
	case live.ID == b:
		return endpoint.Revision{Kind: live.Kind, ID: a}, nil
	}
	return endpoint.Revision{}, fmt.Errorf("the endpoint serves %s, which is neither %s nor %s: %w", live, a, b, endpoint.ErrInvalid)
}

// Plan implements [Strategy].
func (s AlternatingTemplate) Plan(f Facts) (Plan, error) {
	idle, err := s.Base(f.Status.Desired)
	if err != nil {
		return Plan{}, err
	}
	if f.Draft == nil || f.Target.ID != idle.ID {
		return Plan{}, fmt.Errorf("the target must be an artifact to stage into %s: %w", idle, endpoint.ErrInvalid)
	}
	p := Plan{
		Forward:  slices.Concat([]Step{f.Stage(), f.Update()}, f.ProveTarget(), f.Commit(), []Step{f.Verify()}),
		Rollback: []Step{f.Update()},
		Notes: append(f.ProofNotes(),
			fmt.Sprintf("overwritten: %s gets %s", f.Draft.Base, f.Target.Artifact),
			fmt.Sprintf("kept as the way back: %s", f.Status.Desired)),
	}
	if f.Lends() {
		p.Rollback = append(p.Rollback, f.RestoreBounds()...)
	}
	p.Rollback = append(p.Rollback, f.AwaitSource(), f.Verify())
	return p, nil
}
