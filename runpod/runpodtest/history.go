package runpodtest

import (
	"slices"
	"time"
)

// history keeps how the account was, as far back as any read may lag.
type history struct {
	records []record
	reads   map[Plane]int // within the lag of a write, to tell every second one
}

type record struct {
	at    time.Time
	state *State
}

// add notes the state after a change, if anything lags.
func (h *history) add(st *State) {
	lag := max(st.Behaviour.ReadLag, st.Behaviour.JobLag, st.Behaviour.WorkersLag)
	if lag <= 0 {
		h.records = nil
		return
	}
	h.records = append(h.records, record{st.now, st.clone()})
	// The newest record that is old enough for the longest lag is the last one
	// that anybody can still see.
	if i := h.last(st.now.Add(-lag)); i > 0 {
		h.records = slices.Delete(h.records, 0, i)
	}
}

// last is the index of the newest record that is not younger than t, -1 if none.
func (h *history) last(t time.Time) int {
	for i, r := range slices.Backward(h.records) {
		if !r.at.After(t) {
			return i
		}
	}
	return -1
}

// before is the account as it was that long ago, or as far back as is known.
func (h *history) before(st *State, lag time.Duration) *State {
	if len(h.records) == 0 {
		return st
	}
	return h.records[max(0, h.last(st.now.Add(-lag)))].state
}

// view is the account as a plane sees it, and the time that it sees.
func (h *history) view(st *State, p Plane) (*State, time.Time) {
	lag := st.Behaviour.JobLag
	if p == Management {
		lag = st.Behaviour.ReadLag
	}
	if lag <= 0 || len(h.records) == 0 {
		return st, st.now
	}
	i := max(0, h.last(st.now.Add(-lag)))
	if i == len(h.records)-1 {
		h.reads[p] = 0
		return st, st.now
	}
	h.reads[p]++
	if p == Management && st.Behaviour.ReadFlaps && h.reads[p]%2 == 0 {
		return st, st.now
	}
	return h.records[i].state, st.now.Add(-lag)
}
