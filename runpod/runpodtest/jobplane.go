package runpodtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/internal/inproc"
)

// syncWait is how long /runsync waits for its job.
const syncWait = 90 * time.Second

// paused is what the job plane says of an endpoint with no workers allowed.
var paused = map[string]any{
	"status": 409, "title": "Conflict", "code": "ENDPOINT_PAUSED",
	"detail": "Endpoint is paused (max_workers=0). Set max_workers > 0 to accept work.",
}

func (s *Server) serveJobs(c *call, w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	id, action := parts[0], parts[1]
	method := http.MethodPost
	if action == "health" || action == "status" {
		method = http.MethodGet
	}
	var status int
	var body any
	var err error
	switch {
	case action == "health" && len(parts) == 2 && r.Method == method:
		status, body, err = c.health(r.Context(), id)
	case (action == "run" || action == "runsync") && len(parts) == 2 && r.Method == method:
		status, body, err = c.run(r, id, action)
	case action == "status" && len(parts) == 3 && r.Method == method:
		status, body, err = c.status(r.Context(), id, parts[2])
	case action == "cancel" && len(parts) == 3 && r.Method == method:
		status, body, err = c.cancel(r.Context(), id, parts[2])
	case action == "purge-queue" && len(parts) == 2 && r.Method == method:
		status, body, err = c.purge(r.Context(), id)
	default:
		status, body = http.StatusNotFound, map[string]any{"error": "not found"}
	}
	var refused refusal
	switch {
	case r.Context().Err() != nil: // the answer has no reader
		return
	case errors.As(err, &refused):
		status, body = http.StatusInternalServerError, map[string]any{"error": string(refused)}
	case errors.Is(err, errNull):
		status, body = http.StatusOK, nil
	}
	c.answerJSON(w, status, body)
}

func notFound() (int, any) { return http.StatusNotFound, map[string]any{"error": "endpoint not found"} }

// health counts what the queue knows. It does not tell a paused endpoint from
// an idle one, and warm workers that do not run from ready ones.
func (c *call) health(ctx context.Context, id string) (status int, body any, err error) {
	err = c.query(ctx, func(st *State, _ time.Time) {
		e := st.endpoint(id)
		if e == nil || e.Type == "LB" { // no queue
			status, body = notFound()
			return
		}
		n := e.jobCounts()
		idle := len(e.filter(Idle, Standby))
		jobs := map[string]int{
			"completed": n.Completed, "failed": n.Failed, "inProgress": n.InProgress, "inQueue": n.InQueue, "retried": n.Retried,
		}
		workers := map[string]int{
			"idle": idle, "ready": idle, "running": len(e.filter(Running)), "throttled": len(e.filter(Throttled)),
			"initializing": len(e.filter(Initializing, Crashing)), "unhealthy": len(e.filter(Unhealthy)),
		}
		for _, key := range c.srv.state.Behaviour.HealthOmits {
			delete(jobs, key)
			delete(workers, key)
		}
		status, body = http.StatusOK, map[string]any{"jobs": jobs, "workers": workers}
	}, "health")
	return status, body, err
}

func (c *call) run(r *http.Request, id, action string) (status int, body any, err error) {
	if !hasInput(r.Body) {
		return http.StatusBadRequest, map[string]any{"error": "input is required"}, nil
	}
	var jobID string
	err = c.mutate(r.Context(), func(st *State) error {
		e := st.endpoint(id)
		if e == nil {
			status, body = notFound()
			return errNull
		}
		seen, _ := c.srv.history.view(st, JobPlane)
		if p := seen.endpoint(id); (p == nil || p.WorkersMax == 0) && !st.Behaviour.AcceptWhenPaused {
			status, body = http.StatusConflict, paused
			return errNull
		}
		j := e.enqueue(st, st.Behaviour.jobTime())
		if action == "runsync" {
			j.id, j.sync = "sync-"+j.id, true
		}
		jobID = j.id
		status, body = http.StatusOK, map[string]any{"id": j.id, "status": j.state}
		return nil
	}, action)
	if errors.Is(err, errNull) && body != nil {
		return status, body, nil
	}
	if err != nil || action != "runsync" || jobID == "" {
		return status, body, err
	}
	return c.await(r.Context(), id, jobID)
}

// hasInput reads a job: anything but null under "input".
func hasInput(body io.Reader) bool {
	var in struct {
		Input any `json:"input"`
	}
	err := json.NewDecoder(io.LimitReader(body, maxBody)).Decode(&in)
	return err == nil && in.Input != nil
}

// await reads every quarter of a second whether the job is done.
func (c *call) await(ctx context.Context, id, jobID string) (status int, body any, err error) {
	for waited := time.Duration(0); ; waited += 250 * time.Millisecond {
		done := false
		c.srv.inspect(func(st *State) {
			status, body, done = jobResult(st, id, jobID)
		})
		if done || waited >= syncWait {
			return status, body, nil
		}
		if err := inproc.Sleep(ctx, 250*time.Millisecond); err != nil {
			return 0, nil, err
		}
	}
}

func (c *call) status(ctx context.Context, id, jobID string) (status int, body any, err error) {
	err = c.query(ctx, func(*State, time.Time) {
		status, body, _ = jobResult(c.srv.state, id, jobID) // the queue knows its own jobs at once
	}, "status")
	return status, body, err
}

func jobResult(st *State, id, jobID string) (status int, body any, done bool) {
	var j *job
	if e := st.endpoint(id); e != nil {
		j = e.job(jobID)
	}
	if j == nil || j.expired(st.now) {
		return http.StatusNotFound, map[string]any{"error": "job not found"}, true
	}
	out := map[string]any{"id": j.id, "status": j.state}
	if !j.beganAt.IsZero() {
		out["delayTime"], out["workerId"] = j.beganAt.Sub(j.queuedAt).Milliseconds(), j.worker
	}
	if j.retries > 0 {
		out["retries"] = j.retries
	}
	if !j.doneAt.IsZero() && !j.beganAt.IsZero() {
		out["executionTime"] = j.doneAt.Sub(j.beganAt).Milliseconds()
	}
	switch j.state {
	case completed:
		out["output"] = map[string]any{}
	case failed:
		out["error"] = "handler raised an exception"
	case inQueue, inProgress, cancelled:
	}
	return http.StatusOK, out, slices.Contains([]jobState{completed, failed, cancelled}, j.state)
}

func (c *call) cancel(ctx context.Context, id, jobID string) (status int, body any, err error) {
	err = c.mutate(ctx, func(st *State) error {
		status, body = http.StatusNotFound, map[string]any{"error": "job not found"}
		if e := st.endpoint(id); e != nil {
			if j := e.job(jobID); j != nil && !j.expired(st.now) {
				e.cancel(st, j)
				status, body = http.StatusOK, map[string]any{"id": j.id, "status": j.state}
			}
		}
		return nil
	}, "cancel")
	return status, body, err
}

func (c *call) purge(ctx context.Context, id string) (status int, body any, err error) {
	err = c.mutate(ctx, func(st *State) error {
		e := st.endpoint(id)
		if e == nil {
			status, body = notFound()
			return nil
		}
		status, body = http.StatusOK, map[string]any{"removed": e.purge(), "status": "completed"}
		return nil
	}, "purge-queue")
	return status, body, err
}
