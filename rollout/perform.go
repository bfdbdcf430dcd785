package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// perform carries out one operation. It is the only place with a context, a
// store and an endpoint.
func (r *Rollout) perform(ctx context.Context, op core.Op) (result core.Result) {
	ctx, cancel := r.callContext(ctx, op)
	defer cancel()
	switch op.Kind { //nolint:exhaustive // the others need nothing here
	case core.OpAppend:
		if result.Err = r.book.append(ctx, op); result.Err == nil && op.Record.Kind == journal.KindClaim {
			r.lease.heartbeat(ctx, r.book, r.machine)
		}
	case core.OpLoad:
		result.Records, result.Err = r.book.records(ctx)
	case core.OpHeartbeat:
		result.Heartbeat, result.Err = lastHeartbeat(ctx, r.book.store, r.u.Name(), op.Within)
	case core.OpPrepare:
		begin, status := r.begin, op.Status
		r.begin = nil // which has everything that only planning needs
		result.Plan, result.Err = call(ctx, "planning", op.Within, func(ctx context.Context) (*strategy.Plan, error) { return begin(ctx, status) })
	case core.OpJob:
		result = r.askJob(ctx)
	case core.OpCheck:
		result.Verdict, result.Err = r.ask(ctx, op)
	case core.OpNews:
		result.Records, result.Err = r.book.news(ctx, op)
	case core.OpWrite:
		result.Err = r.write(ctx, op)
	case core.OpStatus:
		result.Status, result.Err = r.status(ctx, op)
		result.Vouched = r.watch != nil && r.watch.Vouched()
	default:
		result = r.read(ctx, op)
	}
	return result
}

// callContext is the context of an operation. The store is asked whatever has
// become of the caller's, and so is the provider once the rollout goes back.
func (r *Rollout) callContext(ctx context.Context, op core.Op) (context.Context, context.CancelFunc) {
	detached := r.machine.Cancelled() || r.machine.Ledger().Restoring() && !r.machine.Starting()
	if detached || op.Kind == core.OpAppend {
		ctx = context.WithoutCancel(ctx)
	}
	cancelTime := context.CancelFunc(func() {})
	if !op.By.IsZero() && op.By.Before(time.Now().Add(op.Within)) { // else the time of the call itself is over first
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

// read carries out a read of the endpoint that is not of its status.
func (r *Rollout) read(ctx context.Context, op core.Op) (result core.Result) {
	switch op.Kind { //nolint:exhaustive // the others need nothing here
	case core.OpJobs:
		result.Jobs, result.Err = ability(ctx, r.u, "the count of jobs", op.Within,
			func(ctx context.Context, d endpoint.Drainer) (endpoint.Jobs, error) { return d.Jobs(ctx) })
	case core.OpStaged:
		_, result.Err = ability(ctx, r.u, "the read of the staged revision", op.Within,
			func(ctx context.Context, s endpoint.Stager) (struct{}, error) {
				return struct{}{}, s.Staged(ctx, *op.Draft)
			})
	case core.OpRefreshed:
		_, result.Err = ability(ctx, r.u, "the read of how old the capacity is", op.Within,
			func(ctx context.Context, f endpoint.Refresher) (struct{}, error) {
				return struct{}{}, f.Refreshed(ctx, *op.Draft, op.Since)
			})
	case core.OpSnapshot:
		result.Snapshot, result.Err = snapshot(ctx, r.u, op.Change, op.Within)
	case core.OpAutoscaling:
		result.Autoscaling, result.Err = ability(ctx, r.u, "the read of autoscaling", op.Within,
			func(ctx context.Context, s endpoint.AutoscalingSuspender) (endpoint.AutoscalingState, error) {
				return s.InspectAutoscaling(ctx, *op.Snapshot)
			})
	case core.OpWorker:
		_, result.Err = ability(ctx, r.u, "the read of worker "+op.Worker, op.Within,
			func(ctx context.Context, i endpoint.WorkerInspector) (struct{}, error) {
				return struct{}{}, i.InspectWorker(ctx, op.Worker, op.Change.To)
			})
	default:
		result.Err = fmt.Errorf("unknown operation %d", op.Kind)
	}
	return result
}

// snapshot reads what has to be known of autoscaling before c.
func snapshot(ctx context.Context, u endpoint.Updater, c endpoint.Change, within time.Duration) (endpoint.AutoscalingSnapshot, error) {
	return ability(ctx, u, "the snapshot of autoscaling", within,
		func(ctx context.Context, s endpoint.AutoscalingSuspender) (endpoint.AutoscalingSnapshot, error) {
			return s.SnapshotAutoscaling(ctx, c)
		})
}

// ability makes a call of an ability of the endpoint.
func ability[A, T any](
	ctx context.Context, u endpoint.Updater, what string, within time.Duration, f func(context.Context, A) (T, error),
) (T, error) {
	a, err := endpoint.Need[A](u)
	if err != nil {
		var none T
		return none, err
	}
	return call(ctx, what, within, func(ctx context.Context) (T, error) { return f(ctx, a) })
}

// write makes one write, and notes one whose call goes on.
func (r *Rollout) write(ctx context.Context, op core.Op) error {
	what := "the write of " + op.Write.Thing
	err := do(ctx, what, op.Within, func(ctx context.Context) error { return write(ctx, r.u, &op) })
	if errors.Is(err, errAbandoned) {
		r.abandoned = append(r.abandoned, what)
	}
	return err
}

func write(ctx context.Context, u endpoint.Updater, op *core.Op) error {
	w := op.Write
	switch {
	case w.Revision != nil:
		return u.Update(ctx, op.Change)
	case w.Thing == journal.ThingShare:
		s, err := endpoint.Need[endpoint.Shifter](u)
		if err != nil {
			return err
		}
		return s.Shift(ctx, *op.Canary, *w.Value)
	case w.Value != nil:
		s, err := endpoint.Need[endpoint.Scaler](u)
		if err != nil {
			return err
		}
		return s.Set(ctx, w.Thing, *w.Value)
	case w.Unstage:
		s, err := endpoint.Need[endpoint.Unstager](u)
		if err != nil {
			return err
		}
		return s.Unstage(ctx, *op.Draft)
	case w.Thing == journal.ThingDraft, w.Thing == journal.ThingCanary:
		s, err := endpoint.Need[endpoint.Stager](u)
		if err != nil {
			return err
		}
		return s.Stage(ctx, *op.Draft)
	}
	s, err := endpoint.Need[endpoint.AutoscalingSuspender](u)
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
func (r *Rollout) status(ctx context.Context, op core.Op) (endpoint.Status, error) {
	if !op.Shared || r.running.shared == nil {
		return call(ctx, "status", op.Within, r.u.Status)
	}
	if r.watch == nil {
		r.watch, r.shared = r.running.shared.WatchFunc(ctx, r.u.Name(), r.notify), &endpoint.Status{}
	}
	watch, last := r.watch, *r.shared
	s, err := call(ctx, "status", op.Within, func(ctx context.Context) (endpoint.Status, error) {
		err := watch.Read(ctx, r.u, &last)
		return last, err
	})
	if errors.Is(err, errAbandoned) {
		r.watch.Release() // the call that goes on has it
		r.watch = nil
		return s, err
	}
	r.shared = &s
	return s, err
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
			j.err = errors.New("the job ended its goroutine")
			j.err = recovered("the job", func() (err error) {
				j.worker, err = r.running.job(jctx)
				return err
			})
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
