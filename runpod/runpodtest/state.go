package runpodtest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// State is the account as it is now: what another person, or the platform,
// could change behind the back of the program under test. It is passed to the
// functions given to [Server.Do] and [Server.At], and is not to be kept.
type State struct {
	// Behaviour may be changed at any time.
	Behaviour Behaviour
	// Quota bounds the sum of WorkersMax over all endpoints. It is checked
	// when a program raises a maximum, not when a test seeds one.
	Quota int

	now       time.Time
	ids       *rand.Rand
	images    map[string]Image
	templates []*template
	endpoints []*endpoint
	hooks     []hook
}

type template struct {
	Template
	savedAt time.Time // by the program under test
	freedAt time.Time // when the last endpoint that used it stopped doing so
	boundTo string    // the endpoint whose own it is: made by a PATCH, listed nowhere
}

// hook is a change that happens at a time.
type hook struct {
	at time.Time
	do func(*State)
}

// Now is the time at which the change happens.
func (st *State) Now() time.Time { return st.now }

// AddTemplate adds a template and returns its ID. It panics if the ID or the
// name is taken.
func (st *State) AddTemplate(t Template) string {
	t = t.clone()
	t.ID = orDefault(t.ID, st.newID(10))
	t.Name = orDefault(t.Name, "template-"+t.ID)
	t.ContainerDiskInGb = orDefault(t.ContainerDiskInGb, 20)
	if st.template(t.ID) != nil || st.nameTaken(t.Name, t.ID) {
		panic("runpodtest: template " + t.ID + ", " + t.Name + ": taken")
	}
	if _, ok := st.images[t.Image]; !ok {
		st.AddImage(Image{Ref: t.Image})
	}
	st.templates = append(st.templates, &template{Template: t})
	return t.ID
}

// AddEndpoint adds an endpoint as if it had been there for long: its active
// workers are up, and one that scales to zero has two workers on standby. It
// returns the ID, and panics if that is taken or the template does not exist.
func (st *State) AddEndpoint(e Endpoint) string {
	e = e.clone()
	e.ID = orDefault(e.ID, st.newID(14))
	e.Name = orDefault(e.Name, "endpoint-"+e.ID)
	e.Type = orDefault(e.Type, "QB")
	e.WorkersStandby = orDefault(e.WorkersStandby, e.WorkersMax)
	e.IdleTimeout = orDefault(e.IdleTimeout, 5)
	e.ScalerType = orDefault(e.ScalerType, "QUEUE_DELAY")
	e.ScalerValue = orDefault(e.ScalerValue, 4)
	e.GPUIDs = orDefault(e.GPUIDs, "ADA_24")
	e.GPUCount = orDefault(e.GPUCount, 1)
	e.FlashBoot = orDefault(e.FlashBoot, "FLASHBOOT")
	e.Version = orDefault(e.Version, 1)
	e.CreatedAt = orDefault(e.CreatedAt, st.now)
	if st.endpoint(e.ID) != nil {
		panic("runpodtest: endpoint " + e.ID + ": taken")
	}
	if st.template(e.TemplateID) == nil {
		panic("runpodtest: endpoint " + e.ID + ": no template " + fmt.Sprintf("%q", e.TemplateID))
	}
	ep := st.newEndpoint(e)
	ep.seed(st)
	return e.ID
}

// AddImage puts an image into the registry, or replaces it. Workers that are
// up keep what they have.
func (st *State) AddImage(i Image) {
	i.Pull = orDefault(i.Pull, 30*time.Second)
	i.Start = orDefault(i.Start, 10*time.Second)
	st.images[i.Ref] = i
}

// AddJobs queues one job for each duration, which is how long it runs once a
// worker takes it. Idle workers take jobs at once. It panics if there is no
// such endpoint.
func (st *State) AddJobs(endpointID string, durations ...time.Duration) {
	e := st.mustEndpoint(endpointID)
	for _, d := range durations {
		e.enqueue(st, d)
	}
}

// Throttle makes the endpoint find no host for the workers that it starts
// within the next d. It panics if there is no such endpoint.
func (st *State) Throttle(endpointID string, d time.Duration) {
	st.mustEndpoint(endpointID).throttledUntil = st.now.Add(d)
}

// EditEndpoint changes an endpoint the way another writer would: a new
// template is a new release, bounds take effect. ID, Version and CreatedAt are
// not for f to change. It panics if there is no such endpoint or template.
func (st *State) EditEndpoint(id string, f func(*Endpoint)) {
	e := st.mustEndpoint(id)
	next := e.clone()
	f(&next)
	if st.template(next.TemplateID) == nil {
		panic(fmt.Sprintf("runpodtest: no template %q", next.TemplateID))
	}
	st.applyEndpoint(e, next)
}

// EditTemplate changes a template the way another writer would: new contents
// are a new release of every endpoint linked to it. ID is not for f to change.
// It panics if there is no such template.
func (st *State) EditTemplate(id string, f func(*Template)) {
	t := st.template(id)
	if t == nil {
		panic(fmt.Sprintf("runpodtest: no template %q", id))
	}
	next := t.clone()
	f(&next)
	st.applyTemplate(t, next)
}

// Build finishes a build of the repository that the endpoint is connected to: the
// image that came of it is released, by RunPod itself. It panics if there is no
// such endpoint.
func (st *State) Build(endpointID, build, image string) {
	e := st.mustEndpoint(endpointID)
	if _, ok := st.images[image]; !ok {
		st.AddImage(Image{Ref: image})
	}
	st.EditTemplate(e.TemplateID, func(t *Template) { t.Image = image })
	e.releases[len(e.releases)-1].build = build
}

// AddBatchWorkers starts workers of a batch job beside the endpoint's own. They
// run the image that is given, are listed, and belong to no release. It panics if
// there is no such endpoint.
func (st *State) AddBatchWorkers(endpointID, job, image string, n int) {
	e := st.mustEndpoint(endpointID)
	for range n {
		e.workers = append(e.workers, &worker{startedOnce: st.now, Worker: Worker{
			ID: st.newID(14), MachineID: st.newID(12), Image: image, State: Running, Since: st.now, Batch: job,
		}})
	}
}

// RemoveEndpoint deletes an endpoint with its workers and jobs.
func (st *State) RemoveEndpoint(id string) {
	if e := st.endpoint(id); e != nil {
		st.endpoints = slices.DeleteFunc(st.endpoints, func(o *endpoint) bool { return o == e })
		st.freed(e.TemplateID)
	}
}

func (st *State) template(id string) *template {
	if i := slices.IndexFunc(st.templates, func(t *template) bool { return t.ID == id }); i >= 0 {
		return st.templates[i]
	}
	return nil
}

func (st *State) endpoint(id string) *endpoint {
	if i := slices.IndexFunc(st.endpoints, func(e *endpoint) bool { return e.ID == id }); i >= 0 {
		return st.endpoints[i]
	}
	return nil
}

func (st *State) mustEndpoint(id string) *endpoint {
	e := st.endpoint(id)
	if e == nil {
		panic(fmt.Sprintf("runpodtest: no endpoint %q", id))
	}
	return e
}

// nameTaken reports whether another template of the account has the name.
func (st *State) nameTaken(name, exceptID string) bool {
	return slices.ContainsFunc(st.templates, func(t *template) bool {
		return !t.Foreign && t.Name == name && t.ID != exceptID
	})
}

// users are the endpoints linked to a template.
func (st *State) users(templateID string) []*endpoint {
	var out []*endpoint
	for _, e := range st.endpoints {
		if e.TemplateID == templateID {
			out = append(out, e)
		}
	}
	return out
}

// freed notes when a template fell out of use.
func (st *State) freed(templateID string) {
	if t := st.template(templateID); t != nil && len(st.users(templateID)) == 0 {
		t.freedAt = st.now
	}
}

// newID makes an ID of n lower-case letters and digits. The sequence is the
// same for every server, so that examples can show it.
func (st *State) newID(n int) string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[st.ids.IntN(len(alphabet))]
	}
	return string(b)
}

// clone copies what reads show. The copy has no hooks and makes no IDs.
func (st *State) clone() *State {
	c := &State{Behaviour: st.Behaviour, Quota: st.Quota, now: st.now, images: maps.Clone(st.images)}
	for _, t := range st.templates {
		tc := *t
		tc.Template = t.clone()
		c.templates = append(c.templates, &tc)
	}
	for _, e := range st.endpoints {
		c.endpoints = append(c.endpoints, e.copy())
	}
	return c
}
