package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// setting brings a setting to a value, and does more than one write for it
// where that is needed: a value that does not fit what the provider did in the
// meantime is refused until that is undone, and of a value that a quota forbids
// as much is restored as the quota allows.
type setting struct {
	key   string
	value int
	queue []journal.Write // still to be made after the provider's values were polled
	err   error           // that the first attempt was refused with
	phase settingPhase
}

type settingPhase int

const (
	setFirst settingPhase = iota
	setCatchUp
	setQueue
	setQuota
)

// setStep is the program of a step that sets a setting.
func setStep(m *Machine, value int, needed bool, now time.Time) {
	t := m.task
	switch t.at++; {
	case t.at > 1:
		t.finished(m, "", t.err, now)
	case !needed:
		t.complete(m, untouched, now)
	case m.ledger.keptPaused(t.step.Key):
		t.complete(m, "left alone", now)
	default:
		set(m, now, t.step.Key, value)
	}
}

// set begins to bring a setting to a value.
func set(m *Machine, now time.Time, key string, value int) {
	m.task.setting = &setting{key: key, value: value}
	m.write(now, journal.Write{Thing: key, Value: &value})
}

// written takes in the end of a write of the setting.
func (s *setting) written(m *Machine, err error, now time.Time) {
	switch {
	case s.phase == setQuota && err != nil:
		err = errors.Join(s.err, err)
	case s.phase == setQuota:
		err = s.err
	case s.phase == setFirst && restoresSettings(m) && errors.Is(err, endpoint.ErrInvalid):
		s.phase, s.err = setCatchUp, err
		w := m.wait(now, waitCatchUp, OpStatus)
		w.until = now.Add(max(m.ledger.Plan.Settle, m.policy.ErrorInterval))
		return
	case err == nil && len(s.queue) > 0:
		s.writeNext(m, now)
		return
	default:
		if s.quota(m, err, now) {
			return
		}
	}
	m.task.setting = nil
	m.task.settingDone(m, s.key, err, now)
}

// restoresSettings reports whether settings are being put back: in a rollback,
// or because the provider overrode them.
func restoresSettings(m *Machine) bool {
	return m.ledger.RollingBack || m.task.repairing
}

// waited takes in that reads have caught up after a refusal: the provider's own
// values are undone first, the maximum before the minimum.
func (s *setting) waited(m *Machine, err error, now time.Time) {
	if err != nil {
		m.task.setting = nil
		m.task.settingDone(m, s.key, s.err, now)
		return
	}
	s.phase = setQueue
	for _, key := range append(m.overridden(m.seen, now), s.key) {
		value := m.ledger.Plan.Settings[key]
		if key == s.key {
			value = s.value
		}
		s.queue = append(s.queue, journal.Write{Thing: key, Value: &value})
	}
	s.writeNext(m, now)
}

func (s *setting) writeNext(m *Machine, now time.Time) {
	w := s.queue[0]
	s.queue = s.queue[1:]
	m.write(now, w)
}

// quota goes as far as a quota allows where a value is only put back: too
// little capacity is better than none. The step has failed all the same.
func (s *setting) quota(m *Machine, err error, now time.Time) bool {
	var quota interface{ AtMost() (int, bool) }
	if !m.ledger.Restoring() || m.task.repairing || !errors.Is(err, endpoint.ErrQuota) || !errors.As(err, &quota) {
		return false
	}
	most, known := quota.AtMost()
	if !known || most <= m.seen.Settings[s.key] || most >= s.value {
		return false
	}
	s.phase, s.err = setQuota, fmt.Errorf("only %d for now: %w", most, err)
	m.write(now, journal.Write{Thing: s.key, Value: &most})
	return true
}

// settingDone goes on after a setting: with the next one that the provider
// overrode, with the wait that found that, or with the step.
func (t *task) settingDone(m *Machine, key string, err error, now time.Time) {
	if !t.repairing {
		t.done(m, nil, err, now)
		return
	}
	if keys := m.overridden(m.seen, now); err == nil && len(keys) > 0 {
		set(m, now, keys[0], m.ledger.Plan.Settings[keys[0]])
		return
	}
	t.repairing = false
	var drift *driftError
	switch {
	case m.ledger.RollingBack && errors.As(err, &drift): // it is not the provider's value any more
		m.rec.noteDrift(m, drift.Drift)
	case err != nil:
		t.done(m, nil, fmt.Errorf("%s was not restored: %w", key, err), now)
		return
	}
	t.waitAgain(m, now)
}

// waitAgain begins the wait of the step once more, after the provider's own
// values were undone.
func (t *task) waitAgain(m *Machine, now time.Time) {
	old := t.interrupted
	t.interrupted = nil
	w := m.wait(now, old.kind, OpStatus)
	w.ready, w.until = m.readyFor(old.ready.Unproven), old.until
}
