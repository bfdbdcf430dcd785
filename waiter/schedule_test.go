package waiter_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// taught returns a history of eight waits of the kind "update" on "e".
func taught(took time.Duration) *waiter.History {
	var h waiter.History
	for range 8 {
		h.Add("update", "e", took)
	}
	return &h
}

func TestLearnedIsBounded(t *testing.T) {
	for name, f := range map[string]*waiter.Forecast{
		"cold": nil, "5m": taught(5*time.Minute).Forecast("update", "e"),
		"1ns": taught(1).Forecast("update", "e"), "a month": taught(30*24*time.Hour).Forecast("update", "e"),
	} {
		for _, price := range []time.Duration{-1, 0, 1, time.Millisecond, time.Second, time.Hour} {
			for elapsed := time.Duration(0); elapsed < 100*24*time.Hour; elapsed += 1 + elapsed/3 {
				for _, jitter := range []float64{-1, 0, 1} {
					p := waiter.Progress{Elapsed: elapsed, Forecast: f, Jitter: jitter}
					gap := waiter.Learned(price).Next(p)
					if gap < 500*time.Millisecond || gap > waiter.MaxInterval {
						t.Fatalf("%s, price %v: %v after %v, want at least 500ms and at most %v", name, price, gap, elapsed, waiter.MaxInterval)
					}
					if again := waiter.Learned(price).Next(p); again != gap {
						t.Fatalf("%s: %v, and asked again %v", name, gap, again)
					}
				}
			}
		}
	}
}

func TestLearnedNext(t *testing.T) {
	known := taught(5*time.Minute).Forecast("update", "e")
	stage := endpoint.Status{UpdateStage: endpoint.UpdateStage{Name: "Baking", For: 10 * time.Minute}}
	for _, tt := range []struct {
		name string
		p    waiter.Progress
		want time.Duration // to the second
	}{
		{"a heartbeat while nothing can be ready", waiter.Progress{Elapsed: 10 * time.Second, Forecast: known}, time.Minute},
		{"often when it is due", waiter.Progress{Elapsed: 300 * time.Second, Forecast: known}, 2 * time.Second},
		{"less so when it is late", waiter.Progress{Elapsed: time.Hour, Forecast: known}, 13 * time.Second},
		{"nothing known, at first", waiter.Progress{}, 4 * time.Second},
		{"nothing known, and it takes long", waiter.Progress{Elapsed: 20 * time.Minute}, 14 * time.Second},
		{"to make sure", waiter.Progress{Elapsed: 10 * time.Second, Held: 1, Forecast: known}, 2 * time.Second},
		{"due", waiter.Progress{Elapsed: 10 * time.Second, Forecast: known, Observed: waiter.Observation{Due: 12 * time.Second}}, 12 * time.Second},
		{"due at once is no hurry", waiter.Progress{Elapsed: 10 * time.Second, Forecast: known, Observed: waiter.Observation{Due: 1}}, time.Second},
		{"due later than it would look", waiter.Progress{Elapsed: 300 * time.Second, Forecast: known, Observed: waiter.Observation{Due: time.Hour}}, 2 * time.Second},
		{
			"the heart of a configured stage",
			waiter.Progress{Elapsed: 300 * time.Second, Stage: "Baking", InStage: time.Minute, Observed: waiter.Observation{Status: stage}, Forecast: known},
			time.Minute,
		},
		{
			"the end of a configured stage, about which nothing is known",
			waiter.Progress{Elapsed: time.Hour, Stage: "Baking", InStage: 9*time.Minute + 50*time.Second, Observed: waiter.Observation{Status: stage}},
			14 * time.Second,
		},
		{
			"a stage of which it is known that much follows",
			waiter.Progress{Elapsed: time.Hour, Stage: "Baking", InStage: 11 * time.Minute, Observed: waiter.Observation{Status: stage}, Forecast: known},
			time.Minute,
		},
		{
			"a stage that began in the future",
			waiter.Progress{Stage: "Baking", InStage: -time.Hour, Observed: waiter.Observation{Status: stage}},
			time.Minute,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := waiter.Learned(0).Next(tt.p).Round(time.Second)
			wantDiff(t, "gap", tt.want, got)
		})
	}
}

func TestLearnedPrice(t *testing.T) {
	p := waiter.Progress{Elapsed: 5 * time.Minute}
	cheap, dear := waiter.Learned(50*time.Millisecond).Next(p), waiter.Learned(200*time.Millisecond).Next(p)
	if r := float64(dear) / float64(cheap); r < 1.8 || r > 2.1 {
		t.Errorf("at four times the price the gap is %.2f times as long, want about twice", r)
	}
}

func TestLearnedScatters(t *testing.T) {
	p := waiter.Progress{Elapsed: 5 * time.Minute}
	mid := waiter.Learned(0).Next(p)
	for _, jitter := range []float64{-1, 1} {
		p.Jitter = jitter
		want := time.Duration(float64(mid) * (1 + 0.05*jitter))
		if got := waiter.Learned(0).Next(p); (got - want).Abs() > time.Microsecond {
			t.Errorf("gap %v with jitter %v, want %v", got, jitter, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		moments := map[time.Duration]bool{}
		for i := range 50 {
			p := newProbe(pending, pending, pending, pending, holds)
			_, err := waiter.Until(t.Context(), p.look, waiter.WithHistory(nil, "update", fmt.Sprint(i)))
			wantErr(t, err, nil)
			moments[p.at[4].Round(time.Millisecond)] = true
		}
		if len(moments) < 45 {
			t.Errorf("50 waits look for the fifth time at %d different moments", len(moments))
		}
	})
}

// looksAt runs a wait that ends at the given time, and returns when it looked.
func looksAt(t *testing.T, end time.Duration, opts ...waiter.Option) []time.Duration {
	t.Helper()
	var at []time.Duration
	synctest.Test(t, func(t *testing.T) {
		u := newScript(
			scene{status: endpoint.Status{Phase: endpoint.PhaseUpdating, Desired: v2}},
			scene{from: end, status: endpoint.Status{Phase: endpoint.PhaseReady, Desired: v2, Serving: v2}},
		)
		_, err := waiter.Settled(t.Context(), u, append(opts, waiter.WithObserver(func(p waiter.Progress) {
			at = append(at, p.Elapsed.Round(100*time.Millisecond))
		}))...)
		wantErr(t, err, nil)
	})
	return at
}

// tenths are moments of a wait in tenths of a second.
func tenths(s ...time.Duration) []time.Duration {
	for i := range s {
		s[i] *= time.Second / 10
	}
	return s
}

func TestLearnedWait(t *testing.T) {
	known := func() waiter.Option { return waiter.WithHistory(taught(5*time.Minute), "update", "e") }
	for _, tt := range []struct {
		name string
		end  time.Duration
		opts []waiter.Option
		want []time.Duration
	}{
		{
			"nothing known", time.Minute, nil,
			tenths(0, 36, 64, 99, 140, 188, 238, 295, 349, 409, 470, 529, 591, 652, 672),
		},
		{
			"known", 5 * time.Minute,
			[]waiter.Option{known()},
			tenths(0, 600, 1200, 1783, 2291, 2562, 2703, 2786, 2838, 2881, 2908, 2935, 2962, 2993, 3012, 3032),
		},
		{
			"known, and over sooner than ever", 2 * time.Minute,
			[]waiter.Option{known()},
			tenths(0, 600, 1200, 1220),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantDiff(t, "looks at", tt.want, looksAt(t, tt.end, tt.opts...))
		})
	}
}

// TestLearnedNoticesAFailureWithinAHeartbeat fails an update in the middle of
// each stage, at moments that do not suit the schedule.
func TestLearnedNoticesAFailureWithinAHeartbeat(t *testing.T) {
	bake := endpoint.UpdateStage{Name: "Baking", For: time.Hour}
	for fails := time.Minute; fails < 80*time.Minute; fails += 97 * time.Second {
		synctest.Test(t, func(t *testing.T) {
			moving := endpoint.Status{Phase: endpoint.PhaseUpdating, Desired: v2}
			baking, failed := moving, moving
			baking.UpdateStage, failed.Phase = bake, endpoint.PhaseFailed
			baking.UpdateStage.Since = time.Now().Add(10 * time.Minute)
			u := newScript(scene{status: moving}, scene{from: 10 * time.Minute, status: baking}, scene{from: fails, status: failed})
			if fails < 10*time.Minute {
				u = newScript(scene{status: moving}, scene{from: fails, status: failed})
			}
			_, err := waiter.Ready(t.Context(), u, v2, waiter.WithHistory(taught(75*time.Minute), "update", "e"))
			wantErr(t, err, endpoint.ErrFailed)
			if lag := time.Since(u.start) - fails; lag > waiter.MaxInterval {
				t.Errorf("a failure after %v was noticed %v later", fails, lag)
			}
		})
	}
}

// canary waits for an update of five stages, which fails on the way unless
// fails is zero. It returns how often it looked, and when it was over and when
// that was noticed, since the start.
func canary(t *testing.T, h *waiter.History, bake, fails time.Duration) (looks int, over, noticed time.Duration) {
	t.Helper()
	start := time.Now()
	at := func(s endpoint.UpdateStage, from time.Duration) scene {
		s.Since = start.Add(from)
		return scene{from: from, status: endpoint.Status{Phase: endpoint.PhaseUpdating, Desired: v2, UpdateStage: s}}
	}
	over = 8*time.Minute + bake + 10*time.Minute + time.Minute + 45*time.Second
	scenes := []scene{
		at(endpoint.UpdateStage{Name: "Creating"}, 0),
		at(endpoint.UpdateStage{Name: "Baking", For: bake}, 8*time.Minute),
		at(endpoint.UpdateStage{Name: "ActivatingTraffic"}, 8*time.Minute+bake),
		at(endpoint.UpdateStage{Name: "Baking", For: 10 * time.Minute}, 9*time.Minute+bake),
		at(endpoint.UpdateStage{Name: "Deleting"}, over-45*time.Second),
		{from: over, status: endpoint.Status{Phase: endpoint.PhaseReady, Desired: v2, Serving: v2}},
	}
	var want error
	if fails > 0 {
		over, want = fails, endpoint.ErrFailed
		scenes = append(scenes, scene{from: fails, status: endpoint.Status{Phase: endpoint.PhaseFailed, Desired: v2}})
	}
	u := newScript(scenes...)
	_, err := waiter.Ready(t.Context(), u, v2, waiter.WithHistory(h, "canary", "e"), waiter.WithConsecutive(1))
	wantErr(t, err, want)
	return u.looks, over, time.Since(start)
}

// TestLearnedStages learns the stages of an update, and then looks at their
// ends, with other configured lengths than those it learned with. A failure in
// the middle of any is noticed within a heartbeat, however sure it is by then
// that nothing is due.
func TestLearnedStages(t *testing.T) {
	var h waiter.History
	synctest.Test(t, func(t *testing.T) {
		for range 8 {
			canary(t, &h, 30*time.Minute, 0)
		}
		for _, bake := range []time.Duration{10 * time.Minute, time.Hour} {
			looks, over, noticed := canary(t, &h, bake, 0)
			// One heartbeat a minute, and few looks around the end.
			if most := int((bake+19*time.Minute)/time.Minute) + 30; looks > most || noticed-over > 2*time.Second {
				t.Errorf("baking %v: %d looks, noticed after %v; want at most %d and 2s", bake, looks, noticed-over, most)
			}
		}
		for fails := time.Minute; fails < 50*time.Minute; fails += 41 * time.Second {
			if _, over, noticed := canary(t, &h, 30*time.Minute, fails); noticed-over > waiter.MaxInterval {
				t.Errorf("a failure after %v was noticed %v later", fails, noticed-over)
			}
		}
	})
}

func FuzzLearned(f *testing.F) {
	f.Add(int64(time.Minute), int64(time.Hour), int64(time.Second), int64(100*time.Millisecond), 0.5)
	f.Add(int64(-1), int64(1<<62), int64(0), int64(-5), 1.)
	f.Fuzz(func(t *testing.T, a, b, elapsed, price int64, jitter float64) {
		var h waiter.History
		h.Add("k", "a", time.Duration(a))
		h.Add("k", "b", time.Duration(b))
		h.Add("k", "b", time.Duration(a))
		for _, name := range []string{"a", "b", "c"} {
			p := waiter.Progress{Elapsed: time.Duration(elapsed), Forecast: h.Forecast("k", name), Jitter: min(max(jitter, -1), 1)}
			gap := waiter.Learned(time.Duration(price)).Next(p)
			if gap < 500*time.Millisecond || gap > waiter.MaxInterval {
				t.Errorf("gap %v", gap)
			}
		}
	})
}
