package core

// signals are what the caller has told the machine, which acts on it with the
// next operation.
type signals struct {
	cancelled error // the caller's context is done
	broken    error // code of the caller that belongs to no step panicked
	hardStop  bool
	woken     bool    // an event cuts the present sleep short
	frozen    *Freeze // nil if nothing is
}

// Cancel says that the caller's context is done. Before the commit point the
// rollout then goes back, or stops.
func (s *signals) Cancel(cause error) { s.cancelled = cause }

// Cancelled reports whether the caller's context is done.
func (s *signals) Cancelled() bool { return s.cancelled != nil }

// Break says that code of the caller that belongs to no step panicked. Before
// the commit point the rollout then goes back.
func (s *signals) Break(cause error) { s.broken = cause }

// Broken reports whether [Machine.Break] was called.
func (s *signals) Broken() bool { return s.broken != nil }

// HardStop says that even a rollback is to stop at once.
func (s *signals) HardStop() { s.hardStop = true }

// Wake says that something happened that the present wait may be for.
func (s *signals) Wake() { s.woken = true }

// Freeze tells the machine of a freeze window. It never keeps a rollback from running.
func (s *signals) Freeze(f Freeze) {
	if s.frozen = nil; !f.Until.IsZero() {
		s.frozen = &f
	}
}
