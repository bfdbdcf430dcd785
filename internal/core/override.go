package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// A provider that takes capacity away because it does nothing but fail leaves
// values that look like anybody's. It tells of them while the failures show
// ([endpoint.Status.ProviderOverrides]), and at no other time: so they go on
// record with the first poll that shows them, for any runner that finds the values.

// remember puts on record what the provider sets by itself, and why. It reports
// whether there was anything new.
func remember(m *Machine, s *endpoint.Status) bool {
	if !m.ledger.Unfinished() || m.task.planning() || len(s.ProviderOverrides) == 0 || m.ledger.failed(s.Desired) {
		return false
	}
	before := *s
	m.rec.add(journal.Record{Kind: journal.KindOverridden, Before: &before, Note: s.Reason})
	return true
}

// overrule takes in that the provider sets values of its own, and why.
func (vs *values) overrule(s *endpoint.Status, why string) {
	vs.failing, vs.failure = append(vs.failing, s.Desired), why
	if vs.overridden == nil {
		vs.overridden = endpoint.Settings{}
	}
	maps.Copy(vs.overridden, s.ProviderOverrides)
}

// overridden are the settings that have the provider's own value, where the
// rollout has to leave another; the maximum before the minimum. A read that may
// be older than a write of the rollout says nothing: it must not be taken for
// the provider's doing the same once more.
func (k *known) overridden(s endpoint.Status, now time.Time) []string {
	j := k.ledger
	return slices.DeleteFunc(j.Plan.Settings.Keys(), func(key string) bool {
		have := s.Settings[key]
		return !j.overrides(key, have) || have == j.Plan.Settings[key] || now.Before(j.consistentAfter(key))
	})
}

// overriddenError is the error of a rollout whose target the provider has given up on.
func (k *known) overriddenError(now time.Time) error {
	var found []string
	for _, key := range k.overridden(k.seen, now) {
		found = append(found, fmt.Sprintf("%s is %d", key, k.seen.Settings[key]))
	}
	return fmt.Errorf("%w: %w (%s): %s", endpoint.ErrFailed, errOverridden, strings.Join(found, ", "), orUnknown(k.ledger.failure))
}

// restoreOverridden undoes what the provider did to the capacity because of
// another revision: without that nothing could become ready. The wait w goes on
// after that. If it was because of the target, the target has failed.
func restoreOverridden(m *Machine, w *waiting, now time.Time) finding {
	keys := m.overridden(m.seen, now)
	if !m.ledger.RollingBack && m.ledger.failed(Change(m.ledger.Plan, false).To) {
		return finding{err: m.overriddenError(now)}
	}
	t := m.task
	t.wait, t.interrupted, t.repairing = nil, w, true
	set(m, now, keys[0], m.ledger.Plan.Settings[keys[0]])
	return finding{}
}
