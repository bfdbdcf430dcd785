package rollout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// steady is an endpoint whose updates run to their end.
type steady struct{ *endpointtest.Variants }

func (steady) EstimateDuration(context.Context, endpoint.Change) (time.Duration, error) {
	return 0, nil
}

// An update that takes longer than its step has, and cannot be stopped, is waited
// for: if it ends with the target serving that is a success, and the note says so.
func TestUpdateThatCannotBeStoppedIsWaitedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		takes time.Duration
		fate  func(ep *endpointtest.Variants)
		want  error
	}{
		"it ends well":    {50 * time.Minute, func(*endpointtest.Variants) {}, nil},
		"it goes back":    {50 * time.Minute, func(ep *endpointtest.Variants) { ep.FailOn("model-2", "image pull") }, rollout.ErrRolledBack},
		"for too long":    {100 * time.Minute, func(*endpointtest.Variants) {}, rollout.ErrStepTimeout},
		"within its time": {10 * time.Minute, func(*endpointtest.Variants) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := newVariants(func(c *endpointtest.VariantsConfig) { c.Create = tt.takes })
				tt.fate(ep)
				before := ep.Protective()
				said := false
				r, err := rollout.Run(t.Context(), journal.NewMemory(), steady{ep}, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"),
					rollout.WithHook(func(e rollout.Event) {
						said = said || e.Kind == rollout.EventDone && strings.Contains(e.Text, "could not be stopped")
					}))
				if !errors.Is(err, tt.want) {
					t.Fatalf("Run = %v, want %v", err, tt.want)
				}
				if tt.want == nil && (r.Outcome != rollout.OutcomeSucceeded || r.Proof != strategy.ProofWorkers || said != (tt.takes > 30*time.Minute) || ep.Truth().Live != "c2") {
					t.Errorf("outcome %s, proof %s, noted %t, serving %s", r.Outcome, r.Proof, said, ep.Truth().Live)
				}
				if diff := cmp.Diff(before, ep.Protective()); diff != "" && !errors.Is(err, rollout.ErrIncomplete) {
					t.Errorf("%v, guarded values (-before +after):\n%s", err, diff)
				}
			})
		})
	}
}
