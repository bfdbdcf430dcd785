package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// provider notes what it is asked for, and has a pace.
type provider struct {
	*endpointtest.Variants
	updates, previews []endpoint.Change
	pace              time.Duration
	lenient           bool // does not mind the same artifact
}

func (p *provider) Update(ctx context.Context, c endpoint.Change) error {
	p.updates = append(p.updates, c)
	return p.Variants.Update(ctx, c)
}

func (p *provider) SnapshotAutoscaling(ctx context.Context, c endpoint.Change) (endpoint.AutoscalingSnapshot, error) {
	p.previews = append(p.previews, c)
	return p.Variants.SnapshotAutoscaling(ctx, c)
}

func (p *provider) Preflight(ctx context.Context, c endpoint.Change, s endpoint.Settings) ([]string, error) {
	p.previews = append(p.previews, c)
	if p.lenient {
		return nil, nil
	}
	return p.Variants.Preflight(ctx, c, s)
}

func (p *provider) EstimateDuration(_ context.Context, c endpoint.Change) (time.Duration, error) {
	p.previews = append(p.previews, c)
	return p.pace, nil
}

// A provider is told which way a change goes, what is going to be made for it,
// and whether autoscaling is frozen meanwhile.
func TestChangeSaysWhatItIsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{Variants: newVariants()}
		_, err := rollout.Run(t.Context(), journal.NewMemory(), p, strategy.ScaleProtectedSwap{}, rollout.ToArtifact("model-3"),
			rollout.WithChangeOptions(json.RawMessage(`{"canary":true}`)),
			gate("numbers", func(context.Context, endpoint.Status) error { return errors.New("the numbers are bad") }))
		if !errors.Is(err, rollout.ErrCheck) || !strings.Contains(err.Error(), "the numbers are bad") {
			t.Fatalf("Run = %v", err)
		}
		if len(p.updates) != 2 || p.updates[0].Rollback || !p.updates[1].Rollback || p.updates[1].To.ID != "c1" || string(p.updates[1].Options) != `{"canary":true}` {
			t.Errorf("updates are %+v", p.updates)
		}
		if len(p.previews) < 4 {
			t.Errorf("asked %d times in advance", len(p.previews))
		}
		for i, c := range p.previews {
			// Whether autoscaling is frozen is not known before the first snapshot.
			if c.Draft == nil || c.Draft.Revision != c.To || c.Rollback || c.AutoscalingSuspended != (i > 1) {
				t.Errorf("asked in advance, %d: %+v", i, c)
			}
		}
	})
}

func TestPaceAddsToPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timeouts := func(pace time.Duration) map[string]time.Duration {
			all := map[string]time.Duration{}
			plan, err := rollout.Preview(t.Context(), &provider{Variants: newVariants(), pace: pace}, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range plan.Rollback {
				all[s.Name] = s.Timeout
			}
			return all
		}
		usual, slow := timeouts(0), timeouts(8*time.Hour)
		for step, more := range map[string]time.Duration{"update": 8 * time.Hour, "await serving": 8 * time.Hour, "verify": 0} {
			if slow[step]-usual[step] != more {
				t.Errorf("%s may take %v, and %v with a slow provider", step, usual[step], slow[step])
			}
		}
	})
}

// Where a provider checks what it is going to serve, it is the one to know
// whether the same artifact makes a difference.
func TestPreflightDecidesAboutTheSameArtifact(t *testing.T) {
	for _, lenient := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{lenient: lenient, Variants: newVariants(func(c *endpointtest.VariantsConfig) {
				c.Revisions["bigger"] = "model-1"
			})}
			_, err := rollout.Preview(t.Context(), p, strategy.InPlace{}, rollout.ToRevision("bigger"))
			if errors.Is(err, endpoint.ErrSameArtifact) == lenient {
				t.Errorf("Preview = %v", err)
			}
		})
	}
}
