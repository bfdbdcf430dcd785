package sagemakertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// Endpoint is what is true of an endpoint, whatever reads show.
type Endpoint struct {
	Config string // that is served; of an update in progress or rolled back, the old one
	Status types.EndpointStatus
	// Pending is the config that a deployment in progress goes to, Stage what
	// it is at, and Back whether it is being rolled back.
	Pending string
	Stage   types.VariantStatus
	Back    bool
	// Mixed is the other config that is served after a rollback that failed.
	Mixed  string
	Reason string
	// Detailed is whether detailed observability is on, which is paid for.
	Detailed bool
	Modified time.Time
	Variants map[string]Variant // of the fleet in service, shadows included
}

// Variant is what is true of a variant.
type Variant struct {
	Model                    string
	Desired, Current         int32 // instances
	Weight, Traffic          float32
	Concurrency              int32 // provisioned, of a serverless variant
	InstanceType             string
	PendingDesired, Launched int32 // instances of the fleet that a deployment makes
}

// Endpoint returns an endpoint as it is now. It is the zero Endpoint if there
// is none.
func (s *Server) Endpoint(name string) Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	e := s.account.endpoint(name)
	if e == nil {
		return Endpoint{}
	}
	out := Endpoint{Config: e.config.name, Status: e.status, Mixed: e.mixed, Reason: e.reason, Detailed: e.config.detailed, Modified: e.modified, Variants: map[string]Variant{}}
	for _, v := range e.all() {
		t := Variant{
			Model: str(v.spec.ModelName), Desired: v.desired, Current: v.current, Weight: v.weight, Traffic: v.traffic,
			InstanceType: string(v.spec.InstanceType),
		}
		if v.serverless != nil {
			t.Concurrency = num(v.serverless.ProvisionedConcurrency)
		}
		out.Variants[v.name] = t
	}
	if j := e.job; j != nil {
		out.Stage, out.Back = j.stages[0].status, j.back
		if j.kind == deployment {
			out.Pending = j.config.name
			for _, v := range j.all() {
				t := out.Variants[v.name]
				t.PendingDesired, t.Launched = v.desired, v.current
				out.Variants[v.name] = t
			}
		}
	}
	return out
}

// Component is what is true of an inference component, whatever reads show.
type Component struct {
	Model  string // that is served; of an update in progress or rolled back, the old one
	Status types.InferenceComponentStatus
	// Pending is the model that an update in progress goes to, Back whether it
	// is being rolled back.
	Pending          string
	Back             bool
	Reason           string
	Desired, Current int32 // copies
	Fresh            int32 // those of them on Pending
	Specification    types.InferenceComponentSpecification
}

// Component returns an inference component as it is now. It is the zero
// Component if there is none.
func (s *Server) Component(name string) Component {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	c := s.account.comps[name]
	if c == nil {
		return Component{}
	}
	out := Component{
		Model: str(c.specs[0].ModelName), Status: c.status, Reason: c.reason, Desired: c.desired, Current: c.up(),
		Specification: *clone(&c.specs[0]),
	}
	if j := c.job; j != nil && j.kind == copiesReplaced {
		out.Pending, out.Back, out.Fresh = str(j.to[0].ModelName), j.back, j.fresh
	}
	return out
}

// Guarded returns everything that a rollout has to leave as it was, to be
// compared before and after: scalable targets with their bounds, tags and
// suspensions, policies, scheduled actions, users' alarms with their actions
// by the policies that they reach, and the capacities that the autoscaler does
// not move. ARNs, times, the states of alarms and the names of alarms that the
// service makes for itself are not in it.
func (s *Server) Guarded() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	a := s.account
	all, reach := map[string]string{}, map[string]string{}
	scaled := map[targetID]bool{}
	for _, t := range a.allTargets() {
		at := "target/" + t.resource + "/" + string(t.dimension) + "/"
		all[at+"bounds"] = fmt.Sprintf("%d..%d", t.min, t.max)
		all[at+"suspended"] = fmt.Sprintf("in=%t out=%t scheduled=%t", t.suspended.in, t.suspended.out, t.suspended.scheduled)
		for k, v := range t.tags {
			all[at+"tag/"+k] = v
		}
		for _, p := range t.policies {
			all[at+"policy/"+p.name] = fmt.Sprintf("%s %s %s alarms=%d", p.kind, flat(p.step), flat(p.tracking), len(p.alarms))
			reach[p.arn] = t.resource + "/" + string(t.dimension) + "/" + p.name
		}
		for _, c := range t.schedules {
			all[at+"schedule/"+c.name] = fmt.Sprintf("%s zone=%s %v..%v %s", c.expression, str(c.zone), c.start, c.end, flat(c.action))
		}
		in, out := t.moves()
		scaled[t.targetID] = a.behaviour.Autoscale > 0 && (in || out)
	}
	for name, al := range a.alarms {
		if al.side == "" {
			all["alarm/"+name] = flat(al.named(reach))
		}
	}
	for _, c := range a.comps {
		if at := "inference-component/" + c.name; !scaled[targetID{at, copyCount}] {
			all[at+"/copies"] = fmt.Sprint(c.desired)
		}
	}
	for _, e := range a.endpoints {
		for _, v := range e.all() {
			at := "endpoint/" + e.name + "/variant/" + v.name
			all[at+"/weight"] = fmt.Sprint(v.weight)
			if v.serverless == nil && !scaled[targetID{at, instanceCount}] {
				all[at+"/instances"] = fmt.Sprint(v.desired)
			}
			if v.serverless != nil && !scaled[targetID{at, concurrency}] {
				all[at+"/concurrency"] = flat(v.serverless)
			}
		}
	}
	return all
}

// named is the alarm with its actions named after the policies they reach,
// since ARNs do not survive a restore.
func (al *alarm) named(reach map[string]string) any {
	in := clone(al.in)
	in.Tags = al.tags
	for _, actions := range []*[]string{&in.AlarmActions, &in.OKActions, &in.InsufficientDataActions} {
		for i, a := range *actions {
			(*actions)[i] = orDefault(reach[a], a)
		}
		slices.Sort(*actions)
	}
	return in
}

// flat is a struct of the SDK as one line, without what is not set: an empty
// list is none, since AWS shows one where there is nothing.
func flat(v any) string {
	t := toTree(reflect.ValueOf(v))
	if t == nil {
		return "-"
	}
	if m, ok := t.(map[string]any); ok {
		maps.DeleteFunc(m, func(_ string, v any) bool {
			list, ok := v.([]any)
			return ok && len(list) == 0
		})
	}
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // a tree has nothing that JSON has not
	}
	return strings.ReplaceAll(string(text), `"`, "")
}
