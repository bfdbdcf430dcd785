package bench

import (
	"fmt"
	"io"
	"log"
	"os"
	"sort"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // terraform's retry logs every poll
	os.Exit(m.Run())
}

// prices of one status call, in seconds of lag, that trace the frontier.
var prices = []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 100, 300}

func rows() []Peer { return append(append([]Peer{}, Peers...), changeover, cold, pushed) }

// TestTable prints, for every workload: each waiter's lag and calls, its place
// against the frontier of the known distribution, and the Pareto set. With
// UPDATE=1 it writes them to docs.
func TestTable(t *testing.T) {
	if os.Getenv("TABLE") == "" {
		t.Skip("takes a minute: set TABLE=1")
	}
	fr := frontiers()
	var doc strings.Builder
	var panels []panel
	for _, w := range Workloads {
		var res []Result
		for _, p := range rows() {
			if p.Skip != nil && p.Skip(w) {
				continue
			}
			res = append(res, Run(t, p, w))
		}
		fmt.Print(render(w, res, fr[w.Name]))
		doc.WriteString(markdown(w, res, fr[w.Name]))
		panels = append(panels, panel{w, res, fr[w.Name]})
	}
	if os.Getenv("UPDATE") == "" {
		return
	}
	write(t, "../docs/waiting.svg", plot(panels))
	replace(t, "table", doc.String())
}

// replace puts text between the two marks of docs/waiting.md.
func replace(t *testing.T, mark, text string) {
	t.Helper()
	page, err := os.ReadFile("../docs/waiting.md")
	if err != nil {
		t.Fatal(err)
	}
	from, to := "<!-- "+mark+" -->\n", "<!-- /"+mark+" -->\n"
	head, rest, ok := strings.Cut(string(page), from)
	_, tail, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("docs/waiting.md has no place for the %s", mark)
	}
	write(t, "../docs/waiting.md", head+from+"\n"+text+"\n"+to+tail)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func markdown(w Workload, res []Result, f front) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**: %s. A fixed interval comes to about %.0f; the best schedule for the known distribution to %.0f.\n\n",
		w.Name, w.Note, f.d.Mean/2, f.d.K())
	b.WriteString("| waiter | code | mean lag s | p99 s | calls | lag × calls | gave up |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range res {
		name := r.Peer
		if r.Kind == "ours" {
			name = "**" + name + "**"
		}
		gave := ""
		if r.GaveUp > 0 {
			gave = fmt.Sprintf("%.0f %%", 100*float64(r.GaveUp)/float64(r.N))
		}
		fmt.Fprintf(&b, "| %s | %s | %.2f | %.1f | %.1f | %.0f | %s |\n", name, r.Kind, r.Mean, r.P99, r.Calls, r.Product, gave)
	}
	b.WriteString("\n")
	return b.String()
}

type front struct {
	d        Dist
	marginal Frontier
	endpoint Frontier
}

// frontiers are computed on one goroutine per workload (no virtual time here).
func frontiers() map[string]front {
	out, mu, wg := map[string]front{}, sync.Mutex{}, sync.WaitGroup{}
	for _, w := range Workloads {
		wg.Go(func() {
			d := w.Dist(8000)
			f := front{d: d, marginal: d.Frontier(prices), endpoint: w.EndpointFrontier(prices, 3000)}
			mu.Lock()
			out[w.Name] = f
			mu.Unlock()
		})
	}
	wg.Wait()
	return out
}

func render(w Workload, res []Result, f front) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n== %s: %s (seed %d; n=%d, mean duration %.0f s)\n", w.Name, w.Note, w.Seed, res[0].N, res[0].MeanDur)
	fmt.Fprintf(&b, "   frontier, distribution known: K = %.1f s*calls (fixed interval: %.1f; ratio %.2f)\n",
		f.d.K(), f.d.Mean/2, f.d.Mean/2/f.d.K())
	pareto, peers := paretoSet(res, ""), paretoSet(res, "real restated")
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "waiter\tkind\tgave up\tmean\tmedian\tp95\tp99\tmax lag s\tlag/dur\tcalls\tlag x calls\tlag vs opt\tcalls vs opt\tvs ep-opt\tpareto\t")
	for _, r := range res {
		mark := ""
		if peers[r.Peer] {
			mark = "p"
		}
		if pareto[r.Peer] {
			mark += "*"
		}
		fmt.Fprintf(tw, "%s\t%s\t%.1f%%\t%.2f\t%.2f\t%.1f\t%.1f\t%.0f\t%.2f%%\t%.1f\t%.0f\t%.2fx\t%.2fx\t%.2fx\t%s\t\n",
			r.Peer, r.Kind, 100*float64(r.GaveUp)/float64(r.N), r.Mean, r.Median, r.P95, r.P99, r.Max, 100*r.Share,
			r.Calls, r.Product, r.Mean/f.marginal.LagAt(r.Calls), r.Calls/f.marginal.CallsAt(r.Mean), r.Mean/f.endpoint.LagAt(r.Calls), mark)
	}
	tw.Flush()
	tw = tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "frontier: price s/call\tcalls\tlag s\thazard-rule calls\tlag\tknown per endpoint: calls\tlag\t")
	for i := range f.marginal {
		m := f.marginal[i]
		h := f.d.HazardRule(m.Price)
		e := f.endpoint[i]
		fmt.Fprintf(tw, "%g\t%.1f\t%.3f\t%.1f\t%.3f\t%.1f\t%.3f\t\n", m.Price, m.Calls, m.Lag, h.Calls, h.Lag, e.Calls, e.Lag)
	}
	tw.Flush()
	return b.String()
}

// paretoSet: waiters that no other one beats in both mean lag and calls. A
// waiter that gives up on more than 0.5% of the changes is out.
func paretoSet(res []Result, kinds string) map[string]bool {
	rs := append([]Result{}, res...)
	sort.Slice(rs, func(i, j int) bool { return rs[i].Calls < rs[j].Calls })
	out, best := map[string]bool{}, 1e18
	for _, r := range rs {
		if kinds != "" && !strings.Contains(kinds, r.Kind) {
			continue
		}
		if r.GaveUp*200 <= r.N && r.Mean < best {
			out[r.Peer], best = true, r.Mean
		}
	}
	return out
}

// TestDeterministic: the same seed gives the same numbers.
func TestDeterministic(t *testing.T) {
	for _, p := range []Peer{Peers[0], Peers[7], changeover} {
		a, b := Run(t, p, Workloads[3]), Run(t, p, Workloads[3])
		if a.Mean != b.Mean || a.Calls != b.Calls {
			t.Errorf("%s: %v/%v then %v/%v", a.Peer, a.Mean, a.Calls, b.Mean, b.Calls)
		}
	}
}
