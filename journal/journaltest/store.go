package journaltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

func loadsNothing(t testing.TB, h Harness) {
	s := h.New(t)
	if got := load(t, s, journalName); len(got) > 0 {
		t.Errorf("Load = %v, want no record", got)
	}
	add(t, s, journalName, chain(t, 1)...)
}

func keepsOrder(t testing.TB, h Harness) {
	s := h.New(t)
	want := chain(t, 21) // past 10, which sorts before 2 as text
	add(t, s, journalName, want...)
	same(t, want, load(t, s, journalName))
}

func roundTrips(t testing.TB, h Harness) {
	s := h.New(t)
	zero, high := 0, math.MaxInt32
	rev := endpoint.Revision{Kind: "template", ID: "wphkv67a0p", Artifact: "acme/sdxl:v2", Digest: "sha256:0123"}
	status := endpoint.Status{
		Phase: endpoint.PhaseUpdating, Desired: rev, Mixed: true, Generation: "17",
		Settings:    endpoint.Settings{endpoint.WorkersMin: 0, endpoint.WorkersMax: 3},
		Pools:       []endpoint.Pool{{Name: "workers", Ready: 1, Stale: 2}},
		UpdateStage: endpoint.UpdateStage{Name: "baking", Since: time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC), For: time.Minute},
		Reason:      "one\ntwo\r\n\ttabs \"quotes\" \\ <b>&amp;</b> \u2028 \x00 äöü 模型 🙂",
	}
	protection := &endpoint.AutoscalingSnapshot{
		Summary: "suspend main", Autoscaled: []string{"variant/main/instances"}, Max: endpoint.Settings{"variant/main/instances": 6},
		Data: json.RawMessage(`{"targets":{"main":{"Min":1,"Max":6}},"big":12345678901234567890,"exact":0.1000}`),
	}
	step := strategy.Step{Name: "update", Do: strategy.ActionUpdate, Timeout: 90*time.Second + 1}
	want := []journal.Record{
		{Kind: journal.KindPlan, Plan: &strategy.Plan{
			Version: strategy.FormatVersion, Rollout: "r", Endpoint: journalName, Strategy: "in-place", Source: rev, Target: rev,
			Options: json.RawMessage(`{"a":[1,2,{"b":null}]}`), Draft: &endpoint.Draft{Revision: rev, Base: rev, Body: json.RawMessage(`"text"`)},
			Settings: status.Settings, Autoscaling: protection, Notes: []string{"", "a note"}, Settle: 30 * time.Second,
			Forward: []strategy.Step{step, {Name: "commit", Do: strategy.ActionCommit}}, Rollback: []strategy.Step{step},
		}},
		{Kind: journal.KindClaim, Owner: "host, process 1", Exclusive: true},
		{
			Kind: journal.KindIntent, Step: "update", Before: &status, Write: &journal.Write{Thing: "revision", Revision: &rev},
			NotAfter: time.Date(2026, 1, 2, 3, 5, 5, 999999999, time.UTC),
		},
		{Kind: journal.KindIntent, Write: &journal.Write{Thing: endpoint.WorkersMin, Value: &zero}},
		{Kind: journal.KindIntent, Write: &journal.Write{Thing: endpoint.WorkersMax, Value: &high, AtLeast: true}},
		{Kind: journal.KindIntent, Write: &journal.Write{Thing: "autoscaling", Suspend: protection}},
		{Kind: journal.KindDrift, Drift: &journal.Drift{Thing: "workers.max", Want: "3", Found: "5"}},
		{Kind: journal.KindStop, Outcome: "incomplete", Residue: []string{"set workers.max to 3"}, Note: status.Reason},
	}
	var last journal.Record
	for i := range want {
		want[i].Rollout = "r"
		want[i] = seal(t, last, want[i])
		last = want[i]
	}
	add(t, s, journalName, want...)
	same(t, want, load(t, h.second(t, s), journalName))
}

func keepsLarge(t testing.TB, h Harness) {
	s := h.New(t)
	large := next(t, journal.Record{}, strings.Repeat("0123456789abcde\n", 1<<14))
	want := []journal.Record{large, next(t, large, "short")}
	add(t, s, journalName, want...)
	got := load(t, s, journalName)
	if len(got) != 2 || got[0].Error != want[0].Error || got[1].Error != want[1].Error {
		t.Errorf("a record of %d bytes and one behind it did not come back as they were: %d records", len(want[0].Error), len(got))
	}
}

func refusesUnsealed(t testing.TB, h Harness) {
	s := h.New(t)
	unsealed, changed := chain(t, 1)[0], chain(t, 1)[0]
	unsealed.Sum, changed.Error = "", "changed after it was sealed"
	for _, r := range []journal.Record{unsealed, changed} {
		if err := s.Append(t.Context(), journalName, r); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("Append = %v, want %v", err, endpoint.ErrInvalid)
		}
	}
	same(t, nil, load(t, s, journalName))
}

func conflicts(t testing.TB, h Harness) {
	s := h.New(t)
	all := chain(t, 3)
	add(t, s, journalName, all...)
	for _, s := range []journal.Store{s, h.second(t, s)} {
		for _, r := range []journal.Record{next(t, journal.Record{}, "another"), next(t, all[1], "another"), all[2], all[0]} {
			if err := s.Append(t.Context(), journalName, r); !errors.Is(err, journal.ErrConflict) {
				t.Errorf("Append of record %d, %q, while 3 exist = %v, want %v", r.Seq, r.Error, err, journal.ErrConflict)
			}
		}
	}
}

func conflictsInVain(t testing.TB, h Harness) {
	s := h.New(t)
	want := chain(t, 4)
	add(t, s, journalName, want[:3]...)
	for _, r := range []journal.Record{next(t, journal.Record{}, "another"), next(t, want[1], "another"), next(t, want[0], "another")} {
		_ = s.Append(t.Context(), journalName, r) // that it is refused is another promise
	}
	same(t, want[:3], load(t, s, journalName))
	add(t, s, journalName, want[3])
	same(t, want, load(t, s, journalName))
}

func oneWins(t testing.TB, h Harness) {
	const rounds, writers = 12, 3 // writers on each of two handles
	s := h.New(t)
	handles := []journal.Store{s, h.second(t, s)}
	var last journal.Record
	for seq := 1; seq <= rounds; seq++ {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []journal.Record
		begin := make(chan struct{})
		for i, s := range handles {
			for w := range writers {
				r := next(t, last, fmt.Sprintf("handle %d, writer %d", i, w))
				wg.Go(func() {
					<-begin
					err := s.Append(t.Context(), journalName, r)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						won = append(won, r)
					case !errors.Is(err, journal.ErrConflict):
						t.Errorf("record %d, %s: %v, want nil or %v", seq, r.Error, err, journal.ErrConflict)
					}
				})
			}
			wg.Go(func() { // a reader at the same time
				<-begin
				records, err := s.Load(t.Context(), journalName)
				if err != nil || len(records) < seq-1 || len(records) > seq {
					t.Errorf("Load while record %d is appended: %d records, %v", seq, len(records), err)
				}
			})
		}
		close(begin)
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("record %d was appended %d times, want once", seq, len(won))
		}
		last = won[0]
		for i, s := range handles {
			got := load(t, s, journalName)
			if len(got) != seq || got[seq-1].Error != last.Error {
				t.Fatalf("handle %d has %d records after record %d, and the last is not of %s, whose append succeeded", i, len(got), seq, last.Error)
			}
		}
	}
}

func keepsApart(t testing.TB, h Harness) {
	names := []string{
		"runpod/a", "runpod/a/b", "runpod/a b", "runpod/a%2Fb", "runpod/a+b", "runpod/a.jsonl", "runpod/", "runpod", "/runpod/a",
		"runpod/../a", "..", ".", "a", "runpod\\a", "sagemaker/eu-west-1:a", "runpod/ä", "runpod/a\nb", "runpod/a?x=1#y", "runpod/a*", "~a",
		"sagemaker/" + strings.Repeat("x", 63), "sagemaker/" + strings.Repeat("x", 62),
	}
	s := h.New(t)
	journalOf := func(name string, i int) []journal.Record {
		first := next(t, journal.Record{}, name)
		return []journal.Record{first, next(t, first, name)}[:2-i%2]
	}
	for i, name := range names {
		add(t, s, name, journalOf(name, i)...)
	}
	for i, name := range names {
		same(t, journalOf(name, i), load(t, h.second(t, s), name))
	}
}

func survives(t testing.TB, h Harness) {
	if h.Reopen == nil {
		t.Skip("SKIPPED: the store forgets with its process; a crash cannot be resumed from it")
	}
	s := h.New(t)
	want := chain(t, 5)
	for i, r := range want {
		add(t, s, journalName, r)
		s = h.Reopen(t, s)
		same(t, want[:i+1], load(t, s, journalName))
	}
}

func heedsContext(t testing.TB, h Harness) {
	s := h.New(t)
	all := chain(t, 2)
	add(t, s, journalName, all[0])
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Append(done, journalName, all[1]); !errors.Is(err, context.Canceled) {
		t.Errorf("Append with a done context = %v, want %v", err, context.Canceled)
	}
	if _, err := s.Load(done, journalName); !errors.Is(err, context.Canceled) {
		t.Errorf("Load with a done context = %v, want %v", err, context.Canceled)
	}
	same(t, all[:1], load(t, s, journalName))
}

func handsOutCopies(t testing.TB, h Harness) {
	s := h.New(t)
	want := chain(t, 1)
	add(t, s, journalName, want...)
	got := load(t, s, journalName)
	if len(got) != 1 {
		t.Fatalf("Load = %d records, want 1", len(got))
	}
	_ = append(got, next(t, got[0], "added"))
	got[0] = next(t, got[0], "changed")
	same(t, want, load(t, s, journalName))
}
