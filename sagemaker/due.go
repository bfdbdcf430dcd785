package sagemaker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Missed is a scheduled action that was due while scheduled scaling was
// suspended, or its target deregistered. Application Auto Scaling does not
// make up for it.
type Missed struct {
	Target string // "variant main"
	Action string
	Due    time.Time // the last time that it was due
	// Min and Max are the bounds that it would have set; nil for one that it
	// leaves as it is.
	Min, Max *int32
}

func (m Missed) String() string {
	parts := []string{fmt.Sprintf("%s: scheduled action %s was due at %s", m.Target, m.Action, m.Due.UTC().Format(time.RFC3339))}
	for _, b := range []struct {
		name string
		v    *int32
	}{{"min", m.Min}, {"max", m.Max}} {
		if b.v != nil {
			parts = append(parts, fmt.Sprintf("%s %d", b.name, *b.v))
		}
	}
	return strings.Join(parts, ", ")
}

// MissedActions are the scheduled actions that were due after from and not
// after to, the time in which the endpoint was protected by p: the bounds that
// were restored may not be the ones that the schedule means for now. After a
// rollout, from and to are its report's Began and Finished, and p is the
// Protection of its plan. Nothing is read, and a schedule that cannot be
// understood is left out.
func (e *Endpoint) MissedActions(p endpoint.AutoscalingSnapshot, from, to time.Time) ([]Missed, error) {
	all, err := e.missed(p, from, to)
	return all, e.wrap("missed actions", err)
}

func (as *autoscaling) missed(p endpoint.AutoscalingSnapshot, from, to time.Time) ([]Missed, error) {
	s, err := as.openSnapshot(p.Data)
	if err != nil {
		return nil, err
	}
	var all []Missed
	for _, t := range s.Targets {
		if t.Mode == AutoscalingRetain || t.Suspended.Scheduled {
			continue // it fires, or would not have fired
		}
		for _, a := range t.Schedules {
			var last time.Time
			for due, ok := a.next(from); ok && !due.After(to); due, ok = a.next(due) {
				last = due
			}
			if !last.IsZero() {
				all = append(all, Missed{t.String(), a.Name, last, a.Min, a.Max})
			}
		}
	}
	return all, nil
}

// over reports whether the action can never fire again.
func (a schedule) over(now time.Time) bool {
	if a.End != nil && !a.End.After(now) {
		return true
	}
	at, once := strings.CutPrefix(a.Schedule, "at(")
	if !once {
		return false
	}
	due, err := a.at(at)
	return err == nil && !due.After(now)
}

func (a schedule) zone() (*time.Location, error) {
	if a.Timezone == "" {
		return time.UTC, nil
	}
	return time.LoadLocation(a.Timezone)
}

func (a schedule) at(rest string) (time.Time, error) {
	zone, err := a.zone()
	if err != nil {
		return time.Time{}, err
	}
	return time.ParseInLocation("2006-01-02T15:04:05", strings.TrimSuffix(rest, ")"), zone)
}

// next is when the action is due next after t, as far as that is within a year.
func (a schedule) next(t time.Time) (due time.Time, ok bool) {
	if a.Start != nil && t.Before(*a.Start) {
		t = a.Start.Add(-time.Second)
	}
	switch kind, rest, _ := strings.Cut(a.Schedule, "("); kind {
	case "at":
		at, err := a.at(rest)
		due, ok = at, err == nil && at.After(t)
	case "rate":
		due, ok = a.rate(rest, t)
	case "cron":
		due, ok = a.cron(rest, t)
	}
	if ok && a.End != nil && due.After(*a.End) {
		return time.Time{}, false
	}
	return due, ok
}

// rate counts from the action's start, or from when it was made.
func (a schedule) rate(rest string, t time.Time) (time.Time, bool) {
	fields := strings.Fields(strings.TrimSuffix(rest, ")"))
	if len(fields) != 2 {
		return time.Time{}, false
	}
	n, err := strconv.Atoi(fields[0])
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[strings.TrimSuffix(fields[1], "s")]
	if err != nil || n < 1 || n > 1<<20 || unit == 0 {
		return time.Time{}, false
	}
	from, every := a.Created, time.Duration(n)*unit
	if a.Start != nil {
		from = *a.Start
	}
	if from.IsZero() {
		return time.Time{}, false
	}
	if t.Before(from) {
		return from, true
	}
	return from.Add((t.Sub(from)/every + 1) * every), true
}

// cronField is one field of a cron expression.
type cronField struct {
	least, most int
	names       []string // of the values, from least
}

var (
	months = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	days   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
	fields = []cronField{{0, 59, nil}, {0, 23, nil}, {1, 31, nil}, {1, 12, months}, {1, 7, days}, {1970, 2199, nil}}
)

// cron looks at each minute of matching days. Day fields may be L, W and #.
func (a schedule) cron(rest string, t time.Time) (time.Time, bool) {
	spec := strings.Fields(strings.TrimSuffix(rest, ")"))
	zone, err := a.zone()
	if len(spec) != len(fields) || err != nil {
		return time.Time{}, false
	}
	local := t.In(zone)
	for d := range 367 {
		day := time.Date(local.Year(), local.Month(), local.Day()+d, 0, 0, 0, 0, zone)
		if !matchesDay(spec, day) {
			continue
		}
		for h := range 24 {
			if !matches(fields[1], spec[1], h) {
				continue
			}
			for m := range 60 {
				due := time.Date(day.Year(), day.Month(), day.Day(), h, m, 0, 0, zone)
				if due.After(t) && due.Hour() == h && matches(fields[0], spec[0], m) {
					return due, true
				}
			}
		}
	}
	return time.Time{}, false
}

func matchesDay(spec []string, day time.Time) bool {
	if !matches(fields[3], spec[3], int(day.Month())) || !matches(fields[5], spec[5], day.Year()) {
		return false
	}
	last := time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, day.Location()).Day()
	of, on := spec[2], spec[4]
	month := matches(fields[2], of, day.Day()) || of == "L" && day.Day() == last || weekdayNear(of, day, last)
	weekday := int(day.Weekday()) + 1
	week := matches(fields[4], on, weekday)
	if name, ok := strings.CutSuffix(on, "L"); ok {
		week = matches(fields[4], orElse(name, "7"), weekday) && (name == "" || day.Day()+7 > last)
	}
	if name, nth, ok := strings.Cut(on, "#"); ok {
		n, err := strconv.Atoi(nth)
		week = err == nil && matches(fields[4], name, weekday) && (day.Day()+6)/7 == n
	}
	return month && week
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// weekdayNear is the W of a day of month: the weekday nearest to it.
func weekdayNear(spec string, day time.Time, last int) bool {
	number, ok := strings.CutSuffix(spec, "W")
	n, err := strconv.Atoi(number)
	if number == "L" {
		n, err = last, nil
	}
	if !ok || err != nil || n < 1 || n > last {
		return false
	}
	want := time.Date(day.Year(), day.Month(), n, 0, 0, 0, 0, day.Location())
	switch {
	case want.Weekday() == time.Saturday && n > 1, want.Weekday() == time.Sunday && n == last:
		n -= map[bool]int{true: 1, false: 2}[want.Weekday() == time.Saturday]
	case want.Weekday() == time.Saturday:
		n += 2
	case want.Weekday() == time.Sunday:
		n++
	}
	return day.Day() == n
}

// matches reports whether v is in a list such as "0,15,30-45/5".
func matches(f cronField, spec string, v int) bool {
	return slices.ContainsFunc(strings.Split(spec, ","), func(part string) bool {
		part, step, stepped := strings.Cut(part, "/")
		every := 1
		if stepped {
			n, err := strconv.Atoi(step)
			if err != nil || n < 1 {
				return false
			}
			every = n
		}
		least, most := f.least, f.most
		if part != "*" && part != "?" {
			lo, hi, ranged := strings.Cut(part, "-")
			a, ok := f.value(lo)
			if !ok {
				return false
			}
			least = a
			if !stepped {
				most = a
			}
			if ranged {
				if most, ok = f.value(hi); !ok {
					return false
				}
			}
		}
		return v >= least && v <= most && (v-least)%every == 0
	})
}

func (f cronField) value(s string) (int, bool) {
	if i := slices.Index(f.names, strings.ToUpper(s)); i >= 0 {
		return f.least + i, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= f.least && n <= f.most
}
