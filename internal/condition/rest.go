package condition

import (
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
)

// Empty judges whether no worker is left. Where jobs can be counted, none may
// be in flight either: see [NoJobs].
func Empty(s *endpoint.Status) Verdict {
	if s.Phase == endpoint.PhaseUnknown {
		return Verdict{Note: "the provider does not say what is left"}
	}
	live := s.Live()
	return Verdict{Holds: live == 0, Note: plural(live, "worker") + " left"}
}

// NoJobs judges whether no job is in flight.
func NoJobs(j endpoint.Jobs) Verdict {
	return Verdict{Holds: j.InFlight == 0, Note: plural(j.InFlight, "job") + " in flight"}
}

// Settled judges whether no change is in progress, whatever is served.
func Settled(s *endpoint.Status) Verdict {
	switch s.Phase {
	case endpoint.PhaseFailed:
		return Verdict{Err: reason(endpoint.ErrFailed, s)}
	case endpoint.PhaseReady, endpoint.PhaseScaling, endpoint.PhasePaused, endpoint.PhaseDegraded:
		return Verdict{Holds: true}
	case endpoint.PhaseUnknown, endpoint.PhaseUpdating:
	}
	return Verdict{Note: progress(s)}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
