package endpointtest

import "time"

// past is the state just before a write.
type past[S any] struct {
	at    time.Time
	state S
}

// StaleReads lets reads lag: for d after each write, every read shows the
// state as it was just before it. Several writes become visible one after the
// other, each d after it was made. Zero, the default, ends it.
func (f *fake[S]) StaleReads(d time.Duration) { f.setStale(d, false) }

// FlickerReads is [Workers.StaleReads] with only every other read stale,
// beginning with a stale one, as if two replicas took turns in answering.
func (f *fake[S]) FlickerReads(d time.Duration) { f.setStale(d, true) }

func (f *fake[S]) setStale(d time.Duration, flicker bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	f.stale, f.flicker, f.flipped = d, flicker, false
}

// view is what a read is shown.
func (f *fake[S]) view() S {
	for len(f.past) > 0 && f.now.Sub(f.past[0].at) >= f.stale {
		f.past = f.past[1:]
	}
	if len(f.past) == 0 {
		f.flipped = false
		return f.state
	}
	if f.flicker {
		if f.flipped = !f.flipped; !f.flipped {
			return f.state
		}
	}
	return f.past[0].state
}
