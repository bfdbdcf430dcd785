package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
)

// lease keeps other runners from taking the rollout over while this one is alive.
type lease struct {
	owner string
	alive bool      // a goroutine sends heartbeats
	beat  time.Time // when one was sent without
}

// heartbeat says once that this runner is alive. That it could not be said is
// no reason to leave an endpoint half-way.
func (l *lease) heartbeat(ctx context.Context, b *book, m *core.Machine) {
	h, ok := journal.As[journal.Heartbeater](b.store)
	plan := m.Ledger().Plan
	if !ok || plan == nil {
		return
	}
	beat(ctx, h, b.name, journal.Heartbeat{Rollout: plan.Rollout, Owner: l.owner, Time: time.Now().Round(0)})
}

// beat sends a heartbeat. That it could not be sent is no error.
func beat(ctx context.Context, h journal.Heartbeater, name string, b journal.Heartbeat) {
	_ = do(ctx, "the store's Heartbeat", journal.HeartbeatInterval, func(ctx context.Context) error { return h.Heartbeat(ctx, name, b) })
}

// renew says that this runner is alive if that is due, where no other goroutine
// does, and returns when to call [Rollout.Advance] again: early enough for the
// lease not to expire.
func (l *lease) renew(ctx context.Context, b *book, m *core.Machine, until time.Time) time.Time {
	if _, ok := journal.As[journal.Heartbeater](b.store); !ok || l.alive || m.Starting() {
		return until
	}
	now := time.Now()
	if now.Sub(l.beat) >= journal.HeartbeatInterval {
		l.beat = now
		l.heartbeat(context.WithoutCancel(ctx), b, m)
	}
	if latest := now.Add(core.LeaseTimeout); until.After(latest) {
		return latest
	}
	return until
}

// keep says so again and again while [Run] and [Resume] go on, until the
// returned function is called or another runner has taken the rollout over: its
// heartbeat is not to be hidden.
func (l *lease) keep(ctx context.Context, b *book, m *core.Machine) (stop func()) {
	l.alive = true
	h, ok := journal.As[journal.Heartbeater](b.store)
	if !ok {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	sent := journal.Heartbeat{Owner: l.owner}
	if p := m.Ledger().Plan; p != nil {
		sent.Rollout = p.Rollout
	}
	store, name := b.store, b.name // the rest of the book is the rollout's
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
			if takenOver(ctx, store, name, sent) {
				return
			}
			sent.Time = time.Now().Round(0)
			beat(ctx, h, name, sent)
		}
	}()
	return func() { cancel(); <-ended }
}

// takenOver reports whether another runner is alive because the journal names it.
func takenOver(ctx context.Context, store journal.Store, name string, sent journal.Heartbeat) bool {
	ctx, cancel := context.WithTimeout(ctx, journal.HeartbeatInterval)
	defer cancel()
	if h, err := lastHeartbeat(ctx, store, name, storeTime); err != nil || h.Owner == sent.Owner && h.Rollout == sent.Rollout {
		return false
	}
	j, err := readLedger(ctx, store, name)
	return err == nil && (!j.Unfinished() || j.Plan.Rollout != sent.Rollout || j.Owner != sent.Owner)
}

// lastHeartbeat is the endpoint's last heartbeat, if the store keeps one.
func lastHeartbeat(ctx context.Context, store journal.Store, name string, within time.Duration) (journal.Heartbeat, error) {
	h, ok := journal.As[journal.Heartbeater](store)
	if !ok {
		return journal.Heartbeat{}, endpoint.ErrNotFound
	}
	return call(ctx, "the store's LastHeartbeat", within, func(ctx context.Context) (journal.Heartbeat, error) { return h.LastHeartbeat(ctx, name) })
}

// holder is the last heartbeat of the runner that a journal names, and whether
// there is one.
func holder(ctx context.Context, store journal.Store, j *core.Ledger) (journal.Heartbeat, bool) {
	if !j.Unfinished() || j.Last != nil {
		return journal.Heartbeat{}, false
	}
	h, err := lastHeartbeat(ctx, store, j.Endpoint, storeTime)
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
func heldBy(ctx context.Context, store journal.Store, name string, err error) error {
	ctx = context.WithoutCancel(ctx)
	j, lerr := readLedger(ctx, store, name)
	switch {
	case !errors.Is(err, endpoint.ErrBusy):
		return err
	case lerr != nil || !j.Unfinished(): // it is being planned
		if h, herr := lastHeartbeat(ctx, store, name, storeTime); herr == nil && h.Owner != "" {
			return fmt.Errorf("%w: held by %s, last seen alive %v ago", err, h.Owner, max(0, time.Since(h.Time)).Round(time.Second))
		}
		return err
	}
	return fmt.Errorf("%w: since %s held by %s", err, j.Began.Format(time.RFC3339), runBy(ctx, store, j))
}

// readLedger reads a journal beside the rollout that is in progress.
func readLedger(ctx context.Context, store journal.Store, name string) (*core.Ledger, error) {
	records, err := loadJournal(ctx, store, name)
	if err != nil {
		return nil, err
	}
	return core.Fold(name, records, time.Now())
}
