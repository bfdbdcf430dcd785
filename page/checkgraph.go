package page

import (
	"fmt"
	"math"
	"strings"
)

// mostGraphs is how many checks have a graph. The others are in the table.
const mostGraphs = 8

// checks draws a lane for each check: a graph of what was measured, or a row of
// verdicts.
func (p *picture) checks(s *story, c *scale) {
	var rows []row
	for i, k := range s.checks {
		if i < mostGraphs && p.measured(s, c, k) {
			continue
		}
		r := row{Label: k.name, Detail: k.verdicts[len(k.verdicts)-1].result}
		for _, v := range thinned(k.verdicts, mostSigns) {
			r.Signs = append(r.Signs, sign{X: percent(c.at(v.at)), Class: resultClass(v.result), Tip: v.tip(s, k)})
		}
		rows = append(rows, r)
	}
	p.group("Checks", rows)
}

func (v verdict) tip(s *story, k *check) string {
	tip := fmt.Sprintf("%s at %s: %s", k.name, offset(v.at.Sub(s.began)), v.result)
	if v.value != nil && v.limit != nil {
		tip += fmt.Sprintf(", %s against %s", number(v.value), number(v.limit))
	}
	if v.reason != "" {
		tip += "\n" + v.reason
	}
	return tip
}

// measured draws a check that measures, and reports whether it does.
func (p *picture) measured(s *story, c *scale, k *check) bool {
	lowest, highest, limit := math.Inf(1), math.Inf(-1), math.NaN()
	n := 0
	for _, v := range k.verdicts {
		if !v.measured() {
			continue
		}
		n++
		limit = *v.limit
		lowest, highest = min(lowest, *v.value, limit), max(highest, *v.value, limit)
	}
	if n == 0 {
		return false
	}
	lowest = min(lowest, 0)
	if highest <= lowest {
		highest = lowest + 1
	}
	height := func(x float64) float64 { return 6 + (graphHeight-12)*(1-(x-lowest)/(highest-lowest)) }
	g := graph{Title: "Check " + cut(k.name, labelLength-6), Top: ""}
	g.Rules = []rule{{Y: int(height(limit)), Label: "threshold " + number(&limit)}}
	var b strings.Builder
	move := "M"
	for _, v := range thinned(k.verdicts, mostSigns) {
		y := float64(graphHeight) / 2
		if v.measured() {
			y = height(*v.value)
			fmt.Fprintf(&b, "%s%.1f %.1f", move, 10*c.at(v.at), y)
			move = "L"
		} else {
			move = "M"
		}
		g.Signs = append(g.Signs, sign{X: percent(c.at(v.at)), Y: int(y), Class: resultClass(v.result), Tip: v.tip(s, k)})
	}
	g.Shapes = []shape{{Class: "measure", D: b.String()}}
	p.graph(g)
	return true
}

func (v verdict) measured() bool {
	return v.value != nil && v.limit != nil && !math.IsNaN(*v.value) && !math.IsInf(*v.value, 0) && !math.IsInf(*v.limit, 0) && !math.IsNaN(*v.limit)
}

// resultClass is how a verdict is drawn.
func resultClass(result string) string {
	switch result {
	case "pass":
		return "good"
	case "fail":
		return "bad"
	}
	return "unknown"
}

func number(x *float64) string {
	if x == nil {
		return ""
	}
	return fmt.Sprintf("%.4g", *x)
}
