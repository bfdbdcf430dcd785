package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
)

// heartbeat says once that this runner is alive. That it could not be said is
// no reason to leave an endpoint half-way.
func (r *Rollout) heartbeat(ctx context.Context) {
	h, ok := r.store.(journal.Heartbeater)
	plan := r.machine.Ledger().Plan
	if !ok || plan == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, journal.HeartbeatInterval)
	defer cancel()
	_ = h.Heartbeat(ctx, r.u.Name(), journal.Heartbeat{Rollout: plan.Rollout, Owner: r.owner, Time: time.Now().Round(0)})
}

// renew says that this runner is alive if that is due, where no other goroutine
// does, and returns when to call [Rollout.Advance] again: early enough for the
// lease not to expire.
func (r *Rollout) renew(ctx context.Context, until time.Time) time.Time {
	if _, ok := r.store.(journal.Heartbeater); !ok || r.alive || r.machine.Starting() {
		return until
	}
	now := time.Now()
	if now.Sub(r.beat) >= journal.HeartbeatInterval {
		r.beat = now
		r.heartbeat(context.WithoutCancel(ctx))
	}
	if latest := now.Add(core.LeaseTimeout); until.After(latest) {
		return latest
	}
	return until
}

// keepAlive says so again and again while [Run] and [Resume] go on, until the
// returned function is called or another runner has taken the rollout over: its
// heartbeat is not to be hidden.
func (r *Rollout) keepAlive(ctx context.Context) (stop func()) {
	if _, ok := r.store.(journal.Heartbeater); !ok {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	beat := journal.Heartbeat{Owner: r.owner}
	if p := r.machine.Ledger().Plan; p != nil {
		beat.Rollout = p.Rollout
	}
	go func() {
		defer close(ended)
		tick := time.NewTicker(journal.HeartbeatInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if r.takenOver(ctx, beat) {
				return
			}
			beat.Time = time.Now().Round(0)
			hctx, cancel := context.WithTimeout(ctx, journal.HeartbeatInterval)
			_ = r.store.(journal.Heartbeater).Heartbeat(hctx, r.u.Name(), beat)
			cancel()
		}
	}()
	return func() { cancel(); <-ended }
}

// takenOver reports whether another runner is alive because the journal names it.
func (r *Rollout) takenOver(ctx context.Context, beat journal.Heartbeat) bool {
	ctx, cancel := context.WithTimeout(ctx, journal.HeartbeatInterval)
	defer cancel()
	if h, err := lastHeartbeat(ctx, r.store, r.u.Name()); err != nil || h.Owner == beat.Owner && h.Rollout == beat.Rollout {
		return false
	}
	j, err := readLedger(ctx, r.store, r.u.Name())
	return err == nil && (!j.Unfinished() || j.Plan.Rollout != beat.Rollout || j.Owner != beat.Owner)
}

// lastHeartbeat is the endpoint's last heartbeat, if the store keeps one.
func lastHeartbeat(ctx context.Context, store journal.Store, name string) (journal.Heartbeat, error) {
	h, ok := store.(journal.Heartbeater)
	if !ok {
		return journal.Heartbeat{}, endpoint.ErrNotFound
	}
	return h.LastHeartbeat(ctx, name)
}

// holder is the last heartbeat of the runner that a journal names, and whether
// there is one.
func holder(ctx context.Context, store journal.Store, j *core.Ledger) (journal.Heartbeat, bool) {
	if !j.Unfinished() || j.Last != nil {
		return journal.Heartbeat{}, false
	}
	h, err := lastHeartbeat(ctx, store, j.Endpoint)
	return h, err == nil && h.Rollout == j.Plan.Rollout && h.Owner == j.Owner
}

// runBy says which runner an unfinished rollout has, for an error.
func runBy(ctx context.Context, store journal.Store, j *core.Ledger) string {
	text := j.Owner
	if h, ok := holder(ctx, store, j); ok {
		text += fmt.Sprintf(", last seen alive %v ago", max(0, time.Since(h.Time)).Round(time.Second))
	}
	return text
}

// heldBy adds the holder's name to the error of an endpoint that is in use.
func (r *Rollout) heldBy(ctx context.Context, err error) error {
	if j, lerr := readLedger(context.WithoutCancel(ctx), r.store, r.u.Name()); lerr == nil && j.Unfinished() {
		return fmt.Errorf("%w: since %s held by %s", err, j.Began.Format(time.RFC3339), runBy(ctx, r.store, j))
	}
	return err
}

// readLedger reads a journal beside the rollout that is in progress.
func readLedger(ctx context.Context, store journal.Store, name string) (*core.Ledger, error) {
	records, err := call(ctx, storeTime, func(ctx context.Context) ([]journal.Record, error) { return journal.Load(ctx, store, name) })
	if err != nil {
		return nil, err
	}
	return core.Fold(name, records, time.Now())
}
