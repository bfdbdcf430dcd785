package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// holder has options of its own for changes, and says who it is.
type holder struct {
	*endpointtest.Variants
	raw      json.RawMessage
	err      error
	identity string
}

func (h *holder) ChangeOptions() (json.RawMessage, error) { return h.raw, h.err }

func (h *holder) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := h.Variants.Status(ctx)
	s.Identity = h.identity
	return s, err
}

// The options that an endpoint was made with are part of the plan, unless others
// are given for the change.
func TestPlanHasTheOptionsOfTheEndpoint(t *testing.T) {
	mine, given, broken := json.RawMessage(`{"mine":1}`), json.RawMessage(`{"given":1}`), errors.New("no options")
	for name, tt := range map[string]struct {
		holder holder
		opts   []rollout.Option
		want   string
	}{
		"of the endpoint": {holder: holder{raw: mine}, want: string(mine)},
		"given":           {holder: holder{raw: mine}, opts: []rollout.Option{rollout.WithChangeOptions(given)}, want: string(given)},
		"none":            {},
		"an error":        {holder: holder{err: broken}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := tt.holder
				h.Variants = newVariants()
				p, err := rollout.Preview(t.Context(), &h, strategy.InPlace{}, rollout.ToRevision("c2"), tt.opts...)
				if !errors.Is(err, tt.holder.err) {
					t.Fatalf("Preview = %v", err)
				}
				if err == nil && string(p.Options) != tt.want {
					t.Errorf("options %s, want %s", p.Options, tt.want)
				}
			})
		})
	}
}

// A record of before an identity had its second part is of the same endpoint.
func TestIdentityOfEarlierRecords(t *testing.T) {
	for identity, known := range map[string]bool{"arn:one": true, "arn:one@2026-12-01": true, "arn:one-more": false, "arn:two@2026-12-01": false, "": true} {
		t.Run(identity, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, h := journal.NewMemory(), &holder{Variants: newVariants(), identity: "arn:one"}
				r, err := rollout.Begin(t.Context(), store, h, strategy.InPlace{}, rollout.ToRevision("c2"))
				if err != nil {
					t.Fatal(err)
				}
				for h.Truth().Live != "c2" {
					next, _, err := r.Advance(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Until(next))
				}
				r.Close()
				h.identity = identity
				_, err = rollout.Resume(t.Context(), store, h)
				if known && !errors.Is(err, rollout.ErrRolledBack) || !known && !errors.Is(err, endpoint.ErrInvalid) {
					t.Errorf("Resume = %v", err)
				}
			})
		})
	}
}

// Both updates of a canary are checked beforehand, with the options.
func TestBothUpdatesAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{Variants: newVariants(), pace: time.Hour}
		options := json.RawMessage(`{"a":1}`)
		plan, err := rollout.Preview(t.Context(), p, inSteps, rollout.ToRevision("c2"), rollout.WithChangeOptions(options))
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]int{}
		for _, c := range p.previews {
			if string(c.Options) != string(options) || (c.Draft != nil) != (c.To.ID == plan.Canary.Revision.ID) {
				t.Errorf("asked about %+v", c)
			}
			asked[c.To.ID]++
		}
		// Of the target's, the snapshot is asked for as well.
		if asked[plan.Canary.Revision.ID] != 2 || asked["c2"] != 3 {
			t.Errorf("asked about %v", asked)
		}
	})
}
