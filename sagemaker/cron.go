package sagemaker

import (
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"
)

// cron is when a cron expression is due next after t. AWS's have the fields
// minute, hour, day of the month, month, day of the week and year; those of
// package cronexpr begin with the second, and count the days of the week from 0.
func (a schedule) cron(expression string, t time.Time) (time.Time, bool) {
	zone, err := a.zone()
	fields := strings.Fields(expression)
	if err != nil || len(fields) != 6 {
		return time.Time{}, false
	}
	weekday, ok := weekdays(fields[4])
	if !ok {
		return time.Time{}, false
	}
	fields[4] = weekday
	x, err := cronexpr.Parse("0 " + strings.Join(fields, " "))
	if err != nil {
		return time.Time{}, false
	}
	due := x.Next(t.In(zone))
	return due, !due.IsZero()
}

// weekdays has the days of a week counted from 0, where AWS counts from 1, which
// is Sunday. The number after a # or a / is none.
func weekdays(field string) (string, bool) {
	if field == "L" {
		return "6", true // Saturday
	}
	var parts []string
	for part := range strings.SplitSeq(field, ",") {
		days, rest := part, ""
		if i := strings.IndexAny(part, "#/"); i >= 0 {
			days, rest = part[:i], part[i:]
		}
		var ends []string
		for end := range strings.SplitSeq(days, "-") {
			number, last := strings.CutSuffix(end, "L")
			if n, err := strconv.Atoi(number); err == nil {
				if n < 1 || n > 7 {
					return "", false
				}
				number = strconv.Itoa(n - 1)
			}
			if last {
				number += "L"
			}
			ends = append(ends, number)
		}
		parts = append(parts, strings.Join(ends, "-")+rest)
	}
	return strings.Join(parts, ","), true
}
