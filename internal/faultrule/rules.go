// Package faultrule decides which calls of a fake fail: of those that match, the
// nth from now on, and so many in a row.
package faultrule

import "cmp"

// Rules say which calls C meet which fault F. The zero Rules have none. They are
// not safe for concurrent use.
type Rules[C, F any] struct{ all []*rule[C, F] }

type rule[C, F any] struct {
	matches          func(C) bool
	nth, times, seen int
	fault            F
}

// Add makes calls fail that match: the nth from now on, 1 if zero, and then
// times in a row, 1 if zero and all if negative.
func (r *Rules[C, F]) Add(matches func(C) bool, nth, times int, f F) {
	r.all = append(r.all, &rule[C, F]{matches: matches, nth: cmp.Or(nth, 1), times: cmp.Or(times, 1), fault: f})
}

// Find returns the fault of a call. If several are for it, the one that was
// added first happens, and the others count the call.
func (r *Rules[C, F]) Find(c C) (f F, found bool) {
	for _, is := range r.all {
		if !is.matches(c) {
			continue
		}
		is.seen++
		if !found && is.seen >= is.nth && (is.times < 0 || is.seen < is.nth+is.times) {
			f, found = is.fault, true
		}
	}
	return f, found
}
