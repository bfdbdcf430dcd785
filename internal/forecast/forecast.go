// Package forecast says when an operation is likely to end, by the durations
// of earlier ones on the same endpoint and on others.
package forecast

import (
	"math"
	"sync"
	"time"
)

// Forecast says when a wait is likely to end, as far as earlier ones of its
// kind tell. It is immutable. The nil Forecast knows nothing.
type Forecast struct {
	x0, dx float64 // the first node and the width of a cell, in ln seconds
	// hazard is the cumulative hazard at the nodes: minus the logarithm of the
	// chance that the wait is not over by then.
	hazard [cells + 1]float32
	// tail is the hazard rate beyond the last node, times the time.
	tail float64
}

const cells = 128

// The shortest and the longest time that a forecast tells apart, in ln seconds.
var (
	earliest = math.Log(0.05)
	latest   = math.Log(60 * 24 * 3600)
)

// After returns when to poll next after a poll of t that did not find the
// end, at most longest later: what makes the sum of lag and price times polls
// least, all in seconds.
//
// It is where the cumulative hazard since t comes up to what the rate there is
// worth (see there). That costs within a few thousandths of what the best of
// all sequences of polls costs, which takes dynamic programming to find.
func (f *Forecast) After(t, price, longest float64) float64 {
	if f == nil {
		f = unknown()
	}
	last := max(t, 0) + longest
	first := math.Exp(f.x0)
	i, from := 0, first
	if t > first {
		i = int((math.Log(t) - f.x0) / f.dx)
		from = t
	}
	spent := f.at(t)
	step := math.Exp(f.dx)
	node := math.Exp(f.x0 + f.dx*float64(i))
	for ; i < cells && node < last; i++ {
		next := node * step
		rate := float64(f.hazard[i+1]-f.hazard[i]) / (next - node)
		enough := spent + worth(price*rate)
		if float64(f.hazard[i+1]) >= enough {
			return min(max(from, node+(enough-float64(f.hazard[i]))/rate), last)
		}
		from, node = next, next
	}
	if node >= last {
		return last
	}
	t = max(t, node)
	return min(t+t/f.tail*worth(price*f.tail/t), last)
}

// worth is the cumulative hazard between two polls that is right where the
// hazard rate times the price is c. For a rate that does not change, the gap g
// makes the cost per end least when y = rate × g solves exp(y) - 1 - y = c;
// this is the solution to the third order. It comes from sqrt(2 price / rate).
func worth(c float64) float64 {
	s := math.Sqrt(2 * c)
	return s / (1 + s/6)
}

// at is the cumulative hazard at t seconds.
func (f *Forecast) at(t float64) float64 {
	if t <= 0 {
		return 0
	}
	i := (math.Log(t) - f.x0) / f.dx
	switch {
	case i <= 0:
		return 0
	case i < cells:
		n := int(i)
		// Linear in the time, not in its logarithm.
		part := math.Expm1(f.dx*(i-float64(n))) / math.Expm1(f.dx)
		return float64(f.hazard[n]) + part*float64(f.hazard[n+1]-f.hazard[n])
	}
	return float64(f.hazard[cells]) + f.tail*f.dx*(i-cells)
}

// newForecast makes the table for a mixture that sums up to one.
func newForecast(m mixture) *Forecast {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, b := range m {
		lo, hi = min(lo, b.mean-4*b.sd), max(hi, b.mean+3*b.sd)
	}
	lo = min(max(lo, earliest), latest-1)
	hi = min(max(hi, lo+1), latest)
	f := &Forecast{x0: lo, dx: (hi - lo) / cells}
	// The rate within a cell comes from what survives at its ends, so that no
	// bump falls between two nodes.
	for i := range cells {
		h := -math.Log(max(m.survival(lo+f.dx*float64(i+1)), 1e-9))
		f.hazard[i+1] = max(f.hazard[i], float32(h))
	}
	f.tail = max(float64(f.hazard[cells]-f.hazard[cells-1])/f.dx, 0.1)
	return f
}

// mixture is a distribution of the logarithm of a duration in seconds.
type mixture []bump

// bump is a distribution with a mean and a standard deviation.
type bump struct {
	shape            shape
	weight, mean, sd float64
}

type shape int

const (
	normal   shape = iota // of a log-normal duration
	logistic              // has longer tails, and is cheap
	gumbel                // of a Weibull duration, of which exponential ones are a case
)

// In units of the scale: the standard deviation of the logistic distribution
// and of Gumbel's, and how far the latter's mean is below its mode.
const (
	logisticSD = math.Pi / 1.7320508075688772
	gumbelSD   = math.Pi / 2.449489742783178
	gumbelMean = 0.5772156649015329
)

func (b bump) survival(x float64) float64 {
	z := (x - b.mean) / b.sd
	switch b.shape {
	case normal:
	case logistic:
		return 1 / (1 + math.Exp(z*logisticSD))
	case gumbel:
		return math.Exp(-math.Exp(z*gumbelSD - gumbelMean))
	}
	return math.Erfc(z/math.Sqrt2) / 2
}

func (b bump) density(x float64) float64 {
	z := (x - b.mean) / b.sd
	switch b.shape {
	case normal:
	case logistic:
		e := math.Exp(-math.Abs(z) * logisticSD)
		return logisticSD / b.sd * e / ((1 + e) * (1 + e))
	case gumbel:
		y := z*gumbelSD - gumbelMean
		return gumbelSD / b.sd * math.Exp(y-math.Exp(y))
	}
	return math.Exp(-z*z/2) / (b.sd * math.Sqrt(2*math.Pi))
}

func (m mixture) survival(x float64) (s float64) {
	for _, b := range m {
		s += b.weight * b.survival(x)
	}
	return s
}

func (m mixture) density(x float64) (d float64) {
	for _, b := range m {
		d += b.weight * b.density(x)
	}
	return d
}

// times returns m with its weights scaled.
func (m mixture) times(w float64) mixture {
	out := make(mixture, len(m))
	for i, b := range m {
		b.weight *= w
		out[i] = b
	}
	return out
}

// An endpoint of which nothing is known: half of its waits end within two
// minutes, and nineteen of twenty between six seconds and forty minutes.
const (
	coldMedian = 2 * time.Minute
	coldSD     = 1.5
)

var coldMean = math.Log(coldMedian.Seconds())

// unknown is the forecast for a wait of an unknown kind. It may also be for
// something that takes seconds, such as for a write to come into view.
var unknown = sync.OnceValue(func() *Forecast {
	return newForecast(mixture{
		{weight: 0.8, mean: coldMean, sd: coldSD},
		{weight: 0.2, mean: math.Log(4), sd: 0.8},
	})
})
