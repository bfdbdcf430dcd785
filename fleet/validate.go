package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
)

var validID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// longest is the longest time that a fleet may be asked to wait for one thing.
const longest = 1000 * time.Hour

func invalid(format string, args ...any) error {
	return fmt.Errorf("fleet: %w: %s", endpoint.ErrInvalid, fmt.Sprintf(format, args...))
}

// plan checks the fleet, and says which members each wave has, by name.
func (f *Fleet) plan() ([]waveRecord, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	names := make([]string, len(f.Members))
	waveOf := make(map[string]int, len(f.Members))
	for i, m := range f.Members {
		if err := f.checkMember(i, m); err != nil {
			return nil, err
		}
		names[i] = m.Endpoint.Name()
		if _, twice := waveOf[names[i]]; twice {
			return nil, invalid("members[%d]: %s is a member already", i, names[i])
		}
		waveOf[names[i]] = -1
	}
	var waves []waveRecord
	for i, w := range f.waves() {
		if err := w.check(i, waves); err != nil {
			return nil, err
		}
		r := waveRecord{Name: w.Name}
		if len(w.Members) > 0 {
			r.Members = slices.Clone(w.Members)
		}
		for j, m := range f.Members {
			if len(w.Members) == 0 && waveOf[names[j]] < 0 && (w.Select == nil || w.Select(m)) {
				r.Members = append(r.Members, names[j])
			}
		}
		for _, name := range r.Members {
			switch at, known := waveOf[name]; {
			case !known:
				return nil, invalid("wave %q: %s is no member", w.Name, name)
			case at >= 0:
				return nil, invalid("wave %q: %s is in a wave already", w.Name, name)
			}
			waveOf[name] = i
		}
		waves = append(waves, r)
	}
	for _, name := range names {
		if waveOf[name] < 0 {
			return nil, invalid("%s is in no wave", name)
		}
	}
	return waves, nil
}

// waves are the fleet's waves, at least one.
func (f *Fleet) waves() []Wave {
	if len(f.Waves) == 0 {
		return []Wave{{Name: "all"}}
	}
	return f.Waves
}

func (f *Fleet) check() error {
	switch {
	case !validID.MatchString(f.ID):
		return invalid("id %q: want 1 to 100 letters, digits, dots, hyphens and underscores", f.ID)
	case len(f.Members) == 0:
		return invalid("members: there are none")
	case f.Budget.Failures < 0:
		return invalid("budget.failures is %d, which is negative", f.Budget.Failures)
	case !(f.Budget.Share >= 0 && f.Budget.Share <= 1):
		return invalid("budget.share is %v, want 0 to 1", f.Budget.Share)
	case !slices.Contains([]OnBreach{"", BreachRollback, BreachStop}, f.OnBreach):
		return invalid("onBreach is %q, want %s or %s", f.OnBreach, BreachRollback, BreachStop)
	case !slices.Contains([]OnBusy{"", BusyWait, BusySkip}, f.OnBusy):
		return invalid("onBusy is %q, want %s or %s", f.OnBusy, BusyWait, BusySkip)
	case f.BusyTimeout < 0, f.BusyTimeout > longest:
		return invalid("busyTimeout is %v, want 0 to %v", f.BusyTimeout, longest)
	}
	for name, a := range f.Accounts {
		switch {
		case !(a.PerSecond >= 0 && a.PerSecond <= 1e6):
			return invalid("accounts[%q].perSecond is %v, want 0 to 1e6", name, a.PerSecond)
		case a.Burst < 0, a.ListInterval < 0:
			return invalid("accounts[%q]: burst and listInterval must not be negative", name)
		case a.Burst > 0 && a.PerSecond == 0, a.ListInterval > 0 && a.Lister == nil:
			return invalid("accounts[%q]: a burst needs perSecond, and a listInterval a lister", name)
		}
	}
	return nil
}

func (f *Fleet) checkMember(i int, m Member) error {
	switch _, known := f.Accounts[m.Account]; {
	case m.Endpoint == nil:
		return invalid("members[%d].endpoint is nil", i)
	case m.Endpoint.Name() == "":
		return invalid("members[%d].endpoint has no name", i)
	case m.Strategy == nil:
		return invalid("members[%d].strategy of %s is nil", i, m.Endpoint.Name())
	case m.Account != "" && !known:
		return invalid("members[%d].account of %s: there is no account %q", i, m.Endpoint.Name(), m.Account)
	case slices.ContainsFunc(m.Options, func(o rollout.Option) bool { return o == nil }):
		return invalid("members[%d].options of %s: one is nil", i, m.Endpoint.Name())
	}
	return nil
}

// check checks the ith wave, which follows the others.
func (w *Wave) check(i int, before []waveRecord) error {
	at := func(format string, args ...any) error {
		return invalid("waves[%d] %q: %s", i, w.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case w.Name == "":
		return at("it has no name")
	case slices.ContainsFunc(before, func(r waveRecord) bool { return r.Name == w.Name }):
		return at("another wave has that name")
	case len(w.Members) > 0 && w.Select != nil:
		return at("it has members and a selector")
	case w.AtOnce < 0:
		return at("atOnce is %d, which is negative", w.AtOnce)
	case w.Soak < 0, w.Soak > longest:
		return at("soak is %v, want 0 to %v", w.Soak, longest)
	}
	var names []string
	for j, c := range w.Checks {
		switch {
		case c.Name == "", c.Ask == nil:
			return at("checks[%d] needs a name and something to ask", j)
		case slices.Contains(names, c.Name):
			return at("two checks are named %q", c.Name)
		case c.Interval < 0, c.Interval > longest, c.UnknownLimit < 0, c.UnknownLimit > longest:
			return at("check %q: a time is negative or more than %v", c.Name, longest)
		}
		names = append(names, c.Name)
	}
	if w.Approval != nil {
		if err := w.Approval.Validate(); err != nil {
			return at("%v", err)
		}
	}
	return nil
}
