package runpod_test

import (
	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// actual is what the account's endpoint really is: for the suite, which holds
// Status against it.
func (w *world) actual() endpointtest.Actual {
	revision := func(template, image string) endpoint.Revision {
		if w.linked == "" {
			return endpoint.Revision{Kind: "image", Artifact: image}
		}
		return endpoint.Revision{Kind: "template", ID: template, Artifact: image}
	}
	e := w.Endpoint(endpointID)
	a := endpointtest.Actual{Desired: revision(e.TemplateID, w.Template(e.TemplateID).Image), Paused: e.WorkersMax == 0}
	for _, is := range w.Workers(endpointID) {
		u := endpointtest.Unit{Runs: revision(is.TemplateID, is.Image)}
		switch is.State {
		case runpodtest.Standby, runpodtest.Gone:
			continue
		case runpodtest.Idle, runpodtest.Running:
			u.Up, u.Serves = true, true
		case runpodtest.Stopping:
			u.Up = true
		case runpodtest.Unhealthy:
			u.Failed = true
		case runpodtest.Throttled, runpodtest.Initializing, runpodtest.Crashing:
		}
		a.Units = append(a.Units, u)
	}
	return a
}

// edit lets a third party change the endpoint.
func (w *world) edit(f func(e *runpodtest.Endpoint)) func() {
	return func() {
		w.Do(func(st *runpodtest.State) { st.EditEndpoint(endpointID, f) })
	}
}
