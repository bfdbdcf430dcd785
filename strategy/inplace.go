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
		Forward:  slices.Concat([]Step{f.update()}, f.prove(), f.commit(), []Step{f.verify()}),
		Rollback: []Step{f.update()},
		Notes:    f.proofNote(),
	}
	if f.Draft != nil {
		p.Forward = slices.Insert(p.Forward, 0, f.write(ActionStage))
	}
	if f.lends() {
		p.Rollback = append(p.Rollback, f.bounds()...)
	}
	p.Rollback = append(p.Rollback, f.readyAgain(), f.verify())
	return p, nil
}
