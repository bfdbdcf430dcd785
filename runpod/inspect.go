package runpod

import (
	"context"
	"fmt"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// InspectWorker tells whether a worker runs r, for [endpoint.WorkerInspector], by the workerId
// that the job plane gives for a job. It goes by what Status counts the workers
// by: over REST by RunPod's own list of them and its history of releases. RunPod
// shows the workers that are up, and no others.
func (e *Endpoint) InspectWorker(ctx context.Context, worker string, r endpoint.Revision) error {
	const op = "inspect worker"
	if err := e.begin(ctx, op); err != nil {
		return err
	}
	return e.wrap(op, e.inspectWorker(ctx, worker, r))
}

func (e *Endpoint) inspectWorker(ctx context.Context, worker string, r endpoint.Revision) error {
	s, err := e.ops.readWorkers(ctx)
	if err != nil {
		return err
	}
	among := func(pods []*pod) []*pod {
		return slices.DeleteFunc(slices.Clone(pods), func(p *pod) bool { return p.id != worker })
	}
	v := sortPods(s)
	switch current, stale := among(v.current), among(v.stale); {
	case len(stale) > 0:
		return fmt.Errorf("it runs something else than the endpoint: %s: %w", facts(stale), endpoint.ErrDrift)
	case len(current) > 0 && !s.revision().Same(r):
		return fmt.Errorf("it runs what the endpoint does, which is %s: %s: %w", s.revision(), facts(current), endpoint.ErrDrift)
	case len(current) > 0:
		return nil
	case len(among(v.unknown)) > 0:
		return unclear("RunPod does not say what worker %s runs", worker)
	}
	return fmt.Errorf("RunPod shows no worker %s that is up: %w", httpx.Clip(worker), endpoint.ErrNotFound)
}
