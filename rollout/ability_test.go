package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// wrapped is a store that a caller wrapped, such as to count its calls.
type wrapped struct{ journal.Store }

func (w wrapped) Unwrap() journal.Store { return w.Store }

// connected is a store whose lock ends with its holder's connection.
type connected struct {
	unlocked
	held map[string]bool
}

func newConnected() *connected { return &connected{unlocked{journal.NewMemory()}, map[string]bool{}} }

func (c *connected) Lease(_ context.Context, name string) (func() error, error) {
	if c.held[name] {
		return nil, fmt.Errorf("leased: %w", endpoint.ErrBusy)
	}
	c.held[name] = true
	return func() error { c.held[name] = false; return nil }, nil
}

// TestWrappedStore: a store that wraps another one locks, leases and beats as that does.
func TestWrappedStore(t *testing.T) {
	for name, inner := range map[string]journal.Store{"a lock": journal.NewMemory(), "a lease": newConnected()} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx := endpointtest.NewWorkers(endpointtest.WorkersConfig{
					Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
				})
				inPlace, toB := strategy.InPlace{}, rollout.ToRevision("b")
				store := wrapped{inner}
				r, err := rollout.Begin(t.Context(), store, fx, inPlace, toB, rollout.WithOwner("first"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := rollout.Run(t.Context(), store, fx, inPlace, toB); !errors.Is(err, endpoint.ErrBusy) {
					t.Errorf("a second runner: %v", err)
				}
				if _, err := rollout.Abandon(t.Context(), store, fx.Name(), "in a hurry"); !errors.Is(err, endpoint.ErrBusy) {
					t.Errorf("Abandon beside a runner: %v", err)
				}
				if h, ok := inner.(journal.Heartbeater); ok {
					if h, err := h.LastHeartbeat(t.Context(), fx.Name()); err != nil || h.Owner != "first" {
						t.Errorf("heartbeat %+v: %v", h, err)
					}
				}
				r.Close()
				if _, err := rollout.Run(t.Context(), store, fx, inPlace, toB); err != nil {
					t.Errorf("after it: %v", err)
				}
			})
		})
	}
}

// TestNoStore: whatever reads a journal refuses a store that is nil.
func TestNoStore(t *testing.T) {
	for name, call := range map[string]func(context.Context) error{
		"Explain":    func(ctx context.Context) error { _, err := rollout.Explain(ctx, nil, "fake/e"); return err },
		"Inspect":    func(ctx context.Context) error { _, err := rollout.Inspect(ctx, nil, "fake/e"); return err },
		"LoadSeries": func(ctx context.Context) error { _, err := rollout.LoadSeries(ctx, nil, "fake/e", "r"); return err },
		"Decide": func(ctx context.Context) error {
			return rollout.Decide(ctx, nil, "fake/e", rollout.Decision{Verb: rollout.Abort, By: "dana"})
		},
		"Abandon": func(ctx context.Context) error {
			r, err := rollout.Abandon(ctx, nil, "fake/e", "gone")
			if r == nil || r.Outcome != rollout.OutcomeRefused {
				t.Errorf("Abandon returned the report %+v", r)
			}
			return err
		},
		"fleet.Inspect": func(ctx context.Context) error { _, err := fleet.Inspect(ctx, nil, "f"); return err },
		"fleet.Decide": func(ctx context.Context) error {
			return fleet.Decide(ctx, nil, "f", rollout.Decision{Verb: rollout.Abort, By: "dana"})
		},
	} {
		if err := call(t.Context()); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("%s of no store: %v", name, err)
		}
	}
}
