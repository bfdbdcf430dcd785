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
		opt := waiter.WithHistory(&h, "update")
		for _, looks := range [][]look{
			{pending, holds},
			{pending, pending, refused}, // tells nothing about how long it takes
			{broken, holds},
		} {
			_, _ = waiter.Until(t.Context(), newProbe(looks...).look, opt)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := waiter.Until(ctx, newProbe(pending).look, opt)
		wantErr(t, err, context.DeadlineExceeded)
		wantDiff(t, "history", seconds(5, 1), h.Durations("update"))
		wantDiff(t, "history of another kind", nil, h.Durations("other"))
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
			wantErr(t, wait(t.Context(), u, waiter.WithHistory(&h, name)), nil)
			wantDiff(t, "history of "+name, seconds(65), h.Durations(name))
		}
	})
}

func TestHistoryReachesTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h waiter.History
		h.Add("update", time.Minute)
		h.Add("update", 3*time.Minute)
		h.Add("scale", time.Hour)
		var got [][]time.Duration
		_, err := waiter.Until(
			t.Context(), newProbe(pending, pending, holds).look, waiter.WithHistory(&h, "update"),
			waiter.WithSchedule(gaps(func(p waiter.Progress) time.Duration {
				got = append(got, p.Earlier)
				h.Add("update", time.Second) // another wait ends meanwhile
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
		h.Add("k", time.Duration(i))
		if i >= 68 {
			want = append(want, time.Duration(i))
		}
	}
	h.Add("other", 1)
	wantDiff(t, "history", want, h.Durations("k"))
	wantDiff(t, "history of another kind", []time.Duration{1}, h.Durations("other"))
}

func TestHistoryHandsOutCopies(t *testing.T) {
	var h waiter.History
	h.Add("k", time.Minute)
	h.Durations("k")[0] = 0
	wantDiff(t, "history", seconds(60), h.Durations("k"))
}

func TestHistoryJSON(t *testing.T) {
	var h, back waiter.History
	h.Add("update", time.Minute)
	h.Add("update", time.Second)
	h.Add("scale", time.Millisecond)
	b, err := json.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	wantDiff(t, "document", `{"scale":[1000000],"update":[60000000000,1000000000]}`, string(b))

	back.Add("old", 1)
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"update", "scale", "old"} {
		wantDiff(t, "history of "+kind, h.Durations(kind), back.Durations(kind))
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
	back.Add("k", time.Second)
	wantDiff(t, "history", seconds(1), back.Durations("k"))
}

func TestHistoryJSONRefused(t *testing.T) {
	var h waiter.History
	h.Add("k", time.Second)
	for _, doc := range []string{`[]`, `{"k":"1s"}`, `{"k":[1.5]}`, `{"k":[`} {
		if err := json.Unmarshal([]byte(doc), &h); err == nil {
			t.Errorf("%s was read", doc)
		}
	}
	wantDiff(t, "history after what could not be read", seconds(1), h.Durations("k"))
}

// FuzzHistory reads what somebody else may have edited.
func FuzzHistory(f *testing.F) {
	f.Add([]byte(`{"update":[60000000000,1000000000]}`))
	f.Add([]byte(`{"k":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var h waiter.History
		if json.Unmarshal(doc, &h) != nil {
			return
		}
		if n := len(h.Durations("k")); n > 32 {
			t.Errorf("%d durations are remembered, want at most 32", n)
		}
		h.Add("k", time.Second)
		b, err := json.Marshal(&h)
		if err != nil {
			t.Fatal(err)
		}
		var back waiter.History
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s cannot be read back: %v", b, err)
		}
		wantDiff(t, "history", h.Durations("k"), back.Durations("k"))
	})
}

// TestHistoryShared is for the race detector.
func TestHistoryShared(t *testing.T) {
	var h waiter.History
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for i := range 100 {
				h.Add("k", time.Duration(i))
				h.Durations("k")
				b, err := json.Marshal(&h)
				if err == nil {
					err = json.Unmarshal(b, &h)
				}
				wantErr(t, err, nil)
			}
		})
	}
	g.Wait()
	if n := len(h.Durations("k")); n == 0 || n > 32 {
		t.Errorf("%d durations are remembered, want 1 to 32", n)
	}
}
