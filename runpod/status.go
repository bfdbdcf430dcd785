package runpod

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// Status reads the endpoint, its workers, and what the job plane says
// of them.
//
// A worker is live while RunPod wants it to run. Over REST it is stale if RunPod
// says so, or if its image is not the endpoint's, or if its version is before
// the release that the image came with; that release is found in RunPod's
// history. Each worker says what it does. Where that view is degraded, and shows
// no version, the image alone decides. Workers of a batch job are none of the
// endpoint's. A list is read to its end, and one that does not lead there, or has
// fewer workers than its own summary, is [endpoint.ErrUnavailable].
//
// Over REST a rollout writes the image alone, and an endpoint's revision is its
// image. Everything else is in Fields: variables and start commands by a
// fingerprint, hardware, places and time-outs by value, and as "build" or "release
// of other settings" what the history of releases shows beside that.
//
// Over GraphQL the same list is read, and a worker is stale too if GraphQL
// shows another image than the template's, or another version than the
// endpoint's. A worker that only one of the two shows proves nothing. If REST
// refuses the key, or has no such view, at the first read of this Endpoint,
// GraphQL has to do from there on, and the job plane has to tell what the workers
// do. It counts them without naming them, so its counts are shared out with care:
// unhealthy ones go to stale workers first, starting and throttled ones to the
// others first. Evidence says "REST" or "GraphQL". What REST refuses later, and
// what it fails at, is an error at any time.
//
// There are never more ready workers than the job plane knows of, so that the
// phase stays PhaseScaling until it has caught up: for some time after a maximum
// of 0 was raised it goes on refusing jobs. While there is no worker nothing
// shows that it does. Behind a load balancer the job plane knows nothing: there
// a running worker is ready. Serving is the desired revision if at least one
// worker is live and ready and none is stale.
//
// A worker that was seen to restart twice, less than ten minutes apart, while no
// worker of the revision was ready, counts as unhealthy until one is or it has
// been quiet for as long. That is remembered by the Endpoint: keep one for the
// whole rollout. UpSince is the earliest start of a ready worker, as REST tells it,
// and Restarts counts the starts that moved, also where every view shows the worker
// as ready in between. GraphQL alone shows no start: where REST may not be asked, such
// a loop is not noticed, and Preflight says so.
//
// Reason says why workers fail, and UpdateStage.Message why they do not come up or
// which hardware is missing: an image that cannot be pulled, a crash loop, a health
// check, or a start that takes longer than three minutes, with one worker and the
// last lines of its log. The log is read for up to two seconds, over REST alone,
// once for a worker and again after five minutes; secrets are taken out of it.
//
// RunPod scales an endpoint down to 0 whose workers do nothing but fail. To the
// API that is a change of bounds like any other, and the workers that it was for
// are gone with it. So ProviderOverrides tells of it while they can be seen.
//
// The phase is [endpoint.PhasePaused] with a maximum of 0 and no live worker,
// and PhaseUpdating while stale workers are live or, with a maximum of 0, any.
// It is PhaseReady with no live worker too if the minimum is 0, but then
// nothing is serving and nothing is proven.
//
// A job plane that cannot be read is an error, except for a paused endpoint
// with no live worker, about which it has nothing to say. That it does not
// know the endpoint is [endpoint.ErrUnavailable]: it is late for new ones.
func (e *Endpoint) Status(ctx context.Context) (endpoint.Status, error) {
	const op = "status"
	if err := e.begin(ctx, op); err != nil {
		return endpoint.Status{}, err
	}
	s, err := e.status(ctx)
	return s, e.wrap(op, err)
}

func (e *Endpoint) status(ctx context.Context) (endpoint.Status, error) {
	var none endpoint.Status
	s, err := e.ops.readWorkers(ctx)
	if err != nil {
		return none, err
	}
	v := sortPods(s)
	var h *healthWorkers
	if !s.loadBalancer() && (s.workers.max > 0 || v.live() > 0) {
		read, err := e.jobPlane.health(ctx, e.id)
		if err != nil {
			return none, err
		}
		h = &read.Workers
	}
	loops := e.loops(s, v, h)
	out := derive(s, v, h, loops)
	out.Restarts = e.restarts.count()
	e.addDiagnosis(ctx, &out, worst(v, loops, time.Now()))
	return out, nil
}

// addDiagnosis says why a worker does not serve: with the reason, where one is
// failing, and where the update stands if it only does not come up.
func (e *Endpoint) addDiagnosis(ctx context.Context, out *endpoint.Status, t *trouble) {
	said := e.diagnoses.explain(ctx, t, time.Now(), e.ops.workerLog)
	switch {
	case said == "":
	case t.kind == "start":
		out.UpdateStage.Message = join(out.UpdateStage.Message, said)
	default:
		out.Reason = join(out.Reason, said)
	}
}

func join(a, b string) string {
	if a != "" {
		a += "; "
	}
	return httpx.Clip(a + b)
}

// loops names the workers that restart again and again. Where the job plane
// counts a ready worker on the present version, there is none: it cannot say
// which.
func (e *Endpoint) loops(s *state, v view, h *healthWorkers) []string {
	p := count(s, v, h, nil)
	counted := h != nil && p.Ready > 0
	waiting := h != nil && h.Throttled > 0 || s.list != nil && p.Throttled > 0
	loops := e.restarts.observe(v.current, !counted && !waiting, time.Now())
	if counted {
		return nil
	}
	return loops
}

// view is the live workers of a state by what they run.
type view struct {
	current []*pod // on the wanted image and version
	stale   []*pod
	unknown []*pod // RunPod does not say what they run
}

func (v view) live() int { return len(v.current) + len(v.stale) + len(v.unknown) }

// sortPods goes by every view there is, and by the worse one where they differ.
func sortPods(s *state) view {
	var shown view // by GraphQL
	for _, p := range s.pods {
		otherVersion := p.version != 0 && s.version != 0 && p.version != s.version
		shown = shown.with(s, p, otherVersion, p.version != 0 && p.version == s.version)
	}
	if s.list == nil {
		return shown
	}
	var v view
	for _, p := range s.list.pods {
		// RunPod's own word, but never against what the history shows: a list
		// that is older than the release calls its workers current. And never
		// against what GraphQL shows of the very same worker.
		otherVersion := p.stale != nil && *p.stale || p.version != 0 && p.version < s.target || has(shown.stale, p.id)
		v = v.with(s, p, otherVersion, p.version != 0 && p.version == s.list.version && p.stale != nil)
	}
	// Workers that one view alone shows: they come, or go, or it is an old one. Only
	// REST tells which are of a batch job.
	missing := func(p *pod) bool { return !has(s.list.pods, p.id) && !s.list.batch[p.id] }
	for _, p := range shown.stale {
		if missing(p) {
			v.stale = append(v.stale, p)
		}
	}
	for _, p := range append(shown.current, shown.unknown...) {
		if missing(p) {
			v.unknown = append(v.unknown, p)
		}
	}
	return v
}

// with puts a worker where it belongs, if it is live.
func (v view) with(s *state, p *pod, otherVersion, sameVersion bool) view {
	wanted := s.image()
	switch {
	case !live(p.status):
	case otherVersion, p.image != "" && wanted != "" && !samePodImage(p.image, wanted):
		v.stale = append(v.stale, p)
	case sameVersion, p.image != "" && wanted != "":
		v.current = append(v.current, p)
	default:
		v.unknown = append(v.unknown, p)
	}
	return v
}

func has(pods []*pod, id string) bool {
	return slices.ContainsFunc(pods, func(p *pod) bool { return p.id == id })
}

// live takes a status that it does not know for a running worker's: to wait
// for one that is gone is better than to overlook one that is there.
func live(status string) bool {
	switch strings.ToUpper(status) {
	case "EXITED", "PAUSED", "DEAD", "TERMINATED":
		return false
	}
	return true
}

func running(status string) bool { return strings.EqualFold(status, "RUNNING") }

// templateFields are the settings, besides the environment, that a copied
// template replaces.
var templateFields = []string{"args", "cmd", "entrypoint", "disk", "ports", "registry"}

// derive puts what was read into the words of package endpoint. h is nil if
// the job plane has no view of the endpoint.
func derive(s *state, v view, h *healthWorkers, loops []string) endpoint.Status {
	p := count(s, v, h, loops)
	out := endpoint.Status{
		Desired:     s.revision(),
		Mixed:       mixed(v),
		Settings:    endpoint.Settings{endpoint.WorkersMin: s.workers.min, endpoint.WorkersMax: s.workers.max},
		Pools:       []endpoint.Pool{p},
		Reason:      reason(s, v, p, h, loops),
		Phase:       phase(s.workers, p),
		Evidence:    "GraphQL",
		UpdateStage: stage(s, v, p),
	}
	if s.list != nil {
		out.Evidence = "REST"
	}
	if s.version != 0 {
		out.Generation = strconv.Itoa(s.version)
	}
	out.Fields, out.UpSince = s.fields, upSince(s, v, loops)
	if s.digested { // the revision has them, and a template brings others along
		maps.DeleteFunc(out.Fields, func(name, _ string) bool {
			return slices.Contains(templateFields, name) || strings.HasPrefix(name, "env ")
		})
	}
	if p.Ready > 0 && len(v.stale) == 0 && len(v.unknown) == 0 && !s.late {
		out.Serving = out.Desired
	}
	if p.Unhealthy > 0 && p.Ready == 0 {
		out.ProviderOverrides = endpoint.Settings{endpoint.WorkersMin: 0, endpoint.WorkersMax: 0}
	}
	return out
}

// upSince is the earliest start of a worker that is ready on the wanted revision.
func upSince(s *state, v view, loops []string) time.Time {
	var first time.Time
	if s.list == nil {
		return first
	}
	for _, p := range v.current {
		status := strings.ToUpper(p.status)
		if status != "IDLE" && status != "RUNNING" || slices.Contains(loops, p.id) || p.started.IsZero() {
			continue
		}
		if first.IsZero() || p.started.Before(first) {
			first = p.started
		}
	}
	return first
}
