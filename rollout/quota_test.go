package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// quota is a provider's refusal that says, or does not, what it would take.
type quota struct {
	most  int
	known bool
}

func (q quota) Error() string       { return fmt.Sprintf("at most %d workers", q.most) }
func (q quota) AtMost() (int, bool) { return q.most, q.known }
func (quota) Unwrap() error         { return endpoint.ErrQuota }

// limited is an endpoint whose account has lost some of its quota. Its other
// abilities are found on what it wraps.
type limited struct {
	endpoint.Updater
	scaler endpoint.Scaler
	refuse func(key string, value int) error
}

func (l *limited) Unwrap() endpoint.Updater { return l.Updater }

func (l *limited) Set(ctx context.Context, key string, value int) error {
	if err := l.refuse(key, value); err != nil {
		return err
	}
	return l.scaler.Set(ctx, key, value)
}

// Where the full capacity cannot be put back, as much of it as the account
// allows is. The rollout is incomplete all the same, and names the full value.
func TestAsMuchAsTheQuotaAllows(t *testing.T) {
	for _, tt := range []struct {
		name   string
		quota  quota
		after  map[string]string // protective values
		served int               // workers in the end
	}{
		{"two of three", quota{2, true}, map[string]string{"workers.min": "1", "workers.max": "2"}, 1},
		{"none", quota{0, true}, map[string]string{"workers.min": "0", "workers.max": "0"}, 0},
		{"all, it says", quota{3, true}, map[string]string{"workers.min": "0", "workers.max": "0"}, 0},
		{"it does not say", quota{2, false}, map[string]string{"workers.min": "0", "workers.max": "0"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := flushFixture()
				taken := true
				ep := &limited{fx, fx, func(key string, value int) error {
					if taken && key == endpoint.WorkersMax && (value > tt.quota.most || value == 3) {
						return &endpoint.Error{Op: "set " + key, Endpoint: fx.Name(), Err: tt.quota}
					}
					return nil
				}}
				store := journal.NewMemory()
				r, err := rollout.Run(t.Context(), store, ep, fx.strategy, fx.target)
				if !errors.Is(err, rollout.ErrIncomplete) || !errors.Is(err, endpoint.ErrQuota) || r.Outcome != rollout.OutcomeIncomplete {
					t.Fatalf("Run = %s, %v; want it incomplete by the quota", r.Outcome, err)
				}
				if !slices.ContainsFunc(r.Residue, func(x rollout.Remainder) bool {
					return x.Kind == rollout.RemainderSetting && x.Thing == endpoint.WorkersMax && x.Want == "3" && x.Remedy == "set workers.max to 3" &&
						x.Found != "" && strings.Contains(x.Reason, tt.quota.Error()) && strings.HasPrefix(x.String(), "set workers.max to 3 (")
				}) {
					t.Errorf("residue %q does not name the full value and why", r.Residue)
				}
				if diff := cmp.Diff(tt.after, fx.Protective()); diff != "" {
					t.Errorf("protective values meanwhile (-want +got):\n%s", diff)
				}
				s := fx.Truth()
				if s.Live != "a" || len(s.Workers) < tt.served {
					t.Errorf("serves template %s with %d workers, want a with %d", s.Live, len(s.Workers), tt.served)
				}
				taken = false
				_, err = rollout.Resume(t.Context(), store, ep)
				fx.wantRolledBack(t, err, rollout.ErrRolledBack)
			})
		})
	}
}

// On the way forward less than the full capacity is a failure like any other:
// the rollout goes back.
func TestQuotaOnTheWayForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		var asked []int
		ep := &limited{fx, fx, func(key string, value int) error {
			if key != endpoint.WorkersMax || value != 3 {
				return nil
			}
			if asked = append(asked, value); len(asked) == 1 {
				return quota{2, true}
			}
			return nil
		}}
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target)
		fx.wantRolledBack(t, err, endpoint.ErrQuota)
		if slices.Contains(fx.writes(), "set workers.max=2") {
			t.Errorf("it went forward with less: %v", fx.writes())
		}
	})
}
