package endpointtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
)

// broken is an updater with the abilities of Workers or Variants, of which
// single methods are replaced.
type broken struct {
	all
	mu       sync.Mutex
	status   func(context.Context) (endpoint.Status, error)
	update   func(context.Context, endpoint.Change) error
	set      func(context.Context, string, int) error
	draft    func(context.Context, endpoint.Revision, string) (endpoint.Draft, error)
	stage    func(context.Context, endpoint.Draft) error
	staged   func(context.Context, endpoint.Draft) error
	resolve  func(context.Context, endpoint.Revision) (endpoint.Revision, error)
	name     func() string
	protect  func(context.Context, endpoint.Protection) error
	restored func()
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

// unguarded is broken with a Protector that may be broken too.
type unguarded struct {
	*broken
	endpoint.Protector
}

func (u unguarded) Protect(ctx context.Context, p endpoint.Protection) error {
	if u.protect != nil {
		return u.protect(ctx, p)
	}
	return u.Protector.Protect(ctx, p)
}

func (u unguarded) Restore(ctx context.Context, p endpoint.Protection) error {
	err := u.Protector.Restore(ctx, p)
	if u.restored != nil {
		u.restored()
	}
	return err
}

// Each of these updaters breaks one promise, and the subtest that is meant to
// catch it does.
func TestBrokenUpdaters(t *testing.T) {
	type maker func() (*broken, Subject)
	workers := func(edit func(b *broken, w *Workers)) maker {
		return func() (*broken, Subject) {
			w, s := workersSubject()
			b := &broken{all: w}
			edit(b, w)
			s.Updater = b
			return b, s
		}
	}
	variants := func(edit func(b *broken, v *Variants)) maker {
		return func() (*broken, Subject) {
			v, s := variantsSubject()
			b := &broken{all: v}
			edit(b, v)
			s.Updater = unguarded{b, v}
			return b, s
		}
	}
	for name, tt := range map[string]struct {
		by   string
		make maker
	}{
		"mutates on a done context": {"a done context changes nothing", workers(func(b *broken, w *Workers) {
			b.update = func(ctx context.Context, c endpoint.Change) error { return w.Update(context.WithoutCancel(ctx), c) }
		})},
		"sends, and then looks at the context": {"a done context changes nothing", workers(func(b *broken, w *Workers) {
			b.set = func(ctx context.Context, key string, value int) error {
				return errors.Join(w.Set(context.WithoutCancel(ctx), key, value), ctx.Err())
			}
		})},
		"reports success on a rollback": {"a failed update is no success", variants(func(b *broken, v *Variants) {
			var asked endpoint.Revision
			b.update = func(ctx context.Context, c endpoint.Change) error { asked = c.To; return v.Update(ctx, c) }
			b.status = func(ctx context.Context) (endpoint.Status, error) {
				s, err := v.Status(ctx)
				if s.Phase == endpoint.PhaseReady && !asked.IsZero() {
					s.Desired, s.Serving = asked, asked
				}
				return s, err
			}
		})},
		"takes accepted for serving": {"a failed update is no success", workers(func(b *broken, w *Workers) {
			b.status = func(ctx context.Context) (endpoint.Status, error) {
				s, err := w.Status(ctx)
				if s.Phase != endpoint.PhasePaused {
					s.Serving, s.Phase = s.Desired, endpoint.PhaseReady
				}
				return s, err
			}
		})},
		"forgets a value in Restore": {"protection is put back exactly", variants(func(b *broken, v *Variants) {
			b.restored = func() {
				v.Foreign(func(s *VariantsState) {
					t := s.Targets["main"]
					t.Schedules = nil
					s.Targets["main"] = t
				})
			}
		})},
		"protects nothing": {"protection is put back exactly", variants(func(b *broken, _ *Variants) {
			b.protect = func(ctx context.Context, _ endpoint.Protection) error { return ended(ctx) }
		})},
		"claims unapplied when applied": {"a lost answer is no refusal", workers(func(b *broken, w *Workers) {
			b.update = func(ctx context.Context, c endpoint.Change) error {
				err := w.Update(ctx, c)
				if errors.Is(err, endpoint.ErrUnavailable) {
					return &endpoint.Error{Op: "update", Endpoint: w.Name(), Err: endpoint.ErrInvalid}
				}
				return err
			}
		})},
		"swallows a lost answer": {"a lost answer is no refusal", workers(func(b *broken, w *Workers) {
			b.update = func(ctx context.Context, c endpoint.Change) error {
				if err := w.Update(ctx, c); !errors.Is(err, endpoint.ErrUnavailable) {
					return err
				}
				return nil
			}
		})},
		"calls a lost Set throttled": {"a setting's lost answer is no refusal", workers(func(b *broken, w *Workers) {
			b.set = func(ctx context.Context, key string, value int) error {
				err := w.Set(ctx, key, value)
				if errors.Is(err, endpoint.ErrUnavailable) {
					return &endpoint.Error{Op: "set", Endpoint: w.Name(), Err: endpoint.ErrThrottled}
				}
				return err
			}
		})},
		"never shows what is desired": {"an accepted update is desired", variants(func(b *broken, v *Variants) {
			b.status = func(ctx context.Context) (endpoint.Status, error) {
				s, err := v.Status(ctx)
				s.Desired = s.Serving
				return s, err
			}
		})},
		"never shows what serves": {"an update comes to serve", workers(func(b *broken, w *Workers) {
			var first endpoint.Revision
			b.status = func(ctx context.Context) (endpoint.Status, error) {
				s, err := w.Status(ctx)
				if first.IsZero() {
					first = s.Serving
				}
				s.Serving = first
				return s, err
			}
		})},
		"an update resets the bounds": {"an update comes to serve", workers(func(b *broken, w *Workers) {
			b.update = func(ctx context.Context, c endpoint.Change) error {
				err := w.Update(ctx, c)
				if err == nil {
					w.Foreign(func(s *WorkersState) { s.Max = 5 })
				}
				return err
			}
		})},
		"is never ready": {"at rest the status says so", workers(func(b *broken, w *Workers) {
			b.status = func(ctx context.Context) (endpoint.Status, error) {
				s, err := w.Status(ctx)
				s.Phase = endpoint.PhaseUnknown
				return s, err
			}
		})},
		"has a name that counts": {"the name is provider and id", workers(func(b *broken, w *Workers) {
			b.name = func() string { return w.Name() + strings.Repeat("'", w.Truth().Version) }
		})},
		"drafts by staging": {"what only reads changes nothing", workers(func(b *broken, w *Workers) {
			b.draft = func(ctx context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
				d, err := w.Draft(ctx, base, artifact)
				return d, errors.Join(err, w.Stage(ctx, d))
			}
		})},
		"hands out its own settings": {"a status is the caller's", workers(func(b *broken, w *Workers) {
			mine := endpoint.Settings{}
			b.status = func(ctx context.Context) (endpoint.Status, error) {
				s, err := w.Status(ctx)
				if len(mine) == 0 {
					maps.Copy(mine, s.Settings)
				}
				s.Settings = mine
				return s, err
			}
		})},
		"has a generation that stands still": {"the generation counts updates", workers(func(b *broken, w *Workers) {
			b.status = func(ctx context.Context) (endpoint.Status, error) {
				s, err := w.Status(ctx)
				s.Generation = "1"
				return s, err
			}
		})},
		"takes a missing revision for an accident": {"a refusal is one, and changes nothing", workers(func(b *broken, w *Workers) {
			b.update = func(ctx context.Context, c endpoint.Change) error {
				err := w.Update(ctx, c)
				if errors.Is(err, endpoint.ErrNotFound) {
					return &endpoint.Error{Op: "update", Endpoint: w.Name(), Err: errors.New("something went wrong")}
				}
				return err
			}
		})},
		"returns bare errors": {"errors name the endpoint", workers(func(b *broken, w *Workers) {
			b.update = func(ctx context.Context, c endpoint.Change) error {
				err := w.Update(ctx, c)
				var e *endpoint.Error
				if errors.As(err, &e) {
					return e.Err
				}
				return err
			}
		})},
		"sets two things": {"a setting takes one write", workers(func(b *broken, w *Workers) {
			b.set = func(ctx context.Context, key string, value int) error {
				if key == endpoint.WorkersMax {
					if err := w.Set(ctx, endpoint.WorkersMin, 0); err != nil {
						return err
					}
				}
				return w.Set(ctx, key, value)
			}
		})},
		"serves what it stages": {"a draft is staged once and serves when asked to", variants(func(b *broken, v *Variants) {
			b.stage = func(ctx context.Context, d endpoint.Draft) error {
				if err := v.Stage(ctx, d); err != nil {
					return err
				}
				return v.Update(ctx, endpoint.Change{To: d.Revision})
			}
		})},
		"believes that all is staged": {"a draft is staged once and serves when asked to", variants(func(b *broken, _ *Variants) {
			b.staged = func(ctx context.Context, _ endpoint.Draft) error { return ended(ctx) }
		})},
		"stages only once": {"a draft is staged once and serves when asked to", variants(func(b *broken, v *Variants) {
			b.stage = func(ctx context.Context, d endpoint.Draft) error {
				if v.Staged(ctx, d) == nil {
					return &endpoint.Error{Op: "stage", Endpoint: v.Name(), Err: endpoint.ErrInvalid}
				}
				return v.Stage(ctx, d)
			}
		})},
		"resolves everything to what is live": {"a revision resolves to itself", workers(func(b *broken, w *Workers) {
			b.resolve = func(ctx context.Context, _ endpoint.Revision) (endpoint.Revision, error) {
				s, err := w.Status(ctx)
				return s.Desired, err
			}
		})},
		"shows the key": {"no secret gets out", workers(func(b *broken, w *Workers) {
			b.status = func(ctx context.Context) (endpoint.Status, error) {
				s, err := w.Status(ctx)
				s.Reason = "authorized by " + theKey
				return s, err
			}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			got := updaterSuite.Broken(t, Harness{New: func(testing.TB) Subject {
				_, s := tt.make()
				s.Secrets = []string{theKey}
				return s
			}})
			if !slices.Contains(got, tt.by) {
				t.Errorf("not caught by %q, but by %q", tt.by, got)
			}
			if len(got) > 5 {
				t.Errorf("caught by %d subtests, which says little: %q", len(got), got)
			}
		})
	}
}

const theKey = "key-of-the-provider"
