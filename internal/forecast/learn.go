package forecast

import (
	"math"
	"slices"
	"time"
)

// Remembered is how many durations a series keeps.
const Remembered = 16

// Pool is what is known of one kind of operation, over all endpoints. What a
// single endpoint takes is learned from its own durations and, as long as
// there are few, from those of the others.
type Pool struct {
	Series map[string]*Series
	// Scores are how well each model foresaw what came, as the sum of its log
	// densities, with the older ones fading.
	Scores [Models]float64

	// prior is what was found when the Pool was last gone through. What it has
	// learned since then does not change much while it is little.
	prior   prior
	seen    int // durations that the prior rests on
	learned int // since then
}

// Series are the durations of one operation on one endpoint, oldest first.
type Series struct {
	Took []time.Duration
	Used uint64 // the History's clock when it was last added to or asked for
}

// prior is what the Pool says about an endpoint of which nothing is known.
type prior struct {
	mean    float64 // of the endpoints' means
	between float64 // variance of the endpoints' means
	within  float64 // variance of an endpoint's durations about its own mean
	// points stand for all durations, at equal steps of their distribution.
	points []float64
	bump   float64 // the bandwidth that belongs to them
}

func logSeconds(d time.Duration) float64 {
	return min(max(math.Log(max(d.Seconds(), 1e-9)), earliest), latest)
}

// Before anything is known: how much endpoints differ, and one from update to
// update, with the weight of this many observations.
const (
	coldWeight  = 1.0
	coldBetween = coldSD * coldSD * 0.8
	coldWithin  = coldSD * coldSD * 0.2
)

func (p *Pool) refresh() {
	if p.prior.within > 0 && (p.learned == 0 || p.learned*16 < p.seen) {
		return
	}
	var all []float64
	var means, counts []float64
	within, n := coldWeight*coldWithin, coldWeight
	for _, s := range p.Series {
		if len(s.Took) == 0 {
			continue
		}
		mean := 0.
		for _, d := range s.Took {
			x := logSeconds(d)
			all = append(all, x)
			mean += x / float64(len(s.Took))
		}
		for _, x := range all[len(all)-len(s.Took):] {
			within += (x - mean) * (x - mean)
		}
		n += float64(len(s.Took) - 1)
		means, counts = append(means, mean), append(counts, float64(len(s.Took)))
	}
	q := prior{mean: coldMean, between: coldBetween, within: within / n}
	if len(all) > 0 {
		q.estimate(means, counts)
		q.thin(all)
	}
	p.prior, p.seen, p.learned = q, len(all), 0
}

// estimate takes the spread of the endpoints apart from what is only the
// spread of each about its own mean.
func (q *prior) estimate(means, counts []float64) {
	endpoints := float64(len(means))
	sum, noise := coldMean*coldWeight/4, 0.
	for i, m := range means {
		sum += m
		noise += q.within / counts[i]
	}
	q.mean = sum / (endpoints + coldWeight/4)
	squares := coldWeight * coldBetween
	for _, m := range means {
		squares += (m - q.mean) * (m - q.mean)
	}
	total := squares / (endpoints + coldWeight - 1)
	q.between = max(total-noise/endpoints, total/20, 1e-4)
}

// maxPoints is how many points stand for a Pool.
const maxPoints = 16

func (q *prior) thin(all []float64) {
	slices.Sort(all)
	n := min(maxPoints, len(all))
	q.points = make([]float64, n)
	for i := range n {
		q.points[i] = all[(2*i+1)*len(all)/(2*n)]
	}
	quartiles := all[len(all)*3/4] - all[len(all)/4]
	q.bump = bandwidth(min(deviation(all), max(quartiles/1.34, 0.05)), float64(n))
}

func deviation(xs []float64) float64 {
	mean, squares := 0., 0.
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		squares += (x - mean) * (x - mean) / float64(len(xs))
	}
	return math.Sqrt(squares)
}

// bandwidth is the rule of thumb for a kernel over n points; of few, none of
// which need be where the centre is, it is wider.
func bandwidth(sd, n float64) float64 {
	return max(1.06*sd*math.Pow(n, -.2)*math.Sqrt(1+1/n), 0.02)
}

// The models that a forecast is mixed from. Each is right about some
// operations: those that take about as long each time, give or take a factor,
// those that end by chance, those that take one of several times, and those
// that take nearly always the same.
const (
	modelNormal = iota
	modelWeibull
	modelKernels
	modelNarrow
	Models
)

// normal is one log-normal about what the endpoint's own durations and the
// Pool's say.
func (p *Pool) normal(own []float64) bump {
	q := &p.prior
	precision, sum := 1/q.between, q.mean/q.between
	for _, x := range own {
		precision += 1 / q.within
		sum += x / q.within
	}
	return bump{weight: 1, mean: sum / precision, sd: math.Sqrt(q.within + 1/precision)}
}

// kernels follow the very durations: the endpoint's own, and with the weight
// of one of them the Pool's.
func (p *Pool) kernels(own []float64, narrower float64) mixture {
	q := &p.prior
	total := float64(len(own)) + 1
	var m mixture
	if len(q.points) == 0 {
		m = append(m, bump{weight: 1 / total, mean: coldMean, sd: coldSD})
	}
	for _, x := range q.points {
		w := 1 / total / float64(len(q.points))
		m = append(m, bump{weight: w, mean: x, sd: max(q.bump/narrower, 0.02), shape: logistic})
	}
	width := max(bandwidth(math.Sqrt(q.within), float64(len(own)))/narrower, 0.02)
	for _, x := range own {
		m = append(m, bump{weight: 1 / total, mean: x, sd: width, shape: logistic})
	}
	return m
}

// model returns one of the models for an endpoint.
func (p *Pool) model(i int, own []float64) mixture {
	switch i {
	case modelWeibull:
		b := p.normal(own)
		b.shape = gumbel
		return mixture{b}
	case modelKernels:
		return p.kernels(own, 1)
	case modelNarrow:
		return p.kernels(own, 4)
	}
	return mixture{p.normal(own)}
}

// surprise is the weight of durations unlike any before. It makes a wait that
// runs late cost polls, not an unbounded lag.
const surprise = 0.02

// drift is by how much what an endpoint takes may have changed since it was
// last seen, as a standard deviation of the logarithm: images grow, and
// capacity gets short. It widens the models that are sure of their shape, and
// most where little else does.
const drift = 1. / 3

// predict mixes the models by how well they did.
func (p *Pool) predict(own []float64) mixture {
	p.refresh()
	wide := p.normal(own)
	wide.weight, wide.sd = surprise, max(3*wide.sd, 0.5)
	out := mixture{wide}
	var scores, weights [Models]float64
	for i := range scores {
		scores[i] = p.Scores[i] - float64(i) // before there is a record, the plainest model
	}
	best, total := slices.Max(scores[:]), 0.
	for i, s := range scores {
		if w := math.Exp(s - best); w > 0.01 {
			weights[i] = w
			total += w
		}
	}
	for i, w := range weights {
		if w > 0 {
			m := p.model(i, own).times((1 - surprise) * w / total)
			if len(m) == 1 {
				m[0].sd = math.Hypot(m[0].sd, drift)
			}
			out = append(out, m...)
		}
	}
	return out
}

// fade is how much of a model's record is left after another duration.
const fade = 0.99

// Learn takes in another duration of an endpoint, after it has scored what the
// models foresaw.
func (p *Pool) Learn(s *Series, d time.Duration) {
	p.refresh()
	x, own := logSeconds(d), logs(s.Took)
	for i := range p.Scores {
		seen := (1-surprise)*p.model(i, own).density(x) + surprise*bump{mean: p.prior.mean, sd: 3}.density(x)
		p.Scores[i] = fade*p.Scores[i] + math.Log(seen)
	}
	best := slices.Max(p.Scores[:])
	for i := range p.Scores {
		p.Scores[i] = math.Round((p.Scores[i]-best)*100) / 100 // no more digits than mean something
	}
	s.Took = append(s.Took, d)
	s.Took = s.Took[max(0, len(s.Took)-Remembered):]
	p.learned++
}

func logs(ds []time.Duration) []float64 {
	xs := make([]float64, len(ds))
	for i, d := range ds {
		xs[i] = logSeconds(d)
	}
	return xs
}

// Forecast says when an operation is likely to end on an endpoint that took
// those durations, oldest first.
func (p *Pool) Forecast(took []time.Duration) *Forecast {
	return newForecast(p.predict(logs(took)))
}
