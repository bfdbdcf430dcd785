package journal

import (
	"context"
	"time"
)

// Heartbeat says that a runner was alive at a time, by its own clock.
type Heartbeat struct {
	Rollout string    `json:"rollout"`
	Owner   string    `json:"owner"`
	Time    time.Time `json:"time"`
}

// Heartbeater is an optional ability of a [Store]: one heartbeat for each
// endpoint, beside its journal, that the runner replaces every
// [HeartbeatInterval].
//
// It is for people, and for a store without a [Locker]: a rollout whose runner
// is alive is not taken over. It fences nothing, the journal does that, so it
// need not be durable, and one that is lost does no harm.
type Heartbeater interface {
	// Heartbeat replaces the endpoint's heartbeat.
	Heartbeat(ctx context.Context, endpoint string, h Heartbeat) error
	// LastHeartbeat returns the endpoint's heartbeat. If there is none, its
	// error is [endpoint.ErrNotFound].
	LastHeartbeat(ctx context.Context, endpoint string) (Heartbeat, error)
}

// HeartbeatInterval is how often a runner says that it is alive. One that has
// been silent for three of these, and for the settle time by which clocks may
// differ, is taken for dead.
const HeartbeatInterval = 15 * time.Second
