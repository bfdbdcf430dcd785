package endpointtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
)

// call is one call of an updater.
type call func(context.Context) (any, error)

// reads are the calls that only read.
func (s Subject) reads(t testing.TB) map[string]call {
	t.Helper()
	c := endpoint.Change{To: s.To}
	all := map[string]call{
		"Status": func(ctx context.Context) (any, error) { return s.Updater.Status(ctx) },
	}
	if d, ok := endpoint.As[endpoint.Drainer](s.Updater); ok {
		all["Jobs"] = func(ctx context.Context) (any, error) { return d.Jobs(ctx) }
	}
	if r, ok := endpoint.As[endpoint.Resolver](s.Updater); ok {
		all["Resolve"] = func(ctx context.Context) (any, error) { return r.Resolve(ctx, s.To) }
	}
	if p, ok := endpoint.As[endpoint.Preflighter](s.Updater); ok {
		all["Preflight"] = func(ctx context.Context) (any, error) { return p.Preflight(ctx, c, nil) }
	}
	if p, ok := endpoint.As[endpoint.DurationEstimator](s.Updater); ok {
		all["Pace"] = func(ctx context.Context) (any, error) { return p.EstimateDuration(ctx, c) }
	}
	if st, ok := endpoint.As[endpoint.Stager](s.Updater); ok && s.Artifact != "" {
		d := s.draft(t, st)
		all["Draft"] = func(ctx context.Context) (any, error) { return st.Draft(ctx, s.Base, s.Artifact) }
		all["Staged"] = func(ctx context.Context) (any, error) {
			if err := st.Staged(ctx, d); !errors.Is(err, endpoint.ErrNotFound) {
				return true, err
			}
			return false, nil
		}
	}
	if p, ok := endpoint.As[endpoint.AutoscalingSuspender](s.Updater); ok {
		snapshot := s.snapshot(t, p)
		all["Snapshot"] = func(ctx context.Context) (any, error) { return p.SnapshotAutoscaling(ctx, c) }
		all["Inspect"] = func(ctx context.Context) (any, error) { return p.InspectAutoscaling(ctx, snapshot) }
	}
	return all
}

func readsOnly(t testing.TB, s Subject) {
	before := s.status(t)
	n := s.Mutations()
	for name, read := range s.reads(t) {
		_, err := read(t.Context())
		if name == "Jobs" && s.Enqueue == nil && errors.Is(err, errors.ErrUnsupported) {
			continue // its jobs cannot be counted
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.Mutations(); got != n {
			t.Errorf("%s made %d remote writes", name, got-n)
			n = got
		}
	}
	if after := s.status(t); !cmp.Equal(before.Settings, after.Settings) || before.Desired != after.Desired {
		t.Errorf("desired %s, settings %v before, %s, %v after", before.Desired, before.Settings, after.Desired, after.Settings)
	}
}

// tells are the reads that cannot be answered without the provider.
var tells = []string{"Status", "Jobs", "Staged", "Snapshot", "Inspect"}

func failsToRead(t testing.TB, s Subject) {
	if s.FailReads == nil {
		t.Skip("skipped: the subject cannot fail its reads: what is then taken for the truth is not tested")
	}
	reads := s.reads(t)
	s.FailReads()
	for name, read := range reads {
		switch v, err := read(t.Context()); {
		case err == nil && slices.Contains(tells, name):
			t.Errorf("%s, with every read failing, = %+v", name, v)
		case err != nil && !errors.Is(err, endpoint.ErrUnavailable):
			t.Errorf("%s, with every read failing: %v, want it to be %v", name, err, endpoint.ErrUnavailable)
		}
	}
}

func countsJobs(t testing.TB, s Subject) {
	d, ok := endpoint.As[endpoint.Drainer](s.Updater)
	if !ok || s.Enqueue == nil {
		t.Skip("skipped: no endpoint.Drainer, or no jobs to count: rollouts cannot wait for jobs to end")
	}
	count := func() int {
		j, err := d.Jobs(t.Context())
		if err != nil {
			t.Fatalf("Jobs: %v", err)
		}
		if j.InFlight < 0 || j.Queued < 0 {
			t.Errorf("Jobs = %+v", j)
		}
		return j.InFlight + j.Queued
	}
	const more = 7 // than are at work at once
	want := count() + more
	s.Enqueue(more)
	got := count()
	for end := time.Now().Add(s.Settle); got != want && time.Now().Before(end); pause(time.Second) {
		got = count()
	}
	if got != want {
		t.Errorf("%d jobs at hand, want %d", got, want)
	}
}

func resolves(t testing.TB, s Subject) {
	r, ok := endpoint.As[endpoint.Resolver](s.Updater)
	if !ok {
		t.Skip("skipped: no endpoint.Resolver: targets have to be named in full")
	}
	for _, want := range []endpoint.Revision{s.status(t).Desired, s.To} {
		if want.ID == "" {
			continue
		}
		got, err := r.Resolve(t.Context(), endpoint.Revision{Kind: want.Kind, ID: want.ID})
		if err != nil || !got.Same(want) || got.Artifact == "" {
			t.Errorf("Resolve(%s %s) = %s, %v, want %s", want.Kind, want.ID, got, err, want)
		}
	}
}

func isConcurrent(t testing.TB, s Subject) {
	reads := s.reads(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				for name, read := range reads {
					if _, err := read(t.Context()); err != nil && name == "Status" { // the others may refuse what has become of it
						t.Errorf("%s: %v", name, err)
					}
				}
				pause(time.Second)
			}
		})
	}
	err := s.Updater.Update(t.Context(), endpoint.Change{To: s.To})
	wg.Wait()
	if err != nil {
		t.Errorf("Update to %s: %v", s.To, err)
	}
}

func keepsSecrets(t testing.TB, s Subject) {
	if len(s.Secrets) == 0 {
		t.Skip("skipped: the subject names no secrets")
	}
	var out strings.Builder
	for name, read := range s.reads(t) {
		v, err := read(t.Context())
		b, jerr := json.Marshal(v)
		if jerr != nil {
			t.Errorf("what %s returns cannot be written to a journal: %v", name, jerr)
		}
		fmt.Fprintf(&out, "%s: %s %+v %v\n", name, b, v, err)
	}
	fmt.Fprintf(&out, "Update: %v\n", s.Updater.Update(t.Context(), endpoint.Change{To: s.missing()}))
	for _, secret := range s.Secrets {
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, secret) {
				t.Errorf("%s shows a secret", line[:strings.IndexByte(line, ':')])
			}
		}
	}
}
