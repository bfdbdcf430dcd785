package runpodtest

import (
	"slices"
	"time"
)

// endpoint is an endpoint with what runs on it.
type endpoint struct {
	Endpoint
	workers []*worker // in the order in which they were started
	jobs    []*job    // in the order in which they came; done ones for 30 minutes
	counts  JobCounts // of done jobs; InProgress and InQueue are counted when asked for
	cached  map[string]bool

	throttledUntil time.Time
	minLoweredAt   time.Time // workers above the minimum count as idle from here at the earliest
	rollAt         time.Time // the next tick of a rolling release; zero: none under way
	busyAt         time.Time // the last request or change of configuration
	badSince       time.Time // no worker but failing ones; zero: not so

	releases []release // oldest first; only ever appended to
}

type worker struct {
	Worker
	until time.Time // when State ends by itself; zero: it does not
	badAt time.Time // when the image's fault shows; zero: it does not

	flaps time.Duration // how long its container stays up, again and again; zero: it does not end

	startedOnce time.Time // when its container was first started, since it was last asked to run
}

func (st *State) newEndpoint(e Endpoint) *endpoint {
	ep := &endpoint{Endpoint: e, cached: map[string]bool{}, busyAt: st.now}
	st.endpoints = append(st.endpoints, ep)
	return ep
}

// seed brings up what a settled endpoint has.
func (e *endpoint) seed(st *State) {
	e.cached[st.template(e.TemplateID).Image] = true
	for range e.WorkersMin {
		w := e.newWorker(st)
		e.ready(st, w)
	}
	if e.WorkersMin == 0 && !st.Behaviour.NoStandby {
		for range min(2, e.WorkersMax, e.WorkersStandby) {
			e.newWorker(st).State = Standby
		}
	}
}

// applyEndpoint makes next the endpoint's configuration, with what follows
// from the difference. The caller has checked it and lets the clock settle.
func (st *State) applyEndpoint(e *endpoint, next Endpoint) {
	old := e.Endpoint
	next = next.clone()
	next.ID, next.Version, next.CreatedAt = old.ID, old.Version, old.CreatedAt
	e.Endpoint, e.busyAt = next, st.now
	if next.WorkersMin < old.WorkersMin {
		e.minLoweredAt = st.now
	}
	if next.TemplateID != old.TemplateID {
		st.freed(old.TemplateID)
	}
	if diff := st.endpointDiff(old, next); len(diff) > 0 {
		e.release(st, diff)
	}
}

// applyTemplate makes next the template's contents. What only names or
// describes it is no release.
func (st *State) applyTemplate(t *template, next Template) {
	old := t.Template
	next = next.clone()
	next.ID = old.ID
	t.Template = next
	diff := templateDiff(old, next)
	if len(diff) == 0 {
		return
	}
	for _, e := range st.users(t.ID) {
		e.busyAt = st.now
		e.release(st, diff)
	}
}

func (st *State) imageOf(templateID string) string {
	if t := st.template(templateID); t != nil {
		return t.Image
	}
	return ""
}

// release starts a new version. The platform tells images by their reference:
// a worker that runs the same one is taken for current as it is, whatever the
// reference means by now.
func (e *endpoint) release(st *State, diff []change) {
	e.Version++
	e.releases = append(e.releases, release{version: e.Version, at: st.now, diff: diff})
	image := st.imageOf(e.TemplateID)
	for _, w := range e.workers {
		if w.Image == image && w.State != Gone && w.Batch == "" {
			w.Version, w.TemplateID = e.Version, e.TemplateID
		}
	}
	if e.rollAt.IsZero() {
		e.rollAt = st.now.Add(st.Behaviour.tick())
	}
}

func (e *endpoint) stale(w *worker) bool { return w.Batch == "" && w.Version != e.Version }

// copy is the endpoint as it is at this time.
func (e *endpoint) copy() *endpoint {
	c := *e
	c.Endpoint = e.clone()
	c.cached = nil
	c.workers = make([]*worker, len(e.workers))
	for i, w := range e.workers {
		wc := *w
		c.workers[i] = &wc
	}
	c.releases = slices.Clip(e.releases)
	c.jobs = make([]*job, len(e.jobs))
	for i, j := range e.jobs {
		jc := *j
		c.jobs[i] = &jc
	}
	return &c
}

// filter returns the endpoint's own workers in one of the states, in order.
func (e *endpoint) filter(states ...WorkerState) []*worker {
	var out []*worker
	for _, w := range e.workers {
		if slices.Contains(states, w.State) && w.Batch == "" {
			out = append(out, w)
		}
	}
	return out
}

func (e *endpoint) live() []*worker {
	return e.filter(Throttled, Initializing, Idle, Running, Unhealthy, Crashing)
}
