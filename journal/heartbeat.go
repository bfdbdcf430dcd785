package journal

import (
	"context"
	"time"
)

// Heartbeat says that a driver was alive.
type Heartbeat struct {
	Rollout string    `json:"rollout"`
	Owner   string    `json:"owner"`
	Time    time.Time `json:"time"`
}

// Heartbeater is an optional ability of a [Store]: one stamp for each endpoint,
// beside its journal, that whoever drives renews every [HeartbeatInterval].
//
// It is for people, and for a store without a lock: what is driven is not
// taken over. It fences nothing, the journal does that, so it need not be
// durable, and one that is lost does no harm.
type Heartbeater interface {
	// Heartbeat replaces the endpoint's stamp.
	Heartbeat(ctx context.Context, endpoint string, s Heartbeat) error
	// Stamped returns the endpoint's stamp. If there is none, its error is
	// [endpoint.ErrNotFound].
	LastHeartbeat(ctx context.Context, endpoint string) (Heartbeat, error)
}

// HeartbeatInterval is how often a driver says that it is alive. One that has not
// said so for three of these, and the settle time by which clocks may differ,
// is taken for dead.
const HeartbeatInterval = 15 * time.Second
