package forecast

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// cost is what a sequence of looks costs on a known distribution: the sum of
// the mean lag and price times the mean number of looks, in seconds.
func cost(m mixture, price float64, next func(t float64) float64) float64 {
	t, alive, sum := 0., 1., 0.
	for alive > 1e-7 {
		to := next(t)
		sum += price * alive
		const n = 50
		for k := range n {
			u := t + (to-t)*(float64(k)+.5)/n
			sum += (alive - m.survival(math.Log(u))) * (to - t) / n
		}
		t, alive = to, m.survival(math.Log(to))
	}
	return sum
}

// least is the lowest cost that any sequence of looks on a fine grid has.
func least(m mixture, price, end float64) float64 {
	const n = 4000
	at := func(i int) float64 { return end * float64(i) * float64(i) / (n * n) }
	var ended, mean, best [n + 1]float64
	for i := 1; i <= n; i++ {
		ended[i] = 1 - m.survival(math.Log(at(i)))
		mean[i] = mean[i-1] + (ended[i]-ended[i-1])*(at(i)+at(i-1))/2
	}
	for i := n - 1; i >= 0; i-- {
		best[i] = math.Inf(1)
		for j := i + 1; j <= n; j++ {
			c := at(j)*(ended[j]-ended[i]) - (mean[j] - mean[i]) + (1-ended[i])*price
			if c > best[i] {
				break
			}
			best[i] = min(best[i], c+best[j])
		}
	}
	return best[0]
}

// TestForecastAsksForTheBestLooks compares the rule with dynamic programming.
func TestForecastAsksForTheBestLooks(t *testing.T) {
	for _, m := range []mixture{
		{{weight: 1, mean: math.Log(20), sd: 1.2}},
		{{weight: 1, mean: math.Log(420), sd: .6}},
		{{weight: 1, mean: math.Log(420), sd: .6, shape: logistic}},
		{{weight: 1, mean: math.Log(120), sd: 1.28, shape: gumbel}},
		{{weight: .5, mean: math.Log(40), sd: .2}, {weight: .5, mean: math.Log(600), sd: .2}},
	} {
		for _, price := range []float64{.03, .11, .5} {
			f := newForecast(m)
			got := cost(m, price, func(t float64) float64 { return max(f.After(t, price, 1e5), t+.01) })
			if want := least(m, price, 8000); got > 1.01*want {
				t.Errorf("%+v, price %v: costs %.3f, want at most 1 %% more than %.3f", m, price, got, want)
			}
		}
	}
}

func TestForecastOnlyGrows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		p := &Pool{Series: map[string]*Series{}}
		s := &Series{}
		p.Series["e"] = s
		for range r.IntN(20) {
			p.Learn(s, time.Duration(r.ExpFloat64()*math.Pow(10, 12*r.Float64())))
		}
		f := newForecast(p.predict(logs(s.Took)))
		last := 0.
		for x := earliest - 1; x < latest+1; x += .01 {
			at := f.at(math.Exp(x))
			if math.IsNaN(at) || at < last-1e-6 {
				t.Fatalf("cumulative hazard %v after %v at %v s", at, last, math.Exp(x))
			}
			last = at
		}
	}
}

// TestModelsCompete shows each kind of duration to the Pool and looks at which
// model is trusted afterwards.
func TestModelsCompete(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, tt := range []struct {
		name string
		draw func() float64
		want []int
	}{
		{"log-normal", func() float64 { return 300 * math.Exp(.5*r.NormFloat64()) }, []int{modelNormal, modelKernels}},
		{"exponential", func() float64 { return 300 * r.ExpFloat64() }, []int{modelWeibull}},
		{"one of two", func() float64 {
			return []float64{40, 900}[r.IntN(2)] * math.Exp(.1*r.NormFloat64())
		}, []int{modelNarrow, modelKernels}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Pool{Series: map[string]*Series{}}
			for i := range 400 {
				name := string(rune('a' + i%20))
				if p.Series[name] == nil {
					p.Series[name] = &Series{}
				}
				p.Learn(p.Series[name], time.Duration(tt.draw()*float64(time.Second)))
			}
			best := 0
			for i, s := range p.Scores {
				if s > p.Scores[best] {
					best = i
				}
			}
			if slices.Contains(tt.want, best) {
				return
			}
			t.Errorf("model %d is trusted most (%v), want one of %v", best, p.Scores, tt.want)
		})
	}
}
