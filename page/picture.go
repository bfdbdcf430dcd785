package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/journal"
)

// picture is an SVG of lanes above each other that share one scale of time.
// Its rows are not only of steps: those of a fleet would be its members.
type picture struct {
	Height int
	Ticks  []tick
	Breaks []area
	Lines  []line
	Groups []group
	Graphs []graph
	Legend []legend
}

// group is a heading with the rows beneath it.
type group struct {
	Title string
	Y     int
	Rows  []row
}

// row is a lane of bars and signs.
type row struct {
	Y             int
	Label, Detail string
	Class         string
	Bars          []bar
	Signs         []sign
}

// bar is a stretch of time, from X on and W wide.
type bar struct {
	X, W  string
	Class string
	Tip   string
	Ticks []sign // writes in it
}

// sign is one moment, in a graph also Y from its upper edge.
type sign struct {
	X, Class, Tip string
	Y             int
}

// area is a stretch of time across all lanes.
type area struct{ X, W, Tip string }

// line is a moment across all lanes.
type line struct {
	X, Class, Label, Tip string
	Left                 bool // the label is to the left of it
}

// legend says what a colour means.
type legend struct{ Class, Text string }

// The measures of a picture, in pixels.
const (
	axisHeight  = 40
	rowHeight   = 30
	titleHeight = 28
	graphHeight = 84
	mostRows    = 80 // of one group
	mostSigns   = 400
	labelLength = 34
)

func draw(s *story) *picture {
	c := newScale(s)
	p := &picture{Ticks: c.ticks(), Height: axisHeight}
	for _, g := range c.breaks {
		p.Breaks = append(p.Breaks, c.area(g.from, g.to, "no runner for "+human(g.to.Sub(g.from))))
	}
	p.steps(s, c, "Forward", false)
	p.steps(s, c, "Rollback", true)
	p.capacity(s, c)
	p.share(s, c)
	p.checks(s, c)
	p.people(s, c)
	p.lines(s, c)
	return p
}

func (c *scale) area(from, to time.Time, tip string) area {
	x, end := c.at(from), c.at(to)
	return area{X: percent(x), W: percent(max(0, end-x)), Tip: tip}
}

func (c *scale) bar(from, to time.Time, class, tip string) bar {
	a := c.area(from, to, tip)
	return bar{X: a.X, W: a.W, Class: class, Tip: tip}
}

// group adds a heading with rows, unless there are none.
func (p *picture) group(title string, rows []row) {
	if len(rows) == 0 {
		return
	}
	if n := len(rows) - mostRows; n > 0 {
		rows = append(rows[:mostRows-1:mostRows-1], row{Label: fmt.Sprintf("%d more are in the table", n+1)})
	}
	g := group{Title: title, Y: p.Height}
	p.Height += titleHeight
	for _, r := range rows {
		r.Y = p.Height
		r.Label = cut(r.Label, labelLength)
		p.Height += rowHeight
		g.Rows = append(g.Rows, r)
	}
	p.Height += 8
	p.Groups = append(p.Groups, g)
}

func (p *picture) steps(s *story, c *scale, title string, rollback bool) {
	var rows []row
	for _, st := range s.steps {
		if st.rollback != rollback {
			continue
		}
		r := row{Label: st.Name, Class: st.class(), Detail: string(st.state)}
		if !st.began.IsZero() {
			r.Detail = human(st.until(s).Sub(st.began))
			tip := fmt.Sprintf("%s: %s, from %s for %s", st.Name, st.state, offset(st.began.Sub(s.began)), r.Detail)
			if st.text != "" {
				tip += "\n" + st.text
			}
			b := c.bar(st.began, st.until(s), st.class(), tip)
			for _, w := range thinned(st.writes, 20) {
				b.Ticks = append(b.Ticks, sign{X: percent(c.at(w.at)), Tip: fmt.Sprintf("write %s at %s: %s", w.what, offset(w.at.Sub(s.began)), w.applied)})
			}
			r.Bars = []bar{b}
		}
		rows = append(rows, r)
	}
	p.group(title, rows)
}

// people are the runners, the holds, and what others did.
func (p *picture) people(s *story, c *scale) {
	var rows []row
	var holds row
	for _, h := range thinned(s.holds, mostSigns) {
		to := h.ended
		if to.IsZero() {
			to = s.until
		}
		decided := h.decision
		if decided == "" {
			decided = "no decision yet, expires " + clock(h.expires)
		}
		holds.Bars = append(holds.Bars, c.bar(h.began, to, "hold", "approval "+h.name+": "+decided))
	}
	if len(holds.Bars) > 0 {
		holds.Label, holds.Detail = "waits for a decision", fmt.Sprintf("%d", len(s.holds))
		rows = append(rows, holds)
	}
	var drift row
	for _, m := range s.marks {
		switch {
		case m.kind == journal.KindDrift:
			drift.Signs = append(drift.Signs, sign{X: percent(c.at(m.at)), Class: "drift", Tip: m.text})
		case m.kind == journal.KindOverridden:
			drift.Signs = append(drift.Signs, sign{X: percent(c.at(m.at)), Class: "bad", Tip: m.text})
		}
	}
	if n := len(drift.Signs); n > 0 {
		drift.Label, drift.Detail, drift.Signs = "changes by others", fmt.Sprintf("%d", n), thinned(drift.Signs, mostSigns)
		rows = append(rows, drift)
	}
	rows = append(rows, runnerRows(s, c)...)
	p.group("Decisions, drift and runners", rows)
}

// runnerRows have one row for each runner by name.
func runnerRows(s *story, c *scale) []row {
	var rows []row
	index := map[string]int{}
	for _, r := range s.runners {
		i, ok := index[r.name]
		if !ok {
			i = len(rows)
			index[r.name] = i
			rows = append(rows, row{Label: r.name})
		}
		tip := fmt.Sprintf("%s, from %s for %s", r.name, offset(r.began.Sub(s.began)), human(r.ended.Sub(r.began)))
		rows[i].Bars = append(rows[i].Bars, c.bar(r.began, r.ended, "runner", tip))
	}
	for i := range rows {
		rows[i].Detail = ""
		rows[i].Bars = thinned(rows[i].Bars, mostSigns)
	}
	if n := len(rows) - 6; n > 0 {
		rows = append(rows[:3:3], append([]row{{Label: fmt.Sprintf("%d more runners", n)}}, rows[len(rows)-3:]...)...)
	}
	return rows
}

// lines are the moments that concern all lanes.
func (p *picture) lines(s *story, c *scale) {
	labelled := -100.0
	for _, m := range s.marks {
		if m.title == "" || len(p.Lines) >= 12 {
			continue
		}
		class := "commit"
		switch {
		case m.kind == journal.KindRollback:
			class = "back"
		case m.kind == journal.KindStop:
			class = "bad"
		}
		l := line{Class: class, Tip: m.text}
		x := c.at(m.at)
		if l.X, l.Left = percent(x), x > 60; x-labelled > 25 {
			l.Label, labelled = m.title, x
		}
		p.Lines = append(p.Lines, l)
	}
}

// cut shortens a label.
func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "�")
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
