package endpointtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Workers is an endpoint in the shape of RunPod Serverless. It accepts a
// revision at once, even in the middle of a change, while the workers of the
// old one go on serving, and replaces them one by one.
//
// It imitates:
//   - revisions are templates, whose content can be rewritten; the digest is
//     that of the content. An update links the template that it names, whatever
//     that holds by now. Named with another artifact than it has, the template
//     that is linked already gets that artifact.
//   - on each tick one stale worker is replaced by one that has to start first,
//     whether or not the one before it came up. A stale worker with a job is
//     replaced at the first tick after its job has ended.
//   - "workers.max" at 0 empties the endpoint: idle workers go on the next tick,
//     busy ones when their job ends. "workers.min" at 0 alone stops no worker;
//     workers that are not asked for leave once they have been idle long enough.
//   - the new revision is desired at once. None is serving as long as a stale
//     worker is there, and after that only if a worker is ready. A worker of an
//     older version is stale, even if its template came back.
//   - min above max is refused, as is raising max above the account's quota.
//   - while there is no capacity, workers that are to start wait for it.
//   - if that is switched on, both bounds go to 0 once workers have done nothing
//     but fail for long enough. Status tells of that before it happens, while the
//     failing workers are there, and never afterwards.
//   - the generation counts changes of what is served, not of how many serve.
//
// Its limits: a template's content is its artifact alone, and no other endpoint
// uses it; an unhealthy worker is not retried; jobs are accepted as soon as max is
// above 0.
type Workers struct{ fake[*workers] }

var (
	_ endpoint.Updater         = (*Workers)(nil)
	_ endpoint.Scaler          = (*Workers)(nil)
	_ endpoint.Stager          = (*Workers)(nil)
	_ endpoint.Resolver        = (*Workers)(nil)
	_ endpoint.Preflighter     = (*Workers)(nil)
	_ endpoint.Drainer         = (*Workers)(nil)
	_ endpoint.WorkerInspector = (*Workers)(nil)
)

// WorkersConfig describes an endpoint that has been up for a while: min
// workers are ready, on Live.
type WorkersConfig struct {
	// Name is the endpoint's name; "fake/workers" if empty.
	Name string
	// Templates maps the ID of each template to its artifact.
	Templates map[string]string
	// Live is the ID of the template that is served.
	Live string
	// Min and Max are the bounds of the number of workers.
	Min, Max int
	// Quota is what Max cannot be raised above; no limit if zero.
	Quota int
	// Tick is the time between two ticks of the service,
	// counted from the making of the endpoint; 30 seconds if zero.
	Tick time.Duration
	// Start is the time a worker takes to pull and to start; a minute if zero.
	Start time.Duration
	// Idle is how long a worker that is not asked for idles before it is
	// stopped; 5 minutes if zero.
	Idle time.Duration
	// ScaleDown is how long there may be unhealthy workers and none that is up
	// before the service sets Min and Max to 0; it never does if zero.
	ScaleDown time.Duration
}

// WorkersState is the state of [Workers], as far as it can be seen and edited.
type WorkersState struct {
	Min, Max, Quota int
	Live            string            // ID of the template that is served
	Templates       map[string]string // artifact of each template
	Version         int               // counts the changes of what is served
	Workers         []Worker          // oldest first
	Queue           []time.Duration   // how long each job that waits is going to take
	NoCapacity      time.Time         // until when no worker that is to start gets any
}

// Worker is one worker of [Workers].
type Worker struct {
	ID        string // "w1", "w2" and so on, in the order in which they were started
	Runs      endpoint.Revision
	Version   int       // that it was started for
	Started   time.Time // or when it will, once there is capacity
	Up        bool      // it came up
	Unhealthy bool      // it failed to
	Busy      time.Time // when its job ends; zero without a job
	Idle      time.Time // since when it has had nothing to do
	Leaving   bool      // it takes no more jobs and stops when its job has ended
	Stuck     bool      // the service forgot about it: it is never stopped or replaced
}

// NewWorkers returns an endpoint at rest. It panics if the configuration is
// one that the service would not have accepted.
func NewWorkers(c WorkersConfig) *Workers {
	c.Name = cmp.Or(c.Name, "fake/workers")
	c.Tick, c.Start, c.Idle = cmp.Or(c.Tick, 30*time.Second), cmp.Or(c.Start, time.Minute), cmp.Or(c.Idle, 5*time.Minute)
	if _, ok := c.Templates[c.Live]; !ok || c.Min < 0 || c.Min > c.Max || c.Quota > 0 && c.Max > c.Quota {
		panic(fmt.Sprintf("endpointtest: invalid configuration of %s", c.Name))
	}
	now := time.Now()
	w := &workers{
		WorkersState: WorkersState{
			Min: c.Min, Max: c.Max, Quota: c.Quota,
			Live: c.Live, Templates: maps.Clone(c.Templates), Version: 1,
		},
		epoch: now, now: now, tick: c.Tick, start: c.Start, idle: c.Idle, scaleDown: c.ScaleDown, lowered: now, fates: newFates(),
	}
	for range c.Min {
		w.begin(Worker{Started: now.Add(-c.Start), Up: true, Idle: now})
	}
	return &Workers{newFake(c.Name, w, w.fates)}
}

const kindTemplate = "template"

// template describes a template; the digest is that of its content.
func template(id, artifact string) endpoint.Revision {
	sum := sha256.Sum256([]byte(artifact))
	return endpoint.Revision{Kind: kindTemplate, ID: id, Artifact: artifact, Digest: "sha256:" + hex.EncodeToString(sum[:6])}
}

// Status implements [endpoint.Updater].
func (w *Workers) Status(ctx context.Context) (s endpoint.Status, err error) {
	err = w.read(ctx, "status", func(m *workers) error {
		s = m.status()
		return nil
	})
	return s, err
}

// Update implements [endpoint.Updater]. There are no options.
func (w *Workers) Update(ctx context.Context, c endpoint.Change) error {
	return w.mutate(ctx, "update "+c.To.ID, func(m *workers) error {
		if o := bytes.TrimSpace(c.Options); len(o) > 0 && string(o) != "null" {
			return fmt.Errorf("options %s: %w", o, endpoint.ErrInvalid)
		}
		return m.update(c.To)
	})
}

// Set implements [endpoint.Scaler] for "workers.min" and "workers.max".
func (w *Workers) Set(ctx context.Context, key string, value int) error {
	return w.mutate(ctx, "set "+key+"="+strconv.Itoa(value), func(m *workers) error { return m.set(key, value) })
}

// Jobs implements [endpoint.Drainer].
func (w *Workers) Jobs(ctx context.Context) (j endpoint.Jobs, err error) {
	err = w.read(ctx, "jobs", func(m *workers) error {
		j = endpoint.Jobs{InFlight: m.busy(), Queued: len(m.Queue)}
		return nil
	})
	return j, err
}

// InspectWorker implements [endpoint.WorkerInspector], by the ID of [Worker].
func (w *Workers) InspectWorker(ctx context.Context, worker string, r endpoint.Revision) error {
	return w.read(ctx, "trace", func(m *workers) error {
		i := slices.IndexFunc(m.Workers, func(w Worker) bool { return w.ID == worker })
		switch {
		case i < 0:
			return fmt.Errorf("worker %s: %w", worker, endpoint.ErrNotFound)
		case m.stale(m.Workers[i]) || !m.Workers[i].Runs.Same(r):
			return fmt.Errorf("worker %s runs %s: %w", worker, m.Workers[i].Runs, endpoint.ErrDrift)
		}
		return nil
	})
}

// Enqueue hands the endpoint n jobs, each of which keeps a worker busy for d;
// [Forever] makes workers that never drain. A paused endpoint refuses jobs with
// [endpoint.ErrPaused]. This is the caller of the model at work: no hook sees it.
func (w *Workers) Enqueue(n int, d time.Duration) (err error) {
	w.truth(func(m *workers) {
		if m.Max == 0 {
			err = &endpoint.Error{Op: "run", Endpoint: w.name, Err: endpoint.ErrPaused}
			return
		}
		for range n {
			m.Queue = append(m.Queue, d)
		}
		m.step(m.now)
	})
	return err
}

// Forever is longer than any test.
const Forever = 200 * 365 * 24 * time.Hour

// Truth returns the state as it is now, whatever reads are shown.
func (w *Workers) Truth() (s WorkersState) {
	w.truth(func(m *workers) { s = m.clone().WorkersState })
	return s
}

// Protective returns everything that a rollout has to leave as it was, to be
// compared before and after.
func (w *Workers) Protective() map[string]string {
	s := w.Truth()
	return map[string]string{endpoint.WorkersMin: strconv.Itoa(s.Min), endpoint.WorkersMax: strconv.Itoa(s.Max)}
}

// Foreign lets a third party change the endpoint now, past every check and hook.
func (w *Workers) Foreign(edit func(*WorkersState)) { w.At(time.Time{}, edit) }

// At is [Workers.Foreign] at time t, or now if that is past.
func (w *Workers) At(t time.Time, edit func(*WorkersState)) {
	w.edit(t, func(m *workers) {
		was, low := m.live(), m.Min
		edit(&m.WorkersState)
		if m.live() != was {
			m.Version++
		}
		if m.Min < low {
			m.lowered = m.now
		}
	})
}
