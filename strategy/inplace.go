package strategy

import "slices"

// InPlace asks the provider for the new revision and lets it roll the workers
// in its own way. It causes no downtime of its own. It fails, and goes back,
// if the provider's rolling release does not converge in time.
type InPlace struct{}

func (InPlace) String() string { return "in-place" }

// Plan implements [Strategy].
func (InPlace) Plan(f Facts) (Plan, error) {
	p := Plan{
		Forward:  slices.Concat([]Step{f.Update()}, f.ProveTarget(), f.Commit(), []Step{f.Verify()}),
		Rollback: []Step{f.Update()},
		Notes:    f.ProofNotes(),
	}
	if f.Draft != nil {
		p.Forward = slices.Insert(p.Forward, 0, f.Stage())
	}
	if f.Lends() {
		p.Rollback = append(p.Rollback, f.RestoreBounds()...)
	}
	p.Rollback = slices.Concat(p.Rollback, []Step{f.AwaitSource()}, f.Unstage(), []Step{f.Verify()})
	return p, nil
}
