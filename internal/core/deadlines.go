package core

import "time"

// deadlines are when the parts of a rollout are over. They begin with this
// process.
type deadlines struct {
	forwardBy time.Time // when the time of the forward part is over; zero for no limit
	restoreBy time.Time // when the time of the steps that must not be left undone is over
}

// limited ends an operation of the task when its time is over.
func (d *deadlines) limited(m *Machine, op Op) Op {
	if op.Kind == OpSleep {
		op.Until = d.limit(m, op.Until)
		return op
	}
	op.By = d.limit(m, op.By)
	return op
}

// limit is t, or when something ends before that. A zero t is no time.
func (d *deadlines) limit(m *Machine, t time.Time) time.Time {
	t = sooner(t, d.restoreBy)
	if !m.ledger.Restoring() {
		t = sooner(t, d.forwardBy)
	}
	if m.task != nil {
		t = sooner(t, m.task.by)
	}
	return t
}

// sooner is the earlier of two times, of which a zero one is no time.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// timedOut reports whether the time of the forward part is over.
func (d *deadlines) timedOut(now time.Time) bool {
	return !d.forwardBy.IsZero() && !now.Before(d.forwardBy)
}

// restoreTime is what the steps that must not be left undone may take together.
func (d *deadlines) restoreTime(m *Machine) time.Duration {
	sum := storeOutage // a store that is away for a while takes no time from them
	for _, s := range m.ledger.List()[m.ledger.Next:] {
		if sum = addSaturating(sum, s.Timeout); waitsForCapacity(s) {
			sum = addSaturating(sum, m.policy.CapacityTimeout)
		}
	}
	return sum
}

// affordable bounds how long a server is left alone because of err to what the
// present step can afford: values that a rollout has taken down do not wait for a
// day.
func (d *deadlines) affordable(m *Machine, err error, now time.Time) error {
	limit := d.limit(m, time.Time{})
	if limit.IsZero() {
		limit = now.Add(3 * time.Minute) // a read before the plan
	}
	most := max(time.Second, limit.Sub(now)/restShare).Round(time.Second)
	if down(m.ledger) {
		most = min(most, maxRestDown)
	}
	return atMost(err, now, most)
}
