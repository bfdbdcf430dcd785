package sagemaker

import (
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	from := at("2026-11-22T18:30:30Z") // a Sunday
	start, end := at("2026-12-01T00:00:00Z"), at("2026-11-22T20:00:00Z")
	for _, tt := range []struct {
		name string
		a    schedule
		want string // empty: never
	}{
		{"cron", schedule{Schedule: "cron(0 22 * * ? *)"}, "2026-11-22T22:00:00Z"},
		{"cron tomorrow", schedule{Schedule: "cron(0 18 * * ? *)"}, "2026-11-23T18:00:00Z"},
		{"steps", schedule{Schedule: "cron(0/20 * * * ? *)"}, "2026-11-22T18:40:00Z"},
		{"list and range", schedule{Schedule: "cron(15,45 8-10 ? * MON-FRI *)"}, "2026-11-23T08:15:00Z"},
		{"zone", schedule{Schedule: "cron(0 22 * * ? *)", Timezone: "America/New_York"}, "2026-11-23T03:00:00Z"},
		{"named month", schedule{Schedule: "cron(0 3 1 JUL ? *)"}, "2027-07-01T03:00:00Z"},
		{"weekday by number", schedule{Schedule: "cron(0 0 ? * 2 *)"}, "2026-11-23T00:00:00Z"},
		{"last day", schedule{Schedule: "cron(0 0 L * ? *)"}, "2026-11-30T00:00:00Z"},
		{"last Friday", schedule{Schedule: "cron(0 0 ? * 6L *)"}, "2026-11-27T00:00:00Z"},
		{"third Tuesday", schedule{Schedule: "cron(0 0 ? * 3#3 *)"}, "2026-12-15T00:00:00Z"},
		{"nearest weekday", schedule{Schedule: "cron(0 0 29W * ? *)"}, "2026-11-30T00:00:00Z"},
		{"year", schedule{Schedule: "cron(0 0 1 1 ? 2027)"}, "2027-01-01T00:00:00Z"},
		{"year over", schedule{Schedule: "cron(0 0 1 1 ? 2025)"}, ""},
		{"bad cron", schedule{Schedule: "cron(0 0 1 1 ?)"}, ""},
		{"nonsense", schedule{Schedule: "cron(x y z a b c)"}, ""},
		{"at", schedule{Schedule: "at(2026-11-22T19:00:00)"}, "2026-11-22T19:00:00Z"},
		{"at, past", schedule{Schedule: "at(2026-11-22T18:00:00)"}, ""},
		{"at in a zone", schedule{Schedule: "at(2026-11-22T19:45:00)", Timezone: "Europe/Berlin"}, "2026-11-22T18:45:00Z"},
		{"rate", schedule{Schedule: "rate(1 hour)", Created: at("2026-11-22T10:15:00Z")}, "2026-11-22T19:15:00Z"},
		{"rate from a start", schedule{Schedule: "rate(2 days)", Created: at("2026-11-22T10:15:00Z"), Start: &start}, "2026-12-01T00:00:00Z"},
		{"unknown zone", schedule{Schedule: "cron(0 22 * * ? *)", Timezone: "Moon/Far"}, ""},
		{"ended before", schedule{Schedule: "cron(0 22 * * ? *)", End: &end}, ""},
		{"not before its start", schedule{Schedule: "cron(0 22 * * ? *)", Start: &start}, "2026-12-01T22:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			due, ok := tt.a.next(from)
			if got := due.UTC().Format(time.RFC3339); ok != (tt.want != "") || ok && got != tt.want {
				t.Errorf("next is %s, %t; want %s", got, ok, tt.want)
			}
		})
	}
}

func TestOver(t *testing.T) {
	now := time.Date(2026, 11, 22, 18, 30, 0, 0, time.UTC)
	past := now.Add(-time.Hour)
	for _, tt := range []struct {
		a    schedule
		want bool
	}{
		{schedule{Schedule: "at(2026-11-22T18:00:00)"}, true},
		{schedule{Schedule: "at(2026-11-22T19:00:00)"}, false},
		{schedule{Schedule: "at(2026-11-22T19:00:00)", Timezone: "Europe/Berlin"}, true},
		{schedule{Schedule: "cron(0 22 * * ? *)"}, false},
		{schedule{Schedule: "cron(0 22 * * ? *)", End: &past}, true},
		{schedule{Schedule: "at(whenever)"}, false},
	} {
		if got := tt.a.over(now); got != tt.want {
			t.Errorf("%+v is over: %t", tt.a, got)
		}
	}
}
