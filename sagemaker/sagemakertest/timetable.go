package sagemakertest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timetable is a schedule expression: at(…), rate(…) or cron(…).
type timetable struct {
	at     *time.Time
	every  time.Duration
	from   time.Time // of a rate
	cron   *cron
	within *time.Location
}

func parseTimetable(text string, zone *time.Location, from time.Time) (timetable, error) {
	kind, rest, _ := strings.Cut(text, "(")
	body, ok := strings.CutSuffix(rest, ")")
	if !ok {
		return timetable{}, errors.New("neither at, rate nor cron")
	}
	switch kind {
	case "at":
		t, err := time.ParseInLocation("2006-01-02T15:04:05", body, zone)
		return timetable{at: &t}, err
	case "rate":
		return parseRate(body, from)
	case "cron":
		c, err := parseCron(body)
		return timetable{cron: c, within: zone}, err
	}
	return timetable{}, errors.New("neither at, rate nor cron")
}

func parseRate(body string, from time.Time) (timetable, error) {
	value, unit, _ := strings.Cut(body, " ")
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return timetable{}, errors.New("a rate is a positive number and a unit")
	}
	units := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	for name, d := range units {
		if unit == name && n == 1 || unit == name+"s" {
			return timetable{every: time.Duration(n) * d, from: from}, nil
		}
	}
	return timetable{}, fmt.Errorf("unit %q", unit)
}

// next is the first time after t, zero if there is none.
func (w timetable) next(t time.Time) time.Time {
	switch {
	case w.at != nil && w.at.After(t):
		return *w.at
	case w.every > 0 && t.Before(w.from):
		return w.from.Add(w.every)
	case w.every > 0:
		return w.from.Add((t.Sub(w.from)/w.every + 1) * w.every)
	case w.cron != nil:
		return w.cron.next(t.In(w.within)).UTC()
	}
	return time.Time{}
}

// cron is AWS's kind of cron expression: minutes, hours, day of the month,
// month, day of the week (1 is Sunday), year.
type cron struct {
	minute, hour, month, year map[int]bool
	day, weekday              func(time.Time) bool
}

var (
	monthNames = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayNames   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

const firstYear, lastYear = 1970, 2199

func parseCron(body string) (*cron, error) {
	f := strings.Fields(body)
	if len(f) != 6 {
		return nil, errors.New("a cron expression has six fields")
	}
	if (f[2] == "?") == (f[4] == "?") {
		return nil, errors.New("one of day-of-month and day-of-week is to be ?")
	}
	var errs [6]error
	var c cron
	c.minute, errs[0] = cronSet(f[0], 0, 59, nil)
	c.hour, errs[1] = cronSet(f[1], 0, 23, nil)
	c.day, errs[2] = dayOfMonth(f[2])
	c.month, errs[3] = cronSet(f[3], 1, 12, monthNames)
	c.weekday, errs[4] = dayOfWeek(f[4])
	c.year, errs[5] = cronSet(f[5], firstYear, lastYear, nil)
	return &c, errors.Join(errs[:]...)
}

// cronSet is the set of values that a list of ranges and steps names.
func cronSet(field string, first, last int, names []string) (map[int]bool, error) {
	set := map[int]bool{}
	for part := range strings.SplitSeq(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			n, err := strconv.Atoi(stepText)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("step %q", part)
			}
			step = n
		}
		lo, hi := first, last
		if span != "*" {
			from, to, ranged := strings.Cut(span, "-")
			var err error
			if lo, err = cronValue(from, first, last, names); err != nil {
				return nil, err
			}
			if ranged {
				if hi, err = cronValue(to, first, last, names); err != nil {
					return nil, err
				}
			} else if !stepped {
				hi = lo
			}
		}
		for v := lo; v <= hi; v += step {
			set[v] = true
		}
	}
	return set, nil
}

func cronValue(text string, first, last int, names []string) (int, error) {
	for i, n := range names {
		if strings.EqualFold(text, n) {
			return first + i, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < first || n > last {
		return 0, fmt.Errorf("value %q", text)
	}
	return n, nil
}

func lastDay(t time.Time) int { return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day() }

// dayOfMonth knows L, the last day, and 15W, the weekday nearest to the 15th.
func dayOfMonth(field string) (func(time.Time) bool, error) {
	switch nearest, isNearest := strings.CutSuffix(field, "W"); {
	case field == "?":
		return func(time.Time) bool { return true }, nil
	case field == "L":
		return func(t time.Time) bool { return t.Day() == lastDay(t) }, nil
	case isNearest:
		n, err := cronValue(nearest, 1, 31, nil)
		return func(t time.Time) bool { return t.Day() == nearestWeekday(t, n) }, err
	}
	set, err := cronSet(field, 1, 31, nil)
	return func(t time.Time) bool { return set[t.Day()] }, err
}

// nearestWeekday is the day of t's month, from Monday to Friday, nearest to n.
func nearestWeekday(t time.Time, n int) int {
	n = min(n, lastDay(t))
	switch time.Date(t.Year(), t.Month(), n, 0, 0, 0, 0, time.UTC).Weekday() { //nolint:exhaustive // the others are near enough
	case time.Saturday:
		if n > 1 {
			return n - 1
		}
		return n + 2
	case time.Sunday:
		if n < lastDay(t) {
			return n + 1
		}
		return n - 2
	}
	return n
}

// dayOfWeek knows 6L, the last Friday of the month, and 3#2, its second Tuesday.
func dayOfWeek(field string) (func(time.Time) bool, error) {
	day := func(t time.Time) int { return int(t.Weekday()) + 1 }
	if field == "?" {
		return func(time.Time) bool { return true }, nil
	}
	if which, nth, ok := strings.Cut(field, "#"); ok {
		d, err := cronValue(which, 1, 7, dayNames)
		n, err2 := cronValue(nth, 1, 5, nil)
		return func(t time.Time) bool { return day(t) == d && (t.Day()-1)/7+1 == n }, errors.Join(err, err2)
	}
	if which, ok := strings.CutSuffix(field, "L"); ok {
		if which == "" {
			which = "7"
		}
		d, err := cronValue(which, 1, 7, dayNames)
		return func(t time.Time) bool { return day(t) == d && t.Day()+7 > lastDay(t) }, err
	}
	set, err := cronSet(field, 1, 7, dayNames)
	return func(t time.Time) bool { return set[day(t)] }, err
}

// next is the first minute after t that the expression names, zero if there is none.
func (c *cron) next(t time.Time) time.Time {
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
	for day := midnight; day.Year() <= min(t.Year()+30, lastYear); day = day.AddDate(0, 0, 1) {
		if !c.year[day.Year()] || !c.month[int(day.Month())] || !c.day(day) || !c.weekday(day) {
			continue
		}
		for h := range 24 {
			for m := range 60 {
				if !c.hour[h] || !c.minute[m] {
					continue
				}
				at := time.Date(day.Year(), day.Month(), day.Day(), h, m, 0, 0, t.Location())
				if at.After(t) && at.Hour() == h { // an hour that the clocks skip is not made up for
					return at
				}
			}
		}
	}
	return time.Time{}
}
