package endpointtest

// fate is how an artifact fares once the service tries to run it.
type fate int

const (
	succeeds fate = iota
	fails
	stalls
	breaks // Variants only: the endpoint ends failed
	mixes  // Variants only: the rollback fails as well
)

// fates says how artifacts fare. It is shared by a fake and its machine, and
// guarded by the fake's mutex.
type fates struct {
	of      map[string]fate
	reasons map[string]string
}

func newFates() *fates {
	return &fates{of: map[string]fate{}, reasons: map[string]string{}}
}

func (f *fake[S]) setFate(artifact string, to fate, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	f.fates.of[artifact], f.fates.reasons[artifact] = to, reason[:min(len(reason), 1<<10)]
}

// FailOn makes the artifact fail wherever it is started from now on. Workers
// that start it turn unhealthy, and reason is told as long as one of them
// lives. Variants roll back by themselves: the endpoint returns to ready on the
// revision before, and reason, which may be empty, is told until the next update.
func (f *fake[S]) FailOn(artifact, reason string) { f.setFate(artifact, fails, reason) }

// StallOn makes the artifact never come up and never fail. An update of
// Variants to it does not end; workers that start it stay starting.
func (f *fake[S]) StallOn(artifact string) { f.setFate(artifact, stalls, "") }

// SucceedOn lets the artifact start again: the default for every artifact.
// What has failed already stays failed.
func (f *fake[S]) SucceedOn(artifact string) { f.setFate(artifact, succeeds, "") }
