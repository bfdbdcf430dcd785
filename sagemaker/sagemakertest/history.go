package sagemakertest

import "time"

// history keeps the account as it was before the writes that reads may
// not show yet. Each service has its own: a write to one does not make the
// reads of another lag.
type history struct {
	past    map[Service][]record
	flipped map[Service]bool
}

type record struct {
	at    time.Time
	state *account // just before the write
}

// before copies the account, if anything lags.
func (h *history) before(a *account) *account {
	if a.behaviour.ReadLag <= 0 {
		return nil
	}
	return a.clone()
}

// add notes an accepted write.
func (h *history) add(s Service, at time.Time, before *account) {
	if before != nil {
		h.past[s] = append(h.past[s], record{at, before})
	}
}

// view is the account as the reads of a service see it: for ReadLag after each
// write, as it was just before that.
func (h *history) view(s Service, a *account) *account {
	past := h.past[s]
	for len(past) > 0 && a.now.Sub(past[0].at) >= a.behaviour.ReadLag {
		past = past[1:]
	}
	h.past[s] = past
	if len(past) == 0 {
		h.flipped[s] = false
		return a
	}
	if h.flipped[s] = !h.flipped[s]; a.behaviour.ReadFlaps && !h.flipped[s] {
		return a
	}
	past[0].state.now = a.now
	return past[0].state
}
