package page

import (
	"testing"
	"time"
)

func TestHuman(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 40 * time.Millisecond: "40 ms", 1500 * time.Millisecond: "1.5 s", 12 * time.Second: "12 s",
		4*time.Minute + 12*time.Second: "4 m 12 s", time.Hour: "1 h", 26 * time.Hour: "1 d 2 h",
	} {
		if got := human(d); got != want {
			t.Errorf("human(%v) = %q, want %q", d, got, want)
		}
	}
}

// A day without a runner does not flatten the minutes with one.
func TestScaleBreaksWhereNoRunnerWas(t *testing.T) {
	at := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	s := &story{began: at, until: at.Add(24*time.Hour + 10*time.Minute), runners: []*runner{
		{began: at, ended: at.Add(5 * time.Minute)}, {began: at.Add(24*time.Hour + 5*time.Minute), ended: at.Add(24*time.Hour + 10*time.Minute)},
	}}
	c := newScale(s)
	for after, want := range map[time.Duration]float64{
		-time.Hour: 0, 0: 0, 5 * time.Minute: 47.5, 12*time.Hour + 5*time.Minute: 50, 24*time.Hour + 5*time.Minute: 52.5,
		24*time.Hour + 10*time.Minute: 100, 48 * time.Hour: 100,
	} {
		if got := c.at(at.Add(after)); got < want-0.01 || got > want+0.01 {
			t.Errorf("%v is at %.2f %%, want %.2f %%", after, got, want)
		}
	}
	last := -1.0
	for _, tick := range c.ticks() {
		if tick.Label == "" {
			t.Errorf("a tick without a label at %s", tick.X)
		}
	}
	for d := time.Duration(0); d < 25*time.Hour; d += time.Minute {
		if x := c.at(at.Add(d)); x < last {
			t.Fatalf("%v is before what was before it", d)
		} else {
			last = x
		}
	}
}
