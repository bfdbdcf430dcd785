package bench

import (
	"math"
	"math/rand/v2"
	"sort"
)

// Dist is a duration distribution on a grid: CDF[i] = P(D <= i*Step).
type Dist struct {
	Step float64
	CDF  []float64
	A    []float64 // partial expectation: integral of x dF up to i*Step
	Mean float64
}

// NewDist smooths a large sample into a grid CDF.
func NewDist(sample []float64, n int) Dist {
	sort.Float64s(sample)
	hi := sample[len(sample)-1] * 1.0001
	d := Dist{Step: hi / float64(n), CDF: make([]float64, n+1), A: make([]float64, n+1)}
	h := make([]float64, n+1)
	for _, x := range sample {
		h[min(n, int(x/d.Step)+1)]++
	}
	// triangular smoothing of the histogram: no polling between sample points
	const k = 8
	sm := make([]float64, n+1)
	for i, c := range h {
		if c == 0 {
			continue
		}
		var tot float64
		for j := -k; j <= k; j++ {
			if i+j >= 1 && i+j <= n {
				tot += float64(k + 1 - abs(j))
			}
		}
		for j := -k; j <= k; j++ {
			if i+j >= 1 && i+j <= n {
				sm[i+j] += c * float64(k+1-abs(j)) / tot
			}
		}
	}
	for i := 1; i <= n; i++ {
		p := sm[i] / float64(len(sample))
		d.CDF[i] = d.CDF[i-1] + p
		d.A[i] = d.A[i-1] + p*(float64(i)-.5)*d.Step
	}
	d.CDF[n], d.Mean = 1, d.A[n]
	return d
}

func abs(i int) int {
	if i < 0 {
		return -i
	}
	return i
}

// Point is one point of a frontier.
type Point struct{ Price, Calls, Lag float64 }

// Optimal is the polling schedule that minimises E[lag] + price*E[calls] for a
// known distribution, by backward dynamic programming over the grid (exact up
// to the step). It adds the half-latency every poller pays.
func (d Dist) Optimal(price float64) Point {
	n := len(d.CDF) - 1
	v := make([]float64, n+1)
	nx := make([]int32, n+1)
	for i := n - 1; i >= 0; i-- {
		best, bj := math.Inf(1), n
		s := (1 - d.CDF[i]) * price
		fi, ai := d.CDF[i], d.A[i]
		for j := i + 1; j <= n; j++ {
			lag := float64(j)*d.Step*(d.CDF[j]-fi) - (d.A[j] - ai)
			if lag+s > best { // lag only grows with j
				break
			}
			if c := lag + s + v[j]; c < best {
				best, bj = c, j
			}
		}
		v[i], nx[i] = best, int32(bj)
	}
	p := Point{Price: price, Lag: ProbeLatency.Seconds() / 2}
	for i := 0; i < n; {
		j := int(nx[i])
		p.Calls += 1 - d.CDF[i]
		p.Lag += float64(j)*d.Step*(d.CDF[j]-d.CDF[i]) - (d.A[j] - d.A[i])
		i = j
	}
	return p
}

// HazardRule evaluates the closed-form rule: poll density sqrt(hazard/2 price),
// that is, locally, gap = sqrt(2 price / hazard).
func (d Dist) HazardRule(price float64) Point {
	n := len(d.CDF) - 1
	p := Point{Price: price, Lag: ProbeLatency.Seconds() / 2}
	const w = 4 // hazard window, cells
	for i := 0; i < n; {
		j, acc := i, 0.
		for j < n && acc < 1 {
			a, b := max(0, j-w), min(n, j+w)
			f := (d.CDF[b] - d.CDF[a]) / (float64(b-a) * d.Step)
			acc += math.Sqrt(f/(2*price*max(1-d.CDF[j], 1e-9))) * d.Step
			j++
		}
		p.Calls += 1 - d.CDF[i]
		p.Lag += float64(j)*d.Step*(d.CDF[j]-d.CDF[i]) - (d.A[j] - d.A[i])
		i = j
	}
	return p
}

// K is the frontier constant: for dense polling the optimum obeys
// lag x calls = K = (integral of sqrt(f S) dt)^2 / 2; a fixed interval obeys
// lag x calls = E[D]/2, so E[D]/2K is what knowing the distribution can win.
func (d Dist) K() float64 {
	var s float64
	for i := 1; i < len(d.CDF); i++ {
		f := (d.CDF[i] - d.CDF[i-1]) / d.Step
		s += math.Sqrt(f*(1-(d.CDF[i]+d.CDF[i-1])/2)) * d.Step
	}
	return s * s / 2
}

// Frontier is the lower envelope over prices, by calls.
type Frontier []Point

func (d Dist) Frontier(prices []float64) Frontier {
	var f Frontier
	for _, p := range prices {
		f = append(f, d.Optimal(p))
	}
	sort.Slice(f, func(i, j int) bool { return f[i].Calls < f[j].Calls })
	return f
}

// LagAt interpolates (log-log) the minimal lag at a number of calls; outside
// the computed range it extends the hyperbola lag-floor ~ 1/calls.
func (f Frontier) LagAt(calls float64) float64 {
	floor := ProbeLatency.Seconds() / 2
	at := func(p Point) (float64, float64) { return math.Log(p.Calls), math.Log(max(p.Lag-floor, 1e-6)) }
	i := sort.Search(len(f), func(i int) bool { return f[i].Calls >= calls })
	switch {
	case i == len(f):
		l := f[len(f)-1]
		return floor + (l.Lag-floor)*l.Calls/calls
	case i == 0:
		return f[0].Lag * f[0].Calls / calls
	}
	x0, y0 := at(f[i-1])
	x1, y1 := at(f[i])
	if x1 == x0 {
		return f[i].Lag
	}
	return floor + math.Exp(y0+(y1-y0)*(math.Log(calls)-x0)/(x1-x0))
}

// CallsAt is the minimal number of calls for a lag.
func (f Frontier) CallsAt(lag float64) float64 {
	lo, hi := .5, 1e7
	for range 100 {
		m := math.Sqrt(lo * hi)
		if f.LagAt(m) > lag {
			lo = m
		} else {
			hi = m
		}
	}
	return hi
}

// Dist is the workload's marginal duration distribution (a large fresh sample).
func (w Workload) Dist(n int) Dist {
	trs := w.sample(w.Seed+7, 40000, 10)
	xs := make([]float64, len(trs))
	for i, t := range trs {
		xs[i] = t.D.Seconds()
	}
	return NewDist(xs, n)
}

// EndpointFrontier is the frontier when each endpoint's own distribution is
// known: the mean over the table's endpoints of the optimum at a common price.
func (w Workload) EndpointFrontier(prices []float64, n int) Frontier {
	r := rand.New(rand.NewPCG(w.Seed, 0x5eed)) // the endpoints of Draw
	eff := make([]any, endpoints)
	for i := range eff {
		eff[i] = w.endpoint(r)
	}
	f := make(Frontier, len(prices))
	for _, e := range eff {
		xs := make([]float64, 10000)
		for i := range xs {
			xs[i] = w.draw(r, e).D.Seconds()
		}
		d := NewDist(xs, n)
		for i, pr := range prices {
			o := d.Optimal(pr)
			f[i].Price = pr
			f[i].Calls += o.Calls / endpoints
			f[i].Lag += o.Lag / endpoints
		}
	}
	sort.Slice(f, func(i, j int) bool { return f[i].Calls < f[j].Calls })
	return f
}
