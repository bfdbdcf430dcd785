package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

type panel struct {
	w   Workload
	res []Result
	f   front
}

// The plot is a column of panels, each with calls from 1 to 10,000 to the
// right and lag from 0.1 s to 10,000 s upwards.
const (
	width, height = 720, 300 // of a panel
	left, top     = 60, 30
	loX, hiX      = 0., 4.
	loY, hiY      = -1., 4.
)

func plotX(calls float64) float64 {
	return left + (width-left-230)*(math.Log10(min(max(calls, 1), 1e4))-loX)/(hiX-loX)
}

func plotY(lag float64) float64 {
	return top + (height-top-40)*(hiY-math.Log10(min(max(lag, .1), 1e4)))/(hiY-loY)
}

// plot draws lag against calls, both logarithmic: ours in colour, the peers in
// grey, the frontier as a line.
func plot(panels []panel) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", width, height*len(panels))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(0,%d)">`+"\n", i*height)
		fmt.Fprintf(&b, `<text x="%d" y="18" font-size="13" font-weight="bold">%s: mean lag (s) against calls per wait</text>`+"\n", left, p.w.Name)
		for e := loX; e <= hiX; e++ {
			x := plotX(math.Pow(10, e))
			fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#eee"/><text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", x, top, height-40, x, height-25, math.Pow(10, e))
		}
		for e := loY; e <= hiY; e++ {
			y := plotY(math.Pow(10, e))
			fmt.Fprintf(&b, `<path d="M%d %.1f H%.1f" stroke="#eee"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", left, y, plotX(1e4), left-6, y+4, math.Pow(10, e))
		}
		b.WriteString(`<path fill="none" stroke="#2a7" stroke-width="1.5" d="`)
		for k, at := range p.f.marginal {
			fmt.Fprintf(&b, "%s%.1f %.1f ", map[bool]string{true: "M", false: "L"}[k == 0], plotX(at.Calls), plotY(at.Lag))
		}
		b.WriteString(`"/>` + "\n")
		row := 0
		for _, r := range p.res {
			x, y := plotX(r.Calls), plotY(r.Mean)
			title := html.EscapeString(fmt.Sprintf("%s: %.2f s, %.1f calls", r.Peer, r.Mean, r.Calls))
			if r.Kind == "ours" {
				colour := []string{"#c22", "#e90", "#27c"}[row%3]
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="5" fill="%s"><title>%s</title></circle>`, x, y, colour, title)
				fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="5" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
					width-222, top+10+18*row, colour, width-212, top+14+18*row, html.EscapeString(r.Peer))
				row++
				continue
			}
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="#888"><title>%s</title></circle>`+"\n", x, y, title)
		}
		fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="3" fill="#888"/><text x="%d" y="%d">a peer</text>`, width-222, top+10+18*row, width-212, top+14+18*row)
		fmt.Fprintf(&b, `<path d="M%d %d h10" stroke="#2a7" stroke-width="1.5"/><text x="%d" y="%d">best, distribution known</text></g>`+"\n",
			width-227, top+28+18*row, width-212, top+32+18*row)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
