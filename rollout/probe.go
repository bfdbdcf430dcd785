package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// traceGap is how often a worker is looked for that has done the job: it is up
// for some seconds only.
const traceGap = time.Second

// probeStep has the job done, while it watches the target as any wait does, and
// finds out what the worker runs that did it.
func (d *driver) probeStep(ctx context.Context, s strategy.Step) (string, error) {
	p := d.j.plan
	if d.job == nil || d.probe != p.Probe {
		return "", fmt.Errorf("%w: the job %q is in the plan and was not given", ErrGate, p.Probe)
	}
	tracer, err := endpoint.Need[endpoint.WorkerInspector](d.u)
	if err != nil {
		return "", err
	}
	worker, err := d.work(ctx, s)
	if err != nil {
		return "", err
	}
	end := time.Now().Add(p.Settle)
	var other error // that it runs something else: it may be gone when that is clear
	_, err = d.until(ctx, s, func(ctx context.Context) (string, bool, error) {
		_, err := answered(ctx, lookTime, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, tracer.InspectWorker(ctx, worker, p.Target)
		})
		late := !time.Now().Before(end)
		switch {
		case errors.Is(err, endpoint.ErrDrift):
			other = err
		case errors.Is(err, endpoint.ErrNotFound) && other != nil && late:
			err = other
		case !errors.Is(err, endpoint.ErrNotFound):
			return "", err == nil, err
		}
		if late {
			return "", false, fmt.Errorf("%w: job %q was done by worker %s, which is not known to run %s: %w", ErrGate, p.Probe, worker, p.Target, err)
		}
		return err.Error(), false, nil // as far as reads show by now
	}, waiter.WithSchedule(waiter.Every(traceGap)))
	if err != nil {
		return "", plain(err)
	}
	return provenBy + proofProbe, nil
}

// unhurried is a schedule that expects nothing of the condition that holds: it
// is the job that the wait is for.
type unhurried struct{ waiter.Schedule }

func (u unhurried) Next(p waiter.Progress) time.Duration {
	p.Held = 0
	return u.Schedule.Next(p)
}

// work has the job done. What says that the target is not going to do it ends
// it before its time; the job is called off with the step.
func (d *driver) work(ctx context.Context, s strategy.Step) (worker string, err error) {
	jctx, stop := context.WithCancel(ctx)
	type outcome struct {
		worker string
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		defer stop()
		worker, err := d.job(jctx)
		done <- outcome{worker, err}
	}()
	opts := append(d.waits(), waiter.WithTransient(d.patient(), forever), waiter.WithFrom(d.j.plan.Source),
		waiter.WithUnproven(), waiter.WithConsecutive(math.MaxInt), waiter.WithSchedule(unhurried{d.schedule}))
	_, err = d.ready(ctx, jctx, s, d.j.plan.Target, opts)
	select {
	case o := <-done:
		switch {
		case o.err != nil && ctx.Err() == nil:
			return "", fmt.Errorf("%w: job %q: %w", ErrGate, d.j.plan.Probe, o.err)
		case o.err == nil && o.worker == "":
			return "", fmt.Errorf("%w: job %q names no worker", ErrGate, d.j.plan.Probe)
		case o.err == nil:
			return o.worker, nil
		}
	default:
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return "", d.notConverged(err)
}
