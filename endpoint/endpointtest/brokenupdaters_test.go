package endpointtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// splitting are the promises that begin with an update to what serves two revisions.
var splitting = []string{"the traffic is split as asked, by one write", "a share's lost answer is no refusal"}

// Each of these updaters breaks one promise, and is caught by the one subtest
// that is meant to. Only what breaks the ground of others is caught by those,
// too, and by no more.
var brokenUpdaters = map[string]brokenUpdater{
	"has a name that counts": {by: "the name is provider and id", make: onWorkers(func(b *broken, w *Workers) {
		b.name = func() string { return w.Name() + strings.Repeat("'", w.Truth().Version-1) }
	})},
	"is not ready until it was updated": {by: "at rest the status says so", also: []string{nothing}, make: onWorkers(func(b *broken, w *Workers) {
		b.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := w.Status(ctx)
			if w.Truth().Version == 1 {
				s.Phase = endpoint.PhaseUnknown
			}
			return s, err
		}
	})},
	"drafts by writing a note": {by: "what only reads changes nothing", make: onWorkers(func(b *broken, w *Workers) {
		b.draft = func(ctx context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
			d, err := w.Draft(ctx, base, artifact)
			if err == nil {
				err = w.Set(ctx, endpoint.WorkersMax, w.Truth().Max)
			}
			return d, err
		}
	})},
	"shows what it saw last when it sees nothing": {by: "what cannot be read is an error", make: onWorkers(func(b *broken, w *Workers) {
		last, err := w.Status(context.Background())
		if err != nil {
			panic(err)
		}
		b.status = func(ctx context.Context) (endpoint.Status, error) {
			if s, err := w.Status(ctx); !errors.Is(err, endpoint.ErrUnavailable) {
				return s, err
			}
			return last, nil
		}
	})},
	"takes what it cannot see for missing": {by: "what cannot be read is an error", make: onVariants(func(u *unguarded, v *Variants) {
		u.staged = func(ctx context.Context, d endpoint.Draft) error {
			err := v.Staged(ctx, d)
			if errors.Is(err, endpoint.ErrUnavailable) {
				return &endpoint.Error{Op: "staged", Endpoint: v.Name(), Err: endpoint.ErrNotFound}
			}
			return err
		}
	})},
	"takes jobs that it cannot count for none": {by: "what cannot be read is an error", make: onJobs(func(w *Workers, ctx context.Context) (endpoint.Jobs, error) {
		j, err := w.Jobs(ctx)
		if errors.Is(err, endpoint.ErrUnavailable) {
			return endpoint.Jobs{}, nil
		}
		return j, err
	})},
	"hands out its own settings": {by: "a status is the caller's", make: onWorkers(func(b *broken, w *Workers) {
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
	"shows what is desired only when asked in vain": {by: "an accepted update is desired", also: []string{truth, failure}, make: onVariants(func(u *unguarded, v *Variants) {
		hide := false
		u.update = func(ctx context.Context, c endpoint.Change) error {
			err := v.Update(ctx, c)
			hide = err == nil
			return err
		}
		u.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := v.Status(ctx)
			if hide {
				s.Desired = s.Serving
			}
			return s, err
		}
	})},
	"never shows that the target serves": {by: "an update comes to serve", make: onWorkers(func(b *broken, w *Workers) {
		b.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := w.Status(ctx)
			if s.Serving.Artifact == "acme/sdxl:v2" {
				s.Serving = endpoint.Revision{}
			}
			return s, err
		}
	})},
	"an update resets the bounds": {by: "an update comes to serve", make: onWorkers(func(b *broken, w *Workers) {
		b.update = func(ctx context.Context, c endpoint.Change) error {
			err := w.Update(ctx, c)
			if err == nil {
				w.Foreign(func(s *WorkersState) { s.Max = 5 })
			}
			return err
		}
	})},
	"reports success on a rollback": {by: "a failed update is no success", also: []string{failure}, make: onVariants(func(u *unguarded, v *Variants) {
		var asked endpoint.Revision
		u.update = func(ctx context.Context, c endpoint.Change) error {
			err := v.Update(ctx, c)
			if err == nil {
				asked = c.To
			}
			return err
		}
		u.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := v.Status(ctx)
			if s.Phase == endpoint.PhaseReady && !asked.IsZero() {
				s.Desired, s.Serving = asked, asked
			}
			return s, err
		}
	})},
	"takes accepted for serving": {by: "a failed update is no success", also: []string{truth, failure, nothing}, make: onWorkers(func(b *broken, w *Workers) {
		b.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := w.Status(ctx)
			if s.Phase != endpoint.PhasePaused {
				s.Serving, s.Phase = s.Desired, endpoint.PhaseReady
			}
			return s, err
		}
	})},
	"has a generation that stands still": {by: "the generation counts updates", make: onWorkers(func(b *broken, w *Workers) {
		b.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := w.Status(ctx)
			s.Generation = "1"
			return s, err
		}
	})},
	"mutates on a done context": {by: "a done context changes nothing", make: onWorkers(func(b *broken, w *Workers) {
		b.update = func(ctx context.Context, c endpoint.Change) error {
			if ctx.Err() != nil {
				ctx = context.WithoutCancel(ctx)
			}
			return w.Update(ctx, c)
		}
	})},
	"sends, and then checks the context": {by: "a done context changes nothing", make: onWorkers(func(b *broken, w *Workers) {
		b.set = func(ctx context.Context, key string, value int) error {
			if err := ctx.Err(); err != nil {
				return errors.Join(w.Set(context.WithoutCancel(ctx), key, value), err)
			}
			return w.Set(ctx, key, value)
		}
	})},
	"waits for an answer as long as it takes": {by: "a call ends with its context", make: onWorkers(func(b *broken, w *Workers) {
		b.update = func(ctx context.Context, c endpoint.Change) error {
			if ctx.Err() == nil {
				ctx = context.WithoutCancel(ctx)
			}
			return w.Update(ctx, c)
		}
	})},
	"calls what it did not wait for refused": {by: "a call ends with its context", make: onWorkers(func(b *broken, w *Workers) {
		b.set = func(ctx context.Context, key string, value int) error {
			err := w.Set(ctx, key, value)
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("%w: %w", err, endpoint.ErrInvalid)
			}
			return err
		}
	})},
	"takes a missing revision for an accident": {by: "a refusal is one, and changes nothing", make: onWorkers(func(b *broken, w *Workers) {
		b.update = func(ctx context.Context, c endpoint.Change) error {
			err := w.Update(ctx, c)
			if errors.Is(err, endpoint.ErrNotFound) {
				return &endpoint.Error{Op: "update", Endpoint: w.Name(), Err: errors.New("something went wrong")}
			}
			return err
		}
	})},
	"returns bare errors": {by: "errors name the endpoint", make: onWorkers(func(b *broken, w *Workers) {
		b.update = func(ctx context.Context, c endpoint.Change) error {
			err := w.Update(ctx, c)
			var e *endpoint.Error
			if errors.As(err, &e) {
				return e.Err
			}
			return err
		}
	})},
	"claims unapplied when applied": {by: "a lost answer is no refusal", make: onWorkers(func(b *broken, w *Workers) {
		b.update = func(ctx context.Context, c endpoint.Change) error {
			err := w.Update(ctx, c)
			if errors.Is(err, endpoint.ErrUnavailable) {
				return &endpoint.Error{Op: "update", Endpoint: w.Name(), Err: endpoint.ErrInvalid}
			}
			return err
		}
	})},
	"swallows a lost answer": {by: "a lost answer is no refusal", make: onWorkers(func(b *broken, w *Workers) {
		b.update = func(ctx context.Context, c endpoint.Change) error {
			if err := w.Update(ctx, c); !errors.Is(err, endpoint.ErrUnavailable) {
				return err
			}
			return nil
		}
	})},
	"sets two things": {by: "a setting takes one write", make: onWorkers(func(b *broken, w *Workers) {
		b.set = func(ctx context.Context, key string, value int) error {
			if err := w.Set(ctx, key, value); err != nil {
				return err
			}
			return w.Set(ctx, endpoint.WorkersMin, 0)
		}
	})},
	"calls a lost Set throttled": {by: "a setting's lost answer is no refusal", make: onWorkers(func(b *broken, w *Workers) {
		b.set = func(ctx context.Context, key string, value int) error {
			err := w.Set(ctx, key, value)
			if errors.Is(err, endpoint.ErrUnavailable) {
				return &endpoint.Error{Op: "set", Endpoint: w.Name(), Err: endpoint.ErrThrottled}
			}
			return err
		}
	})},
	"serves what it stages": {by: "a draft is staged once and serves when asked to", also: splitting, make: onVariants(func(u *unguarded, v *Variants) {
		u.stage = func(ctx context.Context, d endpoint.Draft) error {
			if err := v.Stage(ctx, d); err != nil {
				return err
			}
			return v.Update(ctx, endpoint.Change{To: d.Revision})
		}
	})},
	"stages only once": {by: "a draft is staged once and serves when asked to", make: onVariants(func(u *unguarded, v *Variants) {
		u.stage = func(ctx context.Context, d endpoint.Draft) error {
			if v.Staged(ctx, d) == nil {
				return &endpoint.Error{Op: "stage", Endpoint: v.Name(), Err: endpoint.ErrInvalid}
			}
			return v.Stage(ctx, d)
		}
	})},
	"takes everything for staged": {
		by: "a draft is staged once and serves when asked to",
		also: []string{
			"what cannot be read is an error",         // it reads nothing
			"a name that is taken is not staged over", // and so sees no third party
		},
		make: onVariants(func(u *unguarded, _ *Variants) {
			u.staged = func(ctx context.Context, _ endpoint.Draft) error { return ended(ctx) }
		}),
	},
	"takes what is being made for made": {by: "a draft is staged once and serves when asked to", also: splitting, make: func() Subject {
		v, s := variantsSubject(func(c *VariantsConfig) { c.Build = 5 * time.Minute })
		s.Updater = hasty{v}
		return s
	}},
	"takes nothing back": {by: "what was staged is taken back", make: func() Subject {
		v, s := variantsSubject()
		s.Updater = hoarding{v}
		return s
	}},
	"stages over what is there": {by: "a name that is taken is not staged over", make: onVariants(func(u *unguarded, v *Variants) {
		u.stage = func(ctx context.Context, d endpoint.Draft) error {
			err := v.Stage(ctx, d)
			if errors.Is(err, endpoint.ErrInvalid) {
				v.Foreign(func(s *VariantsState) { s.Revisions[d.Revision.ID] = d.Revision.Artifact })
				return nil
			}
			return err
		}
	})},
	"takes the name for the content": {by: "a name that is taken is not staged over", make: onVariants(func(u *unguarded, v *Variants) {
		named := func(err error) error {
			if errors.Is(err, endpoint.ErrInvalid) {
				return nil
			}
			return err
		}
		u.stage = func(ctx context.Context, d endpoint.Draft) error { return named(v.Stage(ctx, d)) }
		u.staged = func(ctx context.Context, d endpoint.Draft) error { return named(v.Staged(ctx, d)) }
	})},
	"gives the target twice the share": {by: "the traffic is split as asked, by one write", also: []string{
		"a share's lost answer is no refusal", // which looks for the share as well
	}, make: onVariants(func(u *unguarded, v *Variants) {
		u.shift = func(ctx context.Context, c endpoint.Canary, percent int) error { return v.Shift(ctx, c, 2*percent) }
	})},
	"moves the traffic in two writes": {by: "the traffic is split as asked, by one write", also: []string{
		"a share's lost answer is no refusal", // of which one has an answer
	}, make: onVariants(func(u *unguarded, v *Variants) {
		u.shift = func(ctx context.Context, c endpoint.Canary, percent int) error {
			return errors.Join(v.Shift(ctx, c, percent/2), v.Shift(ctx, c, percent))
		}
	})},
	"calls a mix the target": {by: "the traffic is split as asked, by one write", make: onVariants(func(u *unguarded, v *Variants) {
		u.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := v.Status(ctx)
			if s.Share != nil && *s.Share >= 50 {
				s.Serving = endpoint.Revision{Kind: s.Desired.Kind, ID: "c2", Artifact: "model-2"}
			}
			return s, err
		}
	})},
	"calls a lost Shift refused": {by: "a share's lost answer is no refusal", make: onVariants(func(u *unguarded, v *Variants) {
		u.shift = func(ctx context.Context, c endpoint.Canary, percent int) error {
			err := v.Shift(ctx, c, percent)
			if errors.Is(err, endpoint.ErrUnavailable) {
				return &endpoint.Error{Op: "shift", Endpoint: v.Name(), Err: endpoint.ErrInvalid}
			}
			return err
		}
	})},
	"protects nothing": {by: "autoscaling is put back exactly", make: onVariants(func(u *unguarded, _ *Variants) {
		u.protect = func(ctx context.Context, _ endpoint.AutoscalingSnapshot) error { return ended(ctx) }
	})},
	"forgets a value in Restore": {by: "autoscaling is put back exactly", also: []string{
		"suspending survives an interruption at each write", // it forgets it there as well
		"what a third party changed is left alone",          // and there
	}, make: onVariants(func(u *unguarded, v *Variants) {
		u.restore = func(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
			err := v.RestoreAutoscaling(ctx, p)
			v.Foreign(func(s *VariantsState) {
				t := s.Targets["main"]
				t.Schedules = nil
				s.Targets["main"] = t
			})
			return err
		}
	})},
	"calls everything intact": {by: "autoscaling is put back exactly", also: []string{
		"what cannot be read is an error",                   // it reads nothing
		"suspending survives an interruption at each write", // and so sees no half of anything
		"what a third party changed is left alone",          // and no third party
	}, make: onVariants(func(u *unguarded, _ *Variants) {
		u.inspect = func(ctx context.Context, _ endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error) {
			return endpoint.AutoscalingState{Suspended: true, Restored: true}, ended(ctx)
		}
	})},
	"restores once and for all": {by: "suspending survives an interruption at each write", make: onVariants(func(u *unguarded, v *Variants) {
		done := false
		u.restore = func(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
			if err := ended(ctx); err != nil || done {
				return err
			}
			done = true
			return v.RestoreAutoscaling(ctx, p)
		}
	})},
	"goes on protecting after its context": {by: "suspending survives an interruption at each write", make: onVariants(func(u *unguarded, v *Variants) {
		u.protect = func(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
			if ctx.Err() == nil {
				ctx = context.WithoutCancel(ctx)
			}
			return v.SuspendAutoscaling(ctx, p)
		}
	})},
	"puts everything back, no matter who changed it": {by: "what a third party changed is left alone", make: onVariants(func(u *unguarded, v *Variants) {
		u.restore = func(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
			err := v.RestoreAutoscaling(ctx, p)
			if was := taken(p); err == nil {
				v.Foreign(func(s *VariantsState) {
					s.Targets = cloneTargets(was.Targets)
					maps.Copy(s.Alarms, cloneAlarms(was.Alarms))
				})
			}
			return err
		}
	})},
	"leaves a target that a third party touched": {by: "what a third party changed is left alone", make: onVariants(func(u *unguarded, v *Variants) {
		u.restore = func(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
			if v.Truth().Targets["main"].Max != taken(p).Targets["main"].Max {
				return ended(ctx)
			}
			return v.RestoreAutoscaling(ctx, p)
		}
	})},
	"names no third party": {by: "what a third party changed is left alone", make: onVariants(func(u *unguarded, v *Variants) {
		u.inspect = func(ctx context.Context, p endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error) {
			is, err := v.InspectAutoscaling(ctx, p)
			is.Foreign = nil
			return is, err
		}
	})},
	"counts only the jobs that run": {by: "the jobs at hand are counted", make: onJobs(func(w *Workers, ctx context.Context) (endpoint.Jobs, error) {
		j, err := w.Jobs(ctx)
		j.Queued = 0
		return j, err
	})},
	"resolves everything to what is live": {by: "a revision resolves to itself", make: onWorkers(func(b *broken, w *Workers) {
		b.resolve = func(ctx context.Context, _ endpoint.Revision) (endpoint.Revision, error) {
			s, err := w.Status(ctx)
			return s.Desired, err
		}
	})},
	"lets only one caller read at a time": {by: "it can be used from many goroutines", make: func() Subject {
		w, s := workersSubject()
		s.Updater = single{&broken{all: w}, new(atomic.Bool)}
		return s
	}},
	"shows the key": {by: "no secret gets out", make: onWorkers(func(b *broken, w *Workers) {
		b.status = func(ctx context.Context) (endpoint.Status, error) {
			s, err := w.Status(ctx)
			s.Reason += " (authorized by " + theKey + ")"
			return s, err
		}
	})},
}
