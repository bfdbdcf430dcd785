package endpointtest

import (
	"slices"
	"time"
)

// Call is one line of the log: a read, a write, a write that landed late, or
// a third party's change.
type Call struct {
	// At is when the call reached the service, or came to nothing on the way.
	At time.Time
	// Name is what hooks are told: "status", "set workers.max=0".
	Name string
	// Write is the number of the remote write; 0 for reads and foreign changes.
	Write int
	// Applied is true if the call changed, or confirmed, the state.
	Applied bool
	// Err is what the service answered, or why the call did not reach it.
	Err error
}

// Calls returns everything that happened so far, in order. A call that was
// refused for its done context was never sent, and is not in it.
func (f *fake[S]) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	return slices.Clone(f.log)
}

func (f *fake[S]) note(c Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	c.At = f.now
	f.log = append(f.log, c)
}
