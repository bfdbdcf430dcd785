package endpointtest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/changeover-dev/changeover/endpoint"
)

// broken is an updater with the abilities of Workers or Variants, of which
// single methods are replaced.
type broken struct {
	all
	mu      sync.Mutex
	status  func(context.Context) (endpoint.Status, error)
	update  func(context.Context, endpoint.Change) error
	set     func(context.Context, string, int) error
	draft   func(context.Context, endpoint.Revision, string) (endpoint.Draft, error)
	stage   func(context.Context, endpoint.Draft) error
	staged  func(context.Context, endpoint.Draft) error
	resolve func(context.Context, endpoint.Revision) (endpoint.Revision, error)
	name    func() string
}

// all are the abilities that both shapes have.
type all interface {
	endpoint.Updater
	endpoint.Scaler
	endpoint.Stager
	endpoint.Resolver
	endpoint.Preflighter
}

func (b *broken) Unwrap() endpoint.Updater { return b.all }

func (b *broken) Name() string {
	if b.name != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.name()
	}
	return b.all.Name()
}

func (b *broken) Status(ctx context.Context) (endpoint.Status, error) {
	if b.status != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.status(ctx)
	}
	return b.all.Status(ctx)
}

func (b *broken) Update(ctx context.Context, c endpoint.Change) error {
	if b.update != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.update(ctx, c)
	}
	return b.all.Update(ctx, c)
}

func (b *broken) Set(ctx context.Context, key string, value int) error {
	if b.set != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.set(ctx, key, value)
	}
	return b.all.Set(ctx, key, value)
}

func (b *broken) Draft(ctx context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
	if b.draft != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.draft(ctx, base, artifact)
	}
	return b.all.Draft(ctx, base, artifact)
}

func (b *broken) Stage(ctx context.Context, d endpoint.Draft) error {
	if b.stage != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.stage(ctx, d)
	}
	return b.all.Stage(ctx, d)
}

func (b *broken) Staged(ctx context.Context, d endpoint.Draft) error {
	if b.staged != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.staged(ctx, d)
	}
	return b.all.Staged(ctx, d)
}

func (b *broken) Resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	if b.resolve != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.resolve(ctx, r)
	}
	return b.all.Resolve(ctx, r)
}

// unguarded is broken with an AutoscalingSuspender of which single methods are replaced.
type unguarded struct {
	*broken
	endpoint.AutoscalingSuspender
	endpoint.Shifter
	shift   func(context.Context, endpoint.Canary, int) error
	protect func(context.Context, endpoint.AutoscalingSnapshot) error
	restore func(context.Context, endpoint.AutoscalingSnapshot) error
	inspect func(context.Context, endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error)
}

func (u *unguarded) Shift(ctx context.Context, c endpoint.Canary, percent int) error {
	if u.shift != nil {
		return u.shift(ctx, c, percent)
	}
	return u.Shifter.Shift(ctx, c, percent)
}

func (u *unguarded) SuspendAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	if u.protect != nil {
		return u.protect(ctx, p)
	}
	return u.AutoscalingSuspender.SuspendAutoscaling(ctx, p)
}

func (u *unguarded) RestoreAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	if u.restore != nil {
		return u.restore(ctx, p)
	}
	return u.AutoscalingSuspender.RestoreAutoscaling(ctx, p)
}

func (u *unguarded) InspectAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error) {
	if u.inspect != nil {
		return u.inspect(ctx, p)
	}
	return u.AutoscalingSuspender.InspectAutoscaling(ctx, p)
}

// miscounted is broken with Jobs replaced.
type miscounted struct {
	*broken
	jobs func(context.Context) (endpoint.Jobs, error)
}

func (m miscounted) Jobs(ctx context.Context) (endpoint.Jobs, error) { return m.jobs(ctx) }

// single is broken for a caller that reads while another one does.
type single struct {
	*broken
	looking *atomic.Bool
}

func (s single) Status(ctx context.Context) (endpoint.Status, error) {
	if !s.looking.CompareAndSwap(false, true) {
		return endpoint.Status{}, &endpoint.Error{Op: "status", Endpoint: s.Name(), Err: endpoint.ErrBusy}
	}
	defer s.looking.Store(false)
	pause(time.Millisecond)
	return s.broken.Status(ctx)
}

const theKey = "key-of-the-provider"

// onWorkers and onVariants break a fake's abilities.
func onWorkers(edit func(b *broken, w *Workers)) func() Subject {
	return func() Subject {
		w, s := workersSubject()
		b := &broken{all: w}
		edit(b, w)
		s.Updater = b
		return s
	}
}

func onJobs(edit func(w *Workers, ctx context.Context) (endpoint.Jobs, error)) func() Subject {
	return func() Subject {
		w, s := workersSubject()
		s.Updater = miscounted{&broken{all: w}, func(ctx context.Context) (endpoint.Jobs, error) { return edit(w, ctx) }}
		return s
	}
}

func onVariants(edit func(u *unguarded, v *Variants)) func() Subject {
	return func() Subject {
		v, s := variantsSubject()
		u := &unguarded{broken: &broken{all: v}, AutoscalingSuspender: v, Shifter: v}
		edit(u, v)
		s.Updater = u
		return s
	}
}

// hoarding says that it takes back what was staged, and does not.
type hoarding struct{ *Variants }

func (hoarding) Unstage(ctx context.Context, _ endpoint.Draft) error { return ended(ctx) }

// hasty does not wait for what is being made.
type hasty struct{ *Variants }

func (h hasty) Staged(ctx context.Context, d endpoint.Draft) error {
	err := h.Variants.Staged(ctx, d)
	if errors.Is(err, endpoint.ErrPending) {
		return nil
	}
	return err
}

// taken is the snapshot in p.
func taken(p endpoint.AutoscalingSnapshot) (s snapshot) {
	if err := json.Unmarshal(p.Data, &s); err != nil {
		panic(err)
	}
	return s
}

func TestBrokenUpdaters(t *testing.T) {
	catches := map[string][]string{}
	for name, tt := range brokenUpdaters {
		catches[tt.by] = append(catches[tt.by], name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := everySuite.Broken(t, Harness{New: func(testing.TB) Subject {
				s := tt.make()
				s.Secrets = []string{theKey}
				return s
			}})
			want := append([]string{tt.by}, tt.also...)
			if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Errorf("caught by (-want +got):\n%s", diff)
			}
		})
	}
	for _, p := range everySuite.Promises {
		if len(catches[p.Name]) == 0 {
			t.Errorf("%q: no broken updater shows that it catches any", p.Name)
		}
		t.Logf("%q catches the one that %s", p.Name, strings.Join(slices.Sorted(slices.Values(catches[p.Name])), "; "))
		delete(catches, p.Name)
	}
	if len(catches) > 0 {
		t.Errorf("meant to be caught by promises that there are not: %q", catches)
	}
}
