package endpointtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/promise"
)

// Harness makes the endpoints that [Run] tests.
type Harness struct {
	// New makes an endpoint at rest, ready, with its revision proven. It is
	// called for each promise, in a testing/synctest bubble of its own: what it
	// makes opens no sockets and leaves no goroutines.
	New func(t testing.TB) Subject
}

// Subject is one endpoint with what the suite has to know of it and do to it.
// What a field is left empty for is skipped aloud.
type Subject struct {
	Updater endpoint.Updater
	// To is a revision that the endpoint does not serve, exists, and comes up.
	To endpoint.Revision
	// Mutations counts the remote writes that have reached the provider.
	Mutations func() int

	// Settle is how long a read may lag behind a write; 30 seconds if zero.
	Settle time.Duration
	// Lose loses the next write's answer, after it took effect or before.
	Lose func(applied bool)
	// Spoil makes To fail to come up from now on.
	Spoil func()
	// Key is a setting, and Value one that it does not have and may be set to.
	Key   string
	Value int
	// Base is what to draft a revision from, that runs Artifact.
	Base     endpoint.Revision
	Artifact string
	// Protective is everything that [endpoint.Protector] has to put back, for
	// go-cmp to compare, as it is now, whatever reads are shown.
	Protective func() any
	// Secrets must not get out.
	Secrets []string
}

// patience bounds how long a change of the subject may take.
const patience = 2 * time.Hour

// Run holds an updater to the promises of package endpoint, one subtest each.
// It is one half of the proof that an updater can be trusted with a rollout:
// the other one is strategytest.Sweep.
func Run(t *testing.T, h Harness) {
	t.Helper()
	updaterSuite.Run(t, h)
}

// keep is a check of one subject.
func keep(f func(t testing.TB, s Subject)) func(testing.TB, Harness) {
	return func(t testing.TB, h Harness) {
		t.Helper()
		s := h.New(t)
		if s.Settle == 0 {
			s.Settle = 30 * time.Second
		}
		f(t, s)
	}
}

var updaterSuite = promise.Suite[Harness]{Bubble: true, Promises: []promise.Promise[Harness]{
	{
		Name: "the name is provider and id", Keep: keep(named),
		Why: "it keys the journal: were it to change, a crashed rollout could not be found again",
	},
	{
		Name: "at rest the status says so", Keep: keep(restsReady),
		Why: "a rollout begins only on an endpoint at rest, and what it reads then is what it goes back to",
	},
	{
		Name: "what only reads changes nothing", Keep: keep(readsOnly),
		Why: "a plan is printed before anybody has agreed to a change",
	},
	{
		Name: "a status is the caller's", Keep: keep(handsOutStatus),
		Why: "the first status is what is restored in the end: it must not change in the caller's hands",
	},
	{
		Name: "an accepted update is desired", Keep: keep(showsDesired),
		Why: "after a lost answer or a crash this alone tells whether the update was made; if it never shows, it is made again and again",
	},
	{
		Name: "an update comes to serve", Keep: keep(comesToServe),
		Why: "a rollout has succeeded when the target is seen to serve, and not before",
	},
	{
		Name: "a failed update is no success", Keep: keep(failsAloud),
		Why: "a provider that rolls back by itself ends ready, on the revision before: reported as success, the old model goes on serving unnoticed",
	},
	{
		Name: "the generation counts updates", Keep: keep(countsGenerations),
		Why: "it tells an update that was undone by the provider from one that was never made",
	},
	{
		Name: "a done context changes nothing", Keep: keep(heedsContext),
		Why: "after a cancel nobody looks any more at what a late write has done",
	},
	{
		Name: "a refusal is one, and changes nothing", Keep: keep(refuses),
		Why: "after an error that proves that nothing was applied, nobody looks whether something was",
	},
	{
		Name: "errors name the endpoint", Keep: keep(wrapsErrors),
		Why: "a program that moves many endpoints has to say which one went wrong",
	},
	{
		Name: "a lost answer is no refusal", Keep: keep(losesAnswers),
		Why: "taken for a refusal, a write that was applied is never looked for, and never undone",
	},
	{
		Name: "a setting takes one write", Keep: keep(setsOne),
		Why: "the strategy decides in which order bounds change, and a crash between two hidden writes is one that the journal knows nothing of",
	},
	{
		Name: "a setting's lost answer is no refusal", Keep: keep(losesSet),
		Why: "a bound that was lowered unnoticed stays lowered: the endpoint ends without workers",
	},
	{
		Name: "a draft is staged once and serves when asked to", Keep: keep(stages),
		Why: "staging is done before anything is protected or drained; it must not touch what serves, and may be repeated after a crash",
	},
	{
		Name: "protection is put back exactly", Keep: keep(protects),
		Why: "what is forgotten is gone: an endpoint without its scaling policy fails in the next rush, weeks later",
	},
	{
		Name: "a revision resolves to itself", Keep: keep(resolves),
		Why: "a target that is completed wrongly is another model",
	},
	{
		Name: "it can be used from many goroutines", Keep: keep(isConcurrent),
		Why: "a display, a shared poller and the rollout look at the same time; run the tests with -race",
	},
	{
		Name: "no secret gets out", Keep: keep(keepsSecrets),
		Why: "plans, journals and errors are printed, sent and kept",
	},
}}

func pause(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in the bubble's time

func (s Subject) status(t testing.TB) endpoint.Status {
	t.Helper()
	st, err := s.Updater.Status(t.Context())
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	return st
}

// until looks every second for at most d until good is true.
func (s Subject) until(t testing.TB, d time.Duration, what string, good func(endpoint.Status) bool) endpoint.Status {
	t.Helper()
	for end := time.Now().Add(d); ; pause(time.Second) {
		st := s.status(t)
		if good(st) {
			return st
		}
		if time.Now().After(end) {
			t.Fatalf("after %v there is no %s; the last look: %s, desired %s, serving %s, settings %v",
				d, what, st.Phase, st.Desired, st.Serving, st.Settings)
		}
	}
}

// stays looks for as long as a read may lag, and fails at the first look that is not good.
func (s Subject) stays(t testing.TB, what string, good func(endpoint.Status) bool) {
	t.Helper()
	for end := time.Now().Add(s.Settle); !time.Now().After(end); pause(time.Second) {
		if st := s.status(t); !good(st) {
			t.Errorf("%s: %s, desired %s, serving %s, settings %v", what, st.Phase, st.Desired, st.Serving, st.Settings)
			return
		}
	}
}

func (s Subject) update(t testing.TB) {
	t.Helper()
	if err := s.Updater.Update(t.Context(), endpoint.Change{To: s.To}); err != nil {
		t.Fatalf("Update to %s: %v", s.To, err)
	}
}

func named(t testing.TB, s Subject) {
	provider, id, ok := strings.Cut(s.Updater.Name(), "/")
	if !ok || provider == "" || id == "" {
		t.Errorf("Name = %q, want provider/id", s.Updater.Name())
	}
	name := s.Updater.Name()
	s.update(t)
	if got := s.Updater.Name(); got != name {
		t.Errorf("Name = %q, and %q after an update", name, got)
	}
}

func restsReady(t testing.TB, s Subject) {
	st := s.status(t)
	if st.Phase != endpoint.PhaseReady || !st.Desired.Same(st.Serving) || st.Mixed || st.Live() == 0 {
		t.Errorf("at rest: %s, desired %s, serving %s, mixed %v, %d live; want it ready, serving what is desired",
			st.Phase, st.Desired, st.Serving, st.Mixed, st.Live())
	}
	if st.Desired.Same(s.To) {
		t.Errorf("it serves %s already", s.To)
	}
}

// reads calls everything that only reads, and returns what came of it.
func (s Subject) reads(ctx context.Context) map[string]func() (any, error) {
	all := map[string]func() (any, error){
		"Status": func() (any, error) { return s.Updater.Status(ctx) },
	}
	if d, ok := endpoint.As[endpoint.Drainer](s.Updater); ok {
		all["Jobs"] = func() (any, error) { return d.Jobs(ctx) }
	}
	if r, ok := endpoint.As[endpoint.Resolver](s.Updater); ok {
		all["Resolve"] = func() (any, error) { return r.Resolve(ctx, s.To) }
	}
	if p, ok := endpoint.As[endpoint.Preflighter](s.Updater); ok {
		all["Preflight"] = func() (any, error) { return p.Preflight(ctx, endpoint.Change{To: s.To}, nil) }
	}
	if st, ok := endpoint.As[endpoint.Stager](s.Updater); ok && s.Artifact != "" {
		all["Draft"] = func() (any, error) { return st.Draft(ctx, s.Base, s.Artifact) }
	}
	if p, ok := endpoint.As[endpoint.Protector](s.Updater); ok {
		all["Snapshot"] = func() (any, error) { return p.Snapshot(ctx, endpoint.Change{To: s.To}) }
	}
	return all
}

func readsOnly(t testing.TB, s Subject) {
	before := s.status(t)
	n := s.Mutations()
	for name, read := range s.reads(t.Context()) {
		if _, err := read(); err != nil {
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

func handsOutStatus(t testing.TB, s Subject) {
	st := s.status(t)
	want := maps.Clone(st.Settings)
	for key := range st.Settings {
		st.Settings[key] = -1
	}
	for i := range st.Pools {
		st.Pools[i] = endpoint.Pool{}
	}
	again := s.status(t)
	if diff := cmp.Diff(want, again.Settings); diff != "" || again.Live() == 0 {
		t.Errorf("what a caller did to one status shows in the next; settings (-before +after):\n%s%d live", diff, again.Live())
	}
}

func showsDesired(t testing.TB, s Subject) {
	s.update(t)
	s.until(t, s.Settle, "status that desires "+s.To.String(), func(st endpoint.Status) bool { return st.Desired.Same(s.To) })
}

func comesToServe(t testing.TB, s Subject) {
	kept := s.status(t).Settings
	s.update(t)
	st := s.until(t, patience, "status that is ready, serving "+s.To.String(), func(st endpoint.Status) bool {
		if st.Serving.Same(s.To) && st.Mixed {
			t.Errorf("all that is in service is proven to run %s, and yet it is mixed", st.Serving)
		}
		return st.Phase == endpoint.PhaseReady && st.Serving.Same(s.To) && st.Desired.Same(s.To)
	})
	if diff := cmp.Diff(kept, st.Settings); diff != "" {
		t.Errorf("an update changed settings (-before +after):\n%s", diff)
	}
}

func failsAloud(t testing.TB, s Subject) {
	if s.Spoil == nil {
		t.Skip("SKIPPED: the subject cannot spoil its target: whether a failed update is reported as one is not tested")
	}
	s.Spoil()
	if err := s.Updater.Update(t.Context(), endpoint.Change{To: s.To}); err != nil {
		t.Logf("refused at once: %v", err)
	}
	for end := time.Now().Add(time.Hour); time.Now().Before(end); pause(5 * time.Second) {
		if st := s.status(t); st.Phase == endpoint.PhaseReady && (st.Serving.Same(s.To) || st.Desired.Same(s.To)) {
			t.Fatalf("ready, desired %s, serving %s, of which nothing has come up", st.Desired, st.Serving)
		}
	}
}

func countsGenerations(t testing.TB, s Subject) {
	before := s.status(t)
	if before.Generation == "" {
		t.Skip("SKIPPED: the provider has no generation: an update that it undid by itself looks like one that was never made")
	}
	if again := s.status(t); again.Generation != before.Generation {
		t.Errorf("generation %s, then %s, with nothing changed", before.Generation, again.Generation)
	}
	s.update(t)
	s.until(t, s.Settle, "other generation than "+before.Generation, func(st endpoint.Status) bool { return st.Generation != before.Generation })
}

func heedsContext(t testing.TB, s Subject) {
	before, n := s.status(t), s.Mutations()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := s.reads(ctx)
	calls["Update"] = func() (any, error) { return nil, s.Updater.Update(ctx, endpoint.Change{To: s.To}) }
	if sc, ok := endpoint.As[endpoint.Scaler](s.Updater); ok && s.Key != "" {
		calls["Set"] = func() (any, error) { return nil, sc.Set(ctx, s.Key, s.Value) }
	}
	if st, ok := endpoint.As[endpoint.Stager](s.Updater); ok && s.Artifact != "" {
		d, err := st.Draft(t.Context(), s.Base, s.Artifact)
		if err != nil {
			t.Fatalf("Draft: %v", err)
		}
		calls["Stage"] = func() (any, error) { return nil, st.Stage(ctx, d) }
		calls["Staged"] = func() (any, error) { return nil, st.Staged(ctx, d) }
	}
	if p, ok := endpoint.As[endpoint.Protector](s.Updater); ok {
		snapshot, err := p.Snapshot(t.Context(), endpoint.Change{To: s.To})
		if err != nil {
			t.Fatalf("Snapshot: %v", err)
		}
		calls["Protect"] = func() (any, error) { return nil, p.Protect(ctx, snapshot) }
		calls["Restore"] = func() (any, error) { return nil, p.Restore(ctx, snapshot) }
		calls["Inspect"] = func() (any, error) { return p.Inspect(ctx, snapshot) }
	}
	for name, call := range calls {
		if _, err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a done context = %v, want %v", name, err, context.Canceled)
		}
		if got := s.Mutations(); got != n {
			t.Errorf("%s with a done context made %d remote writes", name, got-n)
			n = got
		}
	}
	s.stays(t, "changed by calls with a done context", func(st endpoint.Status) bool {
		return st.Desired == before.Desired && maps.Equal(st.Settings, before.Settings)
	})
}

// missing is a revision that no provider has.
func (s Subject) missing() endpoint.Revision {
	return endpoint.Revision{Kind: s.To.Kind, ID: "changeover-no-such-revision", Artifact: "changeover.invalid/no/such:artifact"}
}

func refuses(t testing.TB, s Subject) {
	before := s.status(t)
	err := s.Updater.Update(t.Context(), endpoint.Change{To: s.missing()})
	if err == nil || !endpoint.Unapplied(err) {
		t.Errorf("Update to a revision that does not exist = %v, want an error that proves that nothing was applied", err)
	}
	if sc, ok := endpoint.As[endpoint.Scaler](s.Updater); ok {
		if err := sc.Set(t.Context(), "changeover.no.such.setting", 1); err == nil || !endpoint.Unapplied(err) {
			t.Errorf("Set of a setting that does not exist = %v, want an error that proves that nothing was applied", err)
		}
	}
	s.stays(t, "changed by calls that were refused", func(st endpoint.Status) bool {
		return st.Desired == before.Desired && maps.Equal(st.Settings, before.Settings)
	})
}

func wrapsErrors(t testing.TB, s Subject) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	_, statusErr := s.Updater.Status(done)
	for call, err := range map[string]error{
		"Update": s.Updater.Update(t.Context(), endpoint.Change{To: s.missing()}), "Status": statusErr,
	} {
		var e *endpoint.Error
		if !errors.As(err, &e) || e.Endpoint != s.Updater.Name() || e.Op == "" {
			t.Errorf("the error of %s is %q, want an *endpoint.Error that names %s", call, err, s.Updater.Name())
		}
	}
}

// lost makes a write whose answer is lost, and checks what the caller hears.
func (s Subject) lost(t testing.TB, applied bool, what string, write func() error) {
	t.Helper()
	s.Lose(applied)
	err := write()
	switch {
	case err == nil:
		t.Errorf("%s, its answer lost, applied %v: no error", what, applied)
	case endpoint.Unapplied(err):
		t.Errorf("%s, its answer lost, applied %v: %v, which claims that nothing was applied", what, applied, err)
	case !endpoint.Transient(err):
		t.Errorf("%s, its answer lost, applied %v: %v, want it to be %v", what, applied, err, endpoint.ErrUnavailable)
	}
}

func losesAnswers(t testing.TB, s Subject) {
	if s.Lose == nil {
		t.Skip("SKIPPED: the subject cannot lose an answer: what an error then claims is not tested")
	}
	update := func() error { return s.Updater.Update(t.Context(), endpoint.Change{To: s.To}) }
	before := s.status(t).Desired
	s.lost(t, false, "Update", update)
	s.stays(t, "changed by an update that did not arrive", func(st endpoint.Status) bool { return st.Desired == before })
	s.lost(t, true, "Update", update)
	s.until(t, s.Settle, "sign of an update whose answer was lost", func(st endpoint.Status) bool { return st.Desired.Same(s.To) })
}

func setsOne(t testing.TB, s Subject) {
	sc, ok := endpoint.As[endpoint.Scaler](s.Updater)
	if !ok || s.Key == "" {
		t.Skip("SKIPPED: no endpoint.Scaler, or no key to set: FlushToZero and Prescale cannot be used")
	}
	want, n := s.status(t).Settings, s.Mutations()
	want[s.Key] = s.Value
	if err := sc.Set(t.Context(), s.Key, s.Value); err != nil {
		t.Fatalf("Set(%s, %d): %v", s.Key, s.Value, err)
	}
	if got := s.Mutations() - n; got != 1 {
		t.Errorf("Set made %d remote writes, want 1", got)
	}
	st := s.until(t, s.Settle, fmt.Sprintf("status with %s=%d", s.Key, s.Value), func(st endpoint.Status) bool { return st.Settings[s.Key] == s.Value })
	if diff := cmp.Diff(want, st.Settings); diff != "" {
		t.Errorf("settings after Set(%s, %d) (-want +got):\n%s", s.Key, s.Value, diff)
	}
}

func losesSet(t testing.TB, s Subject) {
	sc, ok := endpoint.As[endpoint.Scaler](s.Updater)
	if !ok || s.Key == "" || s.Lose == nil {
		t.Skip("SKIPPED: no endpoint.Scaler, no key to set, or no way to lose an answer")
	}
	s.lost(t, false, "Set", func() error { return sc.Set(t.Context(), s.Key, s.Value) })
	s.lost(t, true, "Set", func() error { return sc.Set(t.Context(), s.Key, s.Value) })
	s.until(t, s.Settle, "sign of a Set whose answer was lost", func(st endpoint.Status) bool { return st.Settings[s.Key] == s.Value })
}

func stages(t testing.TB, s Subject) {
	stager, ok := endpoint.As[endpoint.Stager](s.Updater)
	if !ok || s.Artifact == "" {
		t.Skip("SKIPPED: no endpoint.Stager, or nothing to stage: targets have to exist before a rollout")
	}
	before := s.status(t)
	d, err := stager.Draft(t.Context(), s.Base, s.Artifact)
	if err != nil {
		t.Fatalf("Draft: %v", err)
	}
	if d.Revision.Artifact != s.Artifact {
		t.Errorf("the draft runs %q, want %q", d.Revision.Artifact, s.Artifact)
	}
	d = journaled(t, d)
	if err := stager.Staged(t.Context(), d); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("Staged of a draft that is not = %v, want %v", err, endpoint.ErrNotFound)
	}
	for range 2 { // a rollout that died may stage again
		err := stager.Stage(t.Context(), d)
		for end := time.Now().Add(s.Settle); endpoint.Transient(err) && time.Now().Before(end); pause(time.Second) {
			err = stager.Stage(t.Context(), d)
		}
		if err != nil {
			t.Fatalf("Stage: %v", err)
		}
	}
	for end := time.Now().Add(s.Settle); ; pause(time.Second) {
		if err = stager.Staged(t.Context(), d); err == nil || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		t.Errorf("Staged after Stage = %v", err)
	}
	s.stays(t, "changed by staging", func(st endpoint.Status) bool {
		return st.Desired.Same(before.Desired) && maps.Equal(st.Settings, before.Settings)
	})
	if err := s.Updater.Update(t.Context(), endpoint.Change{To: d.Revision}); err != nil {
		t.Fatalf("Update to the staged revision: %v", err)
	}
	s.until(t, patience, "status that serves the staged "+d.Revision.String(), func(st endpoint.Status) bool { return st.Serving.Same(d.Revision) })
}

// journaled is v as another process reads it from the journal.
func journaled[T any](t testing.TB, v T) (read T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &read)
	}
	if err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	return read
}

func protects(t testing.TB, s Subject) {
	p, ok := endpoint.As[endpoint.Protector](s.Updater)
	if !ok || s.Protective == nil {
		t.Skip("SKIPPED: no endpoint.Protector, or nothing to compare: ScaleProtectedSwap protects nothing")
	}
	before := s.Protective()
	snapshot, err := p.Snapshot(t.Context(), endpoint.Change{To: s.To})
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	snapshot = journaled(t, snapshot)
	inspect := func(when string, good func(endpoint.ProtectionState) bool) {
		t.Helper()
		var is endpoint.ProtectionState
		for end := time.Now().Add(s.Settle); ; pause(time.Second) {
			if is, err = p.Inspect(t.Context(), snapshot); err != nil {
				t.Fatalf("Inspect: %v", err)
			}
			if good(is) {
				return
			}
			if time.Now().After(end) {
				t.Errorf("Inspect %s = %+v", when, is)
				return
			}
		}
	}
	intact := func(is endpoint.ProtectionState) bool { return is.Intact && len(is.Differences) == 0 }
	inspect("before anything was done", intact)
	for range 2 { // a rollout that died may protect and restore again
		if err := p.Protect(t.Context(), snapshot); err != nil {
			t.Fatalf("Protect: %v", err)
		}
	}
	inspect("while it is protected", func(is endpoint.ProtectionState) bool { return is.Frozen && len(is.Foreign) == 0 })
	for range 2 {
		if err := p.Restore(t.Context(), snapshot); err != nil {
			t.Fatalf("Restore: %v", err)
		}
	}
	inspect("after it was restored", intact)
	if diff := cmp.Diff(before, s.Protective()); diff != "" {
		t.Errorf("after it was restored (-before +after):\n%s", diff)
	}
}

func resolves(t testing.TB, s Subject) {
	r, ok := endpoint.As[endpoint.Resolver](s.Updater)
	if !ok {
		t.Skip("SKIPPED: no endpoint.Resolver: targets have to be named in full")
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
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				for name, read := range s.reads(t.Context()) {
					if _, err := read(); err != nil && name == "Status" { // the others may refuse what has become of it
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
		t.Skip("SKIPPED: the subject names no secrets")
	}
	var out strings.Builder
	for name, read := range s.reads(t.Context()) {
		v, err := read()
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
