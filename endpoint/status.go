package endpoint

import (
	"maps"
	"slices"
	"time"
)

// Phase says what an endpoint is doing. The zero value is [PhaseUnknown],
// which is never a success: whoever waits goes on waiting.
type Phase int

const (
	// PhaseUnknown is a state that the provider did not report, or that this
	// version of the module does not know.
	PhaseUnknown Phase = iota
	// PhaseReady means that no change is in progress and that the capacity
	// the settings ask for is up.
	PhaseReady
	// PhaseScaling means that the revision is settled while capacity is still
	// starting, or is short.
	PhaseScaling
	// PhaseUpdating means that the provider is carrying out a change. It may
	// refuse another one meanwhile.
	PhaseUpdating
	// PhasePaused means that the settings ask for no capacity at all: requests
	// are refused. What is left of it may still be on its way out.
	PhasePaused
	// PhaseDegraded means that no change is in progress and part of the
	// capacity is unhealthy.
	PhaseDegraded
	// PhaseFailed is terminal: the provider will not recover by itself.
	PhaseFailed
)

var phaseNames = [...]string{"unknown", "ready", "scaling", "updating", "paused", "degraded", "failed"}

// String returns the phase's name in lower case.
func (p Phase) String() string {
	if p < 0 || int(p) >= len(phaseNames) {
		return "unknown"
	}
	return phaseNames[p]
}

// MarshalText writes the phase's name.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a phase's name. A name it does not know becomes
// [PhaseUnknown], so that an older program can read a newer journal.
func (p *Phase) UnmarshalText(b []byte) error {
	*p = Phase(max(0, slices.Index(phaseNames[:], string(b))))
	return nil
}

// Status is an endpoint as one poll shows it.
type Status struct {
	// Identity tells the endpoint from those of its name in other accounts and
	// regions; "" if the name is enough. It never changes.
	Identity string `json:"identity,omitempty"`
	Phase    Phase  `json:"phase"`
	// Desired is what the provider has accepted to serve, also while it is
	// still carrying that out: RunPod shows a new template at once, SageMaker
	// names the pending configuration beside the one in service.
	Desired Revision `json:"desired,omitzero"`
	// Serving is the one revision that all capacity in service is proven to
	// run. Zero when nothing is proven: no worker is up, or several revisions are.
	Serving Revision `json:"serving,omitzero"`
	// Mixed is true while capacity of more than one revision is in service.
	Mixed bool `json:"mixed,omitempty"`
	// Share is the share of the traffic, in percent, that the target's part of a
	// [Canary] has while one is served: from 0 to 100. Nil if none is.
	Share *int `json:"share,omitempty"`
	// Generation is the provider's own change counter or time; "" if it has none.
	Generation string `json:"generation,omitempty"`
	// Settings are the values that a rollout has to leave as they were.
	Settings Settings `json:"settings,omitempty"`
	// ProviderOverrides are the values that the provider gives to Settings by itself,
	// against what was configured, because the capacity does nothing but fail:
	// those that it is going to set, and those that it is known to have set. They
	// are nobody's decision: a rollout that goes back sets them right.
	ProviderOverrides Settings `json:"providerOverrides,omitempty"`
	// Fields are the endpoint's settings that a rollout does not write, such as
	// variables, places and time-outs, by the provider's names: each with its value
	// or, where that may be secret or long, with a fingerprint of it. A field that
	// changes while a rollout runs was changed by another. That is drift: it is
	// named and kept, and does not end the rollout. Nil if the provider does not tell.
	Fields map[string]string `json:"fields,omitempty"`
	// UpSince is when the one of the ready workers on Desired that has been up the
	// longest last started, by the provider's clock. A crash loop whose workers are
	// shown as running is never up for long. Zero if no worker is ready or the
	// provider does not tell.
	UpSince time.Time `json:"upSince,omitzero"`
	// Restarts is how often workers on Desired were seen to start again, by start
	// times that moved, while the provider listed them. It is counted by the process
	// that reads, and begins anew with it and with another Desired.
	Restarts int `json:"restarts,omitempty"`
	// Pools count the capacity, one pool per variant.
	Pools []Pool `json:"pools,omitempty"`
	// Evidence names what Serving and Pools rest on, where the provider shows
	// them by more than one API; "" if there is but one.
	Evidence string `json:"evidence,omitempty"`
	// UpdateStage is where an update in progress stands; zero if the provider does
	// not say.
	UpdateStage UpdateStage `json:"updateStage,omitzero"`
	// Reason is the provider's own explanation of a failure, cut to 1 KiB.
	Reason string `json:"reason,omitempty"`
}

// Live is the number of workers or instances of every pool, in whatever state.
func (s Status) Live() int {
	n := 0
	for _, p := range s.Pools {
		n += p.Live()
	}
	return n
}

// Unproven reports whether nothing shows that Desired works although no change
// is in progress: Serving is zero, and all of the capacity, or all of one pool,
// is configured to be none. Such a status can only be taken by its configuration.
func (s Status) Unproven() bool {
	if !s.Serving.IsZero() || s.Mixed {
		return false
	}
	empty := len(s.Pools) == 0
	for _, p := range s.Pools {
		if p.Live() > p.Ready {
			return false
		}
		empty = empty || p.Ready == 0
	}
	return empty
}

// Unhealthy is the number of unhealthy workers or instances on [Status.Desired].
func (s Status) Unhealthy() int {
	n := 0
	for _, p := range s.Pools {
		n += p.Unhealthy
	}
	return n
}

// Settings are named whole numbers, such as "workers.min" or
// "variant/AllTraffic/instances". The keys are the provider's.
type Settings map[string]int

// Settings that bound the workers of an endpoint, for providers that have
// them. An endpoint whose WorkersMax is 0 is paused.
const (
	WorkersMin = "workers.min"
	WorkersMax = "workers.max"
)

// Clone returns a copy that shares nothing with s.
func (s Settings) Clone() Settings { return maps.Clone(s) }

// Keys returns the keys in order.
func (s Settings) Keys() []string { return slices.Sorted(maps.Keys(s)) }

// Pool counts workers or instances. Each is counted in exactly one field:
// Stale if it runs another revision than [Status.Desired], whatever its state,
// else by its state.
type Pool struct {
	Name      string `json:"name,omitempty"`
	Ready     int    `json:"ready,omitempty"`
	Starting  int    `json:"starting,omitempty"`
	Throttled int    `json:"throttled,omitempty"` // waiting for the provider's capacity
	Unhealthy int    `json:"unhealthy,omitempty"`
	Stale     int    `json:"stale,omitempty"`
}

// Live is the sum of all counts.
func (p Pool) Live() int { return p.Ready + p.Starting + p.Throttled + p.Unhealthy + p.Stale }

// UpdateStage is one part of an update in progress, in the provider's words.
type UpdateStage struct {
	Name string `json:"name,omitempty"`
	// Since is when the stage began, by the provider's clock.
	Since time.Time `json:"since,omitzero"`
	// For is how long the stage is configured to take; zero if that is open.
	For     time.Duration `json:"for,omitempty"`
	Message string        `json:"message,omitempty"`
}

// Jobs is the work at hand, for providers with a queue.
type Jobs struct {
	InFlight int `json:"inFlight"`
	Queued   int `json:"queued"`
}
