package sagemakertest

import "time"

// nextMove is when the autoscaler acts next, zero if it has nothing to move.
func (a *account) nextMove() time.Time {
	every := a.behaviour.Autoscale
	if every <= 0 {
		return time.Time{}
	}
	for _, t := range a.targets {
		if _, ok := a.move(t); ok {
			return a.now.Add(every - a.now.Sub(a.born)%every)
		}
	}
	return time.Time{}
}

// autoscale is one turn of the autoscaler. Targets take turns, since a move
// makes the endpoint refuse another one.
func (a *account) autoscale() {
	every := a.behaviour.Autoscale
	if every <= 0 || a.now.Sub(a.born)%every != 0 {
		return
	}
	all := a.allTargets()
	turn := int(a.now.Sub(a.born) / every)
	for i := range all {
		t := all[(turn+i)%len(all)]
		if n, ok := a.move(t); ok && a.setCapacity(t, n) {
			return
		}
	}
}

// move is what the autoscaler does with a target on its next turn: up one by
// one to its maximum, and from there to its minimum.
func (a *account) move(t *target) (n int32, ok bool) {
	have, there := a.capacity(t)
	in, out := t.moves()
	if e, _, c := a.scaled(t); !there || e != nil && e.status != statusInService || c != nil && c.idle() != nil {
		return 0, false
	}
	switch {
	case out && have < t.max:
		return have + 1, true
	case in && have > t.min:
		return t.min, true
	}
	return 0, false
}

// moves reports whether the autoscaler may move the target's capacity in and out.
func (t *target) moves() (in, out bool) {
	for _, p := range t.policies {
		out = true
		in = in || p.tracking == nil || !yes(p.tracking.DisableScaleIn)
	}
	return in && !t.suspended.in, out && !t.suspended.out
}
