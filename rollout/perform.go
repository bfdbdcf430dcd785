package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// storeTime is how long one call of a store may take to be answered. Nothing
// else ends one that has to be made, whatever becomes of the rollout's context.
const storeTime = 2 * time.Minute

// perform carries out one operation. It is the only place with a context, a
// store and an endpoint.
func (r *Rollout) perform(ctx context.Context, op core.Op) (result core.Result) {
	ctx, cancel := r.callContext(ctx, op)
	defer cancel()
	switch op.Kind {
	case core.OpAppend:
		result.Err = r.append(ctx, op)
	case core.OpLoad:
		result.Records, result.Err = r.records(ctx)
	case core.OpHeartbeat:
		result.Heartbeat, result.Err = call(ctx, op.Within, func(ctx context.Context) (journal.Heartbeat, error) {
			return lastHeartbeat(ctx, r.store, r.u.Name())
		})
	case core.OpPrepare:
		result.Plan, result.Err = call(ctx, op.Within, func(ctx context.Context) (*strategy.Plan, error) { return r.begin(ctx, op.Status) })
	case core.OpJob:
		result = r.askJob(ctx)
	case core.OpCheck:
		result.Verdict, result.Err = r.ask(ctx, op)
	case core.OpNews:
		result.Records, result.Err = r.news(ctx, op)
	case core.OpWrite:
		_, result.Err = call(ctx, op.Within, func(ctx context.Context) (struct{}, error) { return struct{}{}, r.write(ctx, op) })
	default:
		result = r.read(ctx, op)
	}
	return result
}

// append adds a record to the journal, chained to the one before.
func (r *Rollout) append(ctx context.Context, op core.Op) error {
	record := *op.Record
	if err := record.Seal(r.sum); err != nil {
		return err
	}
	_, err := call(ctx, op.Within, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, r.store.Append(ctx, r.u.Name(), record)
	})
	if err != nil {
		return err
	}
	if r.sum = record.Sum; record.Kind == journal.KindClaim {
		r.heartbeat(ctx)
	}
	return nil
}

// records reads the journal.
func (r *Rollout) records(ctx context.Context) ([]journal.Record, error) {
	records, err := call(ctx, storeTime, func(ctx context.Context) ([]journal.Record, error) { return journal.Load(ctx, r.store, r.u.Name()) })
	if err == nil && len(records) > 0 {
		r.sum = records[len(records)-1].Sum
	}
	return records, err
}

// news reads what other processes have appended.
func (r *Rollout) news(ctx context.Context, op core.Op) ([]journal.Record, error) {
	records, err := call(ctx, op.Within, func(ctx context.Context) ([]journal.Record, error) {
		return journal.LoadAfter(ctx, r.store, r.u.Name(), op.After)
	})
	if err == nil && len(records) > 0 {
		r.sum = records[len(records)-1].Sum
	}
	return records, err
}

// callContext is the context of an operation. The store is asked whatever has
// become of the caller's, and so is the provider once the rollout goes back.
func (r *Rollout) callContext(ctx context.Context, op core.Op) (context.Context, context.CancelFunc) {
	detached := r.machine.Cancelled() || r.machine.Ledger().Restoring() && !r.machine.Starting()
	if detached || op.Kind == core.OpAppend {
		ctx = context.WithoutCancel(ctx)
	}
	cancelTime := context.CancelFunc(func() {})
	if !op.By.IsZero() {
		ctx, cancelTime = context.WithDeadline(ctx, op.By)
	}
	if r.hardStop == nil || !detached {
		return ctx, cancelTime
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		select {
		case <-r.hardStop:
			cancel(ErrHardStop)
		case <-done:
		}
	}()
	return ctx, func() { close(done); cancel(nil); cancelTime() }
}

// call makes a call that ends in time. One that was not answered says nothing.
func call[T any](ctx context.Context, within time.Duration, f func(context.Context) (T, error)) (T, error) {
	if ctx.Err() != nil {
		var none T
		return none, context.Cause(ctx)
	}
	cctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	got, err := f(cctx)
	if err != nil && cctx.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: it was not answered for %v: %w", endpoint.ErrUnavailable, within, err)
	}
	return got, err
}

// read carries out a read of the endpoint.
func (r *Rollout) read(ctx context.Context, op core.Op) (result core.Result) {
	switch op.Kind {
	case core.OpStatus:
		result.Status, result.Err = call(ctx, op.Within, func(ctx context.Context) (endpoint.Status, error) { return r.status(ctx, op.Shared) })
		result.Vouched = r.watch != nil && r.watch.Vouched()
	case core.OpJobs:
		result.Jobs, result.Err = ability(ctx, r.u, op.Within, func(ctx context.Context, d endpoint.Drainer) (endpoint.Jobs, error) { return d.Jobs(ctx) })
	case core.OpStaged:
		_, result.Err = ability(ctx, r.u, op.Within, func(ctx context.Context, s endpoint.Stager) (struct{}, error) {
			return struct{}{}, s.Staged(ctx, *op.Draft)
		})
	case core.OpSnapshot:
		result.Snapshot, result.Err = ability(ctx, r.u, op.Within,
			func(ctx context.Context, s endpoint.AutoscalingSuspender) (endpoint.AutoscalingSnapshot, error) {
				return s.SnapshotAutoscaling(ctx, op.Change)
			})
	case core.OpAutoscaling:
		result.Autoscaling, result.Err = ability(ctx, r.u, op.Within,
			func(ctx context.Context, s endpoint.AutoscalingSuspender) (endpoint.AutoscalingState, error) {
				return s.InspectAutoscaling(ctx, *op.Snapshot)
			})
	case core.OpWorker:
		_, result.Err = ability(ctx, r.u, op.Within, func(ctx context.Context, i endpoint.WorkerInspector) (struct{}, error) {
			return struct{}{}, i.InspectWorker(ctx, op.Worker, op.Change.To)
		})
	default:
		result.Err = fmt.Errorf("unknown operation %d", op.Kind)
	}
	return result
}

// ability makes a call of an ability of the endpoint.
func ability[A, T any](ctx context.Context, u endpoint.Updater, within time.Duration, f func(context.Context, A) (T, error)) (T, error) {
	a, err := endpoint.Need[A](u)
	if err != nil {
		var none T
		return none, err
	}
	return call(ctx, within, func(ctx context.Context) (T, error) { return f(ctx, a) })
}

// write makes one write.
func (r *Rollout) write(ctx context.Context, op core.Op) error {
	w := op.Write
	switch {
	case w.Revision != nil:
		return r.u.Update(ctx, op.Change)
	case w.Thing == journal.ThingShare:
		s, err := endpoint.Need[endpoint.Shifter](r.u)
		if err != nil {
			return err
		}
		return s.Shift(ctx, *op.Canary, *w.Value)
	case w.Value != nil:
		s, err := endpoint.Need[endpoint.Scaler](r.u)
		if err != nil {
			return err
		}
		return s.Set(ctx, w.Thing, *w.Value)
	case w.Thing == journal.ThingDraft, w.Thing == journal.ThingCanary:
		s, err := endpoint.Need[endpoint.Stager](r.u)
		if err != nil {
			return err
		}
		return s.Stage(ctx, *op.Draft)
	}
	s, err := endpoint.Need[endpoint.AutoscalingSuspender](r.u)
	switch {
	case err != nil:
		return err
	case w.Suspend != nil:
		return s.SuspendAutoscaling(ctx, *op.Snapshot)
	}
	return s.RestoreAutoscaling(ctx, *op.Snapshot)
}

// status reads the endpoint, by the poller for many endpoints if there is one
// and that will do.
func (r *Rollout) status(ctx context.Context, shared bool) (endpoint.Status, error) {
	if !shared || r.options.shared == nil {
		return r.u.Status(ctx)
	}
	if r.watch == nil {
		r.watch, r.shared = r.options.shared.Watch(ctx, r.u.Name()), endpoint.Status{}
	}
	err := r.watch.Read(ctx, r.u, &r.shared)
	return r.shared, err
}

// job is the caller's job while it is done.
type job struct {
	stop   context.CancelFunc
	done   chan struct{}
	worker string
	err    error
}

// askJob starts the caller's job, or says what has come of it.
func (r *Rollout) askJob(ctx context.Context) core.Result {
	if r.job == nil {
		jctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		j := &job{stop: stop, done: make(chan struct{})}
		r.job = j
		go func() {
			defer close(j.done)
			j.worker, j.err = r.options.job(jctx)
		}()
	}
	select {
	case <-r.job.done:
		j := r.job
		return core.Result{Done: true, Worker: j.worker, JobErr: j.err}
	default:
		return core.Result{}
	}
}

// stopJob calls the caller's job off, without waiting for it.
func (r *Rollout) stopJob() {
	if r.job != nil {
		r.job.stop()
		r.job = nil
	}
}
