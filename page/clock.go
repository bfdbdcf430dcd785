package page

import (
	"fmt"
	"time"
)

// clock is a time of day for people, in UTC like all times of a page.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// human is a duration for people, in two units at most.
func human(d time.Duration) string {
	day := 24 * time.Hour
	switch d = max(0, d); {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(d, time.Minute, "m", time.Second, "s")
	case d < day:
		return two(d, time.Hour, "h", time.Minute, "m")
	}
	return two(d, day, "d", time.Hour, "h")
}

// offset is a time since the beginning, for people.
func offset(d time.Duration) string {
	d = max(0, d)
	if d < 10*time.Second {
		return fmt.Sprintf("+%.3f s", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("+%d:%02d:%02d", d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second)
}

func two(d, big time.Duration, b string, small time.Duration, s string) string {
	if rest := d % big / small; rest > 0 {
		return fmt.Sprintf("%d %s %d %s", d/big, b, rest, s)
	}
	return fmt.Sprintf("%d %s", d/big, b)
}

// scale maps times to a share of a picture's width. Where no runner was alive
// for long, the picture has a break.
type scale struct {
	from, to time.Time
	breaks   []gap // in order, apart
	width    time.Duration
}

// gap is a time in which nothing was going on.
type gap struct{ from, to time.Time }

// breakShare is how much of the width a break takes.
const breakShare = 0.05

// newScale is the scale of a story.
func newScale(s *story) *scale {
	c := &scale{from: s.began, to: s.until}
	idle, all := s.idle(), s.until.Sub(s.began)
	for _, g := range idle {
		if d := g.to.Sub(g.from); d > time.Minute && d > (all-total(idle))/2 {
			c.breaks = append(c.breaks, g)
		}
	}
	if len(c.breaks) > 8 { // of a rollout that was hardly ever driven
		c.breaks = nil
	}
	c.width = max(time.Millisecond, all-total(c.breaks))
	return c
}

func total(gaps []gap) (d time.Duration) {
	for _, g := range gaps {
		d += g.to.Sub(g.from)
	}
	return d
}

// idle are the times between one runner and the next.
func (s *story) idle() (gaps []gap) {
	for i := 1; i < len(s.runners); i++ {
		if g := (gap{s.runners[i-1].ended, s.runners[i].began}); g.to.After(g.from) {
			gaps = append(gaps, g)
		}
	}
	return gaps
}

// at is where a time is, from 0 to 100.
func (c *scale) at(t time.Time) float64 {
	if t.Before(c.from) {
		t = c.from
	}
	if t.After(c.to) {
		t = c.to
	}
	worked, broken := t.Sub(c.from), 0.0
	for _, g := range c.breaks {
		switch {
		case !t.Before(g.to):
			worked -= g.to.Sub(g.from)
			broken++
		case t.After(g.from):
			worked -= t.Sub(g.from)
			broken += float64(t.Sub(g.from)) / float64(g.to.Sub(g.from))
		}
	}
	share := breakShare * float64(len(c.breaks))
	return 100 * (float64(worked)/float64(c.width)*(1-share) + broken*breakShare)
}

// tick is a line of a picture with its time.
type tick struct {
	X     string
	Label string
	Minor bool // it is left out where there is little room
	Last  bool // its label ends at the line
}

// ticks are lines at round times since the beginning.
func (c *scale) ticks() []tick {
	step := roundStep(c.width / 6)
	var all []tick
	last := -100.0
	for i, d := 0, time.Duration(0); d <= c.to.Sub(c.from) && len(all) < 24; i, d = i+1, d+step {
		for _, g := range c.breaks { // go on behind it
			if t := c.from.Add(d); t.After(g.from) && t.Before(g.to) {
				d = (g.to.Sub(c.from) + step - 1) / step * step
			}
		}
		x := c.at(c.from.Add(d))
		if x-last < 4 {
			continue
		}
		last = x
		label := "+" + human(d)
		if len(c.breaks) > 0 && c.from.Add(d).After(c.breaks[0].from) {
			label = c.from.Add(d).UTC().Format(time.TimeOnly)
		}
		all = append(all, tick{X: percent(x), Label: label, Minor: i%2 == 1, Last: x > 90})
	}
	all[0].Label = "0"
	return all
}

// roundStep is a round duration of at least d.
func roundStep(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond} {
		for _, n := range []time.Duration{1, 2, 5} {
			if n*unit >= d {
				return n * unit
			}
		}
	}
	for _, unit := range []time.Duration{time.Second, time.Minute} {
		for _, n := range []time.Duration{1, 2, 5, 10, 15, 30} {
			if n*unit >= d {
				return n * unit
			}
		}
	}
	for _, hours := range []time.Duration{1, 2, 3, 6, 12, 24} {
		if hours*time.Hour >= d {
			return hours * time.Hour
		}
	}
	return (d/(24*time.Hour) + 1) * 24 * time.Hour
}

func percent(x float64) string { return fmt.Sprintf("%.2f%%", x) }
