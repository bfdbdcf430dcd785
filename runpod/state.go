package runpod

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// bound is one of an endpoint's two worker bounds.
type bound int

const (
	minWorkers bound = iota
	maxWorkers
)

func (b bound) String() string { return [...]string{endpoint.WorkersMin, endpoint.WorkersMax}[b] }

type bounds struct{ min, max int }

// state is an endpoint at one moment.
type state struct {
	id, name   string
	kind       string // "QB" for a queue, "LB" for a load balancer, "" if not told
	templateID string
	template   *content  // nil if the answer did not hold it
	own        *settings // what the endpoint runs where that is its own; nil over GraphQL
	// digested: own is known by its digest too, since a copy may replace it.
	digested bool
	workers  bounds
	version  int    // 0 if not told
	pods     []*pod // as GraphQL shows them
	// list is REST's list of workers, nil where it was not read.
	list *workerList
	// target is the release that made the endpoint run what it is to run now,
	// 0 if none is known to.
	target int
	// late: the history of releases does not reach up to what the list is of. A
	// release is missing in it, and may be anybody's.
	late bool
	// fields are the settings that a rollout does not write, for
	// [endpoint.Status.Fields]; nil over GraphQL.
	fields map[string]string
	// hardware is what workers run on and where, for people; "" if not told.
	hardware string
	// affinity and models report that the endpoint has what a rollout should know.
	affinity, models bool
}

// revision is what the endpoint is asked to serve.
func (s *state) revision() endpoint.Revision {
	switch {
	case s.own != nil && s.digested:
		return s.own.revision()
	case s.own != nil:
		return endpoint.Revision{Kind: KindImage, Artifact: s.own.ImageName}
	case s.template != nil:
		return s.template.revision()
	case s.templateID != "":
		return endpoint.Revision{Kind: KindTemplate, ID: s.templateID}
	}
	return endpoint.Revision{}
}

// image is what workers should run, "" if that is not told.
func (s *state) image() string {
	switch {
	case s.own != nil:
		return s.own.ImageName
	case s.template != nil:
		return s.template.ImageName
	}
	return ""
}

// pod is a worker.
type pod struct {
	id, image string
	status    string    // the one that RunPod wants it to have or, if listed, what it does
	changed   string    // when or why that last changed; opaque
	started   time.Time // when its container last started; zero if not told
	version   int       // the endpoint's version that it belongs to, 0 if not told
	stale     *bool     // RunPod's own word for it; nil if not told
	where     string    // GPU and data center, for people
	since     time.Time // since when this process has seen it in its status

	loopsSince time.Time // since when this process has seen it start again and again; zero if it does not
}

type account struct {
	endpoints []accountEndpoint
	templates []string // ids
}

type accountEndpoint struct {
	id, name, templateID string
	max                  int
	noMax                bool // max could not be read
}

// users names the endpoints that use a template, but for one.
func (a *account) users(template, except string) []string {
	var names []string
	for _, e := range a.endpoints {
		if e.templateID == template && e.id != except {
			names = append(names, fmt.Sprintf("%s (%s)", e.id, httpx.Clip(e.name)))
		}
	}
	return names
}

// hardware names what workers run on, and where, for people: "ADA_24 in US-KS-2".
func hardware(pools, places []string) string {
	what, where := strings.Join(pools, ", "), strings.Join(places, ", ")
	return cmp.Or(what, "any hardware") + " in " + cmp.Or(where, "any data center")
}
