package waiter_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

func TestHistoryRemembersSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h waiter.History
		opt := waiter.WithHistory(&h, "update", "e")
		for _, looks := range [][]look{
			{pending, holds},
			{pending, pending, refused}, // tells nothing about how long it takes
			{holds},                     // nor does what was there before
			{broken, holds},
		} {
			_, _ = waiter.Until(t.Context(), newProbe(looks...).look, opt, steady)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := waiter.Until(ctx, newProbe(pending).look, opt, steady)
		wantErr(t, err, context.DeadlineExceeded)
		// Half-way between the last look that did not find it and the first that did.
		wantDiff(t, "history", []time.Duration{2500 * time.Millisecond, 500 * time.Millisecond}, h.Durations("update", "e"))
		wantDiff(t, "history of another kind", nil, h.Durations("other", "e"))
	})
}

func TestHistoryOfReadyMadeConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h waiter.History
		for name, wait := range waits {
			u := newScript(
				scene{status: endpoint.Status{Phase: endpoint.PhaseUpdating, Desired: v2, Pools: []endpoint.Pool{{Stale: 1}}}},
				scene{from: time.Minute, status: endpoint.Status{Phase: endpoint.PhaseReady, Desired: v2, Serving: v2}},
			)
			wantErr(t, wait(t.Context(), u, waiter.WithHistory(&h, name, "e")), nil)
			wantDiff(t, "history of "+name, []time.Duration{57500 * time.Millisecond}, h.Durations(name, "e"))
		}
	})
}

func TestHistoryReachesTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h waiter.History
		h.Add("update", "e", time.Minute)
		h.Add("update", "e", 3*time.Minute)
		h.Add("scale", "e", time.Hour)
		var got [][]time.Duration
		_, err := waiter.Until(
			t.Context(), newProbe(pending, pending, holds).look, waiter.WithHistory(&h, "update", "e"),
			waiter.WithSchedule(gaps(func(p waiter.Progress) time.Duration {
				got = append(got, p.Earlier)
				h.Add("update", "e", time.Second) // another wait ends meanwhile
				return time.Second
			})),
		)
		wantErr(t, err, nil)
		wantDiff(t, "earlier durations", [][]time.Duration{seconds(60, 180), seconds(60, 180)}, got)

		_, err = waiter.Until(
			t.Context(), newProbe(pending, holds).look,
			waiter.WithObserver(func(p waiter.Progress) {
				if p.Earlier != nil {
					t.Errorf("earlier durations %v, want none without a history", p.Earlier)
				}
			}),
		)
		wantErr(t, err, nil)
	})
}

func TestHistoryIsBounded(t *testing.T) {
	var h waiter.History
	var want []time.Duration
	for i := range 100 {
		h.Add("k", "e", time.Duration(i))
		if i >= 84 {
			want = append(want, time.Duration(i))
		}
	}
	h.Add("other", "e", 1)
	wantDiff(t, "history", want, h.Durations("k", "e"))
	wantDiff(t, "history of another kind", []time.Duration{1}, h.Durations("other", "e"))
}

func TestHistoryHandsOutCopies(t *testing.T) {
	var h waiter.History
	h.Add("k", "e", time.Minute)
	h.Durations("k", "e")[0] = 0
	wantDiff(t, "history", seconds(60), h.Durations("k", "e"))
}

func TestHistoryJSON(t *testing.T) {
	var h, back waiter.History
	h.Add("update", "e", time.Minute)
	h.Add("update", "e", time.Second)
	h.Add("scale", "e", time.Millisecond)
	b, err := json.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	wantDiff(t, "document", `[{"kind":"scale","scores":[-2.02,0,-2.02,-2.02],"of":[{"endpoint":"e","took":[1000000]}]},`+
		`{"kind":"update","scores":[-0.92,0,-0.48,-0.93],"of":[{"endpoint":"e","took":[60000000000,1000000000]}]}]`, string(b))

	back.Add("old", "e", 1)
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"update", "scale", "old"} {
		wantDiff(t, "history of "+kind, h.Durations(kind, "e"), back.Durations(kind, "e"))
	}
}

func TestHistoryJSONOfNothing(t *testing.T) {
	var h, back waiter.History
	b, err := json.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatalf("%s cannot be read back: %v", b, err)
	}
	back.Add("k", "e", time.Second)
	wantDiff(t, "history", seconds(1), back.Durations("k", "e"))
}

func TestHistoryJSONRefused(t *testing.T) {
	var h waiter.History
	h.Add("k", "e", time.Second)
	for _, doc := range []string{`{}`, `[{"kind":1}]`, `[{"kind":"k","of":[{"took":[1.5]}]}]`, `[{"kind":"k"`} {
		if err := json.Unmarshal([]byte(doc), &h); err == nil {
			t.Errorf("%s was read", doc)
		}
	}
	wantDiff(t, "history after what could not be read", seconds(1), h.Durations("k", "e"))
}

// FuzzHistory reads what somebody else may have edited.
func FuzzHistory(f *testing.F) {
	f.Add([]byte(`[{"kind":"k","scores":[0,-1,-2,-3],"of":[{"endpoint":"e","took":[60000000000,1000000000]}]}]`))
	f.Add([]byte(`[{"kind":"k","stage":"Baking","scores":[1e308,-1e308,0],"of":[{"took":[-1,0,9223372036854775807]}]}]`))
	f.Add([]byte(`[{"kind":"k","of":[{"endpoint":"e","took":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}]}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var h waiter.History
		if json.Unmarshal(doc, &h) != nil {
			return
		}
		if n := len(h.Durations("k", "e")); n > 16 {
			t.Errorf("%d durations are remembered, want at most 16", n)
		}
		h.Add("k", "e", time.Second)
		b, err := json.Marshal(&h)
		if err != nil {
			t.Fatal(err)
		}
		var back waiter.History
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s cannot be read back: %v", b, err)
		}
		wantDiff(t, "history", h.Durations("k", "e"), back.Durations("k", "e"))
	})
}

// TestHistoryShared is for the race detector.
func TestHistoryShared(t *testing.T) {
	var h waiter.History
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for i := range 100 {
				h.Add("k", "e", time.Duration(i))
				h.Durations("k", "e")
				b, err := json.Marshal(&h)
				if err == nil {
					err = json.Unmarshal(b, &h)
				}
				wantErr(t, err, nil)
			}
		})
	}
	g.Wait()
	if n := len(h.Durations("k", "e")); n == 0 || n > 16 {
		t.Errorf("%d durations are remembered, want 1 to 16", n)
	}
}
