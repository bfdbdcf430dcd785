package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/rollout"
)

// graph is a lane with values over time. Its shapes are drawn on a canvas of
// 1000 by [graphHeight] that is stretched over the width.
type graph struct {
	Title, Top string // the heading, and what the upper edge stands for
	Y          int
	Shapes     []shape
	Rules      []rule
	Bands      []area // from where to where nothing was ready
	Areas      []area // for tips
	Signs      []sign
}

// shape is a filled area or a line.
type shape struct{ Class, D string }

// rule is a horizontal line, such as a threshold.
type rule struct {
	Y     int
	Label string
}

// layer is one of the counts of a graph of capacity, which are stacked.
type layer struct {
	class, text string
	count       func(rollout.Point) int
}

var layers = []layer{
	{"source", "source", func(p rollout.Point) int { return p.Source }},
	{"target", "target", func(p rollout.Point) int { return p.Target }},
	{"other", "another revision", func(p rollout.Point) int { return p.Other }},
	{"starting", "starting, or waiting for capacity", func(p rollout.Point) int { return p.Starting }},
	{"failing", "unhealthy", func(p rollout.Point) int { return p.Failed }},
}

// add places a graph.
func (p *picture) graph(g graph) {
	g.Y = p.Height
	p.Height += titleHeight + graphHeight + 16
	p.Graphs = append(p.Graphs, g)
}

// points are those of the series within the picture.
func (s *story) points() []rollout.Point {
	if s.t.series == nil {
		return nil
	}
	return s.t.series.Points
}

// ends is when the point i ends.
func (s *story) ends(i int) time.Time {
	points := s.points()
	to := s.t.series.Until
	if i+1 < len(points) {
		to = points[i+1].At
	}
	if i+1 == len(points) && s.ended {
		to = s.until
	}
	return later(to, points[i].At)
}

func (p *picture) capacity(s *story, c *scale) {
	points := s.points()
	if len(points) == 0 {
		return
	}
	most := 1
	for _, pt := range points {
		most = max(most, pt.Ready()+pt.Starting+pt.Failed)
	}
	g := graph{Title: "Capacity", Top: fmt.Sprintf("%d", most)}
	height := func(n int) float64 { return graphHeight * (1 - float64(n)/float64(most)) }
	below := make([]int, len(points))
	for _, l := range layers {
		upper := slices.Clone(below)
		some := false
		for i, pt := range points {
			n := l.count(pt)
			upper[i] += n
			some = some || n > 0
		}
		if some {
			g.Shapes = append(g.Shapes, shape{Class: l.class, D: stacked(s, c, below, upper, height)})
			p.Legend = append(p.Legend, legend{Class: l.class, Text: l.text})
		}
		below = upper
	}
	for i, pt := range points {
		tip := fmt.Sprintf("%s: %s", offset(pt.At.Sub(s.began)), counts(pt))
		g.Areas = append(g.Areas, c.area(pt.At, s.ends(i), tip))
		if pt.Ready() == 0 {
			g.Bands = append(g.Bands, c.area(pt.At, s.ends(i), "nothing ready\n"+tip))
		}
	}
	if len(g.Bands) > 0 {
		p.Legend = append(p.Legend, legend{Class: "down", Text: "nothing ready"})
	}
	p.graph(g)
}

// counts says what a point shows.
func counts(p rollout.Point) string {
	var parts []string
	for _, l := range layers {
		if n := l.count(p); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, l.text))
		}
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// stacked is the outline between two lines of steps.
func stacked(s *story, c *scale, lower, upper []int, height func(int) float64) string {
	points := s.points()
	var b strings.Builder
	move := "M"
	at := func(t time.Time, n int) {
		fmt.Fprintf(&b, "%s%.1f %.1f", move, 10*c.at(t), height(n))
		move = "L"
	}
	for i, pt := range points {
		at(pt.At, upper[i])
		at(s.ends(i), upper[i])
	}
	for i, pt := range slices.Backward(points) {
		at(s.ends(i), lower[i])
		at(pt.At, lower[i])
	}
	return b.String() + "Z"
}

// share is the target's share of the traffic.
func (p *picture) share(s *story, c *scale) {
	var b strings.Builder
	g := graph{Title: "Traffic of the target", Top: "100 %"}
	move, known := "M", false
	for i, pt := range s.points() {
		if pt.Share < 0 {
			move = "M"
			continue
		}
		known = true
		y := graphHeight * (1 - float64(pt.Share)/100)
		fmt.Fprintf(&b, "%s%.1f %.1fL%.1f %.1f", move, 10*c.at(pt.At), y, 10*c.at(s.ends(i)), y)
		move = "L"
		g.Areas = append(g.Areas, c.area(pt.At, s.ends(i), fmt.Sprintf("%s: %d %% of the traffic", offset(pt.At.Sub(s.began)), pt.Share)))
	}
	if known {
		g.Shapes = []shape{{Class: "sharing", D: b.String()}}
		p.graph(g)
	}
}
