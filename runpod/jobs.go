package runpod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// jobPlane is the service that takes jobs, and counts them.
type jobPlane struct {
	api *httpx.Client
}

// health is the job plane's view of a queue endpoint. The views of the job
// plane and of the management API are apart by some seconds, and neither is
// wrong. A count that is missing is 0.
type health struct {
	Jobs    healthJobs    `json:"jobs"`
	Workers healthWorkers `json:"workers"`
}

type healthJobs struct {
	InProgress int `json:"inProgress"`
	InQueue    int `json:"inQueue"`
}

// healthWorkers overlap: what is idle is counted in ready too. idle includes
// workers that are scaled down.
type healthWorkers struct {
	Idle         int `json:"idle"`
	Initializing int `json:"initializing"`
	Ready        int `json:"ready"`
	Running      int `json:"running"`
	Throttled    int `json:"throttled"`
	Unhealthy    int `json:"unhealthy"`
}

func (j *jobPlane) health(ctx context.Context, id string) (health, error) {
	var h struct {
		Jobs    *healthJobs    `json:"jobs"`
		Workers *healthWorkers `json:"workers"`
	}
	if err := j.api.Do(ctx, http.MethodGet, joined([]string{id, "health"}), nil, &h); err != nil {
		return health{}, jobError(err)
	}
	if h.Jobs == nil || h.Workers == nil { // no jobs, and nothing said of jobs, are two things
		return health{}, unclear("health without jobs or without workers")
	}
	return health{Jobs: *h.Jobs, Workers: *h.Workers}.sane(), nil
}

// jobError says which key was refused. An endpoint that the job plane does not
// know yet is one that was just created, as the management API knows it: that
// passes.
func jobError(err error) error {
	switch {
	case errors.Is(err, endpoint.ErrUnauthorized):
		return fmt.Errorf("the job key (RUNPOD_JOB_KEY) is wrong, revoked, or lacks the right to this endpoint: %w", err)
	case errors.Is(err, endpoint.ErrNotFound):
		return fmt.Errorf("the job plane does not know the endpoint yet: %w: %s", endpoint.ErrUnavailable, err.Error())
	}
	return err
}

// sane takes a negative count for none.
func (h health) sane() health {
	for _, n := range []*int{
		&h.Jobs.InProgress, &h.Jobs.InQueue, &h.Workers.Idle, &h.Workers.Initializing,
		&h.Workers.Ready, &h.Workers.Running, &h.Workers.Throttled, &h.Workers.Unhealthy,
	} {
		*n = max(0, *n)
	}
	return h
}

// loadBalancer reports whether the endpoint has no queue.
func (s *state) loadBalancer() bool {
	return strings.EqualFold(s.kind, "LB") || strings.EqualFold(s.kind, "LOAD_BALANCER")
}

// Jobs counts the jobs in progress and in the queue. An endpoint behind a load
// balancer has no queue: that is [errors.ErrUnsupported].
func (e *Endpoint) Jobs(ctx context.Context) (endpoint.Jobs, error) {
	const op = "jobs"
	if err := e.begin(ctx, op); err != nil {
		return endpoint.Jobs{}, err
	}
	if err := e.needQueue(ctx); err != nil {
		return endpoint.Jobs{}, e.wrap(op, err)
	}
	h, err := e.jobPlane.health(ctx, e.id)
	if err != nil {
		return endpoint.Jobs{}, e.wrap(op, err)
	}
	return endpoint.Jobs{InFlight: h.Jobs.InProgress, Queued: h.Jobs.InQueue}, nil
}

// needQueue reads the endpoint's type, until a read has shown a queue: an
// endpoint keeps its type for life.
func (e *Endpoint) needQueue(ctx context.Context) error {
	e.mu.Lock()
	queue := e.queue
	e.mu.Unlock()
	if queue {
		return nil
	}
	s, err := e.ops.read(ctx)
	if err == nil && s.loadBalancer() {
		err = fmt.Errorf("a load-balancer endpoint has no queue: %w", errors.ErrUnsupported)
	}
	return err
}
