package sagemaker

import (
	"fmt"
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
	// Due is the last time that it was due, First the first, and Times how often.
	Due, First time.Time
	Times      int
	// Min and Max are the bounds that it would have set; nil for one that it
	// leaves as it is.
	Min, Max *int32
}

func (m Missed) String() string {
	when := "at " + moment(m.Due)
	if m.Times > 1 {
		when = fmt.Sprintf("%d times from %s to %s", m.Times, moment(m.First), moment(m.Due))
	}
	parts := []string{fmt.Sprintf("%s: scheduled action %s was due %s", m.Target, m.Action, when)}
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
// after to, the time in which the autoscaling was suspended by p: the bounds that
// were restored may not be the ones that the schedule means for now. After a
// rollout, p is the snapshot of its plan, from is when autoscaling was suspended
// and to when it had been restored. An action that was due more than once is
// named once, with the last time. Nothing is read, and a schedule that cannot be
// understood is left out.
func (e *Endpoint) MissedActions(p endpoint.AutoscalingSnapshot, from, to time.Time) ([]Missed, error) {
	all, err := e.missed(p, from, to)
	return all, e.wrap("missed actions", err)
}

// Missed is [Endpoint.MissedActions] as texts.
func (e *Endpoint) Missed(p endpoint.AutoscalingSnapshot, from, to time.Time) ([]string, error) {
	all, err := e.MissedActions(p, from, to)
	return texts(all), err
}

// Missed is [Component.MissedActions] as texts.
func (c *Component) Missed(p endpoint.AutoscalingSnapshot, from, to time.Time) ([]string, error) {
	all, err := c.MissedActions(p, from, to)
	return texts(all), err
}

func texts(all []Missed) []string {
	var lines []string
	for _, m := range all {
		lines = append(lines, m.String())
	}
	return lines
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
			m := Missed{Target: t.String(), Action: a.Name, Min: a.Min, Max: a.Max}
			for due, ok := a.next(from); ok && !due.After(to); due, ok = a.next(due) {
				if m.Times++; m.Times == 1 {
					m.First = due
				}
				m.Due = due
			}
			if m.Times > 0 {
				all = append(all, m)
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
		due, ok = a.cron(strings.TrimSuffix(rest, ")"), t)
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
