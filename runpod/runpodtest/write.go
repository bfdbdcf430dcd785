package runpodtest

import (
	"fmt"
	"slices"
	"time"
)

// The writes that a program can ask for, with the rules that the service holds
// them to. Each changes nothing if it returns an error.

// freshlyFreed is how long a template stays undeletable after its last use.
const freshlyFreed = 2 * time.Minute

func (st *State) linkTemplate(endpointID, templateID string) (*endpoint, error) {
	e := st.endpoint(endpointID)
	if e == nil {
		return nil, errNull
	}
	if err := st.checkTemplate(templateID); err != nil {
		return nil, err
	}
	next := e.Endpoint
	next.TemplateID = templateID
	st.applyEndpoint(e, next)
	return e, nil
}

// checkTemplate refuses what no endpoint can be linked to.
func (st *State) checkTemplate(id string) error {
	t := st.template(id)
	if t == nil || t.Foreign {
		return refusal("Template not found")
	}
	if t.Pod {
		return refusal("Template " + t.Name + " is not a serverless template")
	}
	return nil
}

func (st *State) setBounds(endpointID string, set func(*Endpoint)) (*endpoint, error) {
	e := st.endpoint(endpointID)
	if e == nil {
		return nil, errNull
	}
	next := e.Endpoint
	set(&next)
	st.clamp(e, &next)
	if err := st.checkBounds(e, next); err != nil {
		return nil, err
	}
	st.applyEndpoint(e, next)
	return e, nil
}

// checkBounds holds the worker bounds to their own rules and to the account's
// quota. That is checked when a maximum is raised only. old is nil for a new
// endpoint.
func (st *State) checkBounds(old *endpoint, next Endpoint) error {
	if next.WorkersMin < 0 || next.WorkersMax < 0 {
		return refusal("Worker count must not be negative")
	}
	if next.WorkersMin > next.WorkersMax && !st.Behaviour.AllowMinAboveMax {
		return refusal("Min workers must not exceed max workers")
	}
	if old != nil && next.WorkersMax <= old.WorkersMax {
		return nil
	}
	others := st.besides(old)
	if others+next.WorkersMax <= st.Quota {
		return nil
	}
	return refusal(fmt.Sprintf("Max workers across all endpoints must not exceed your workers quota (%d). "+
		"Reduce the max workers for other endpoints or lower the max worker count for this endpoint to at most %d.",
		st.Quota, max(0, st.Quota-others)))
}

// besides is the sum of the maxima of all other endpoints.
func (st *State) besides(own *endpoint) int {
	others := 0
	for _, e := range st.endpoints {
		if e != own {
			others += e.WorkersMax
		}
	}
	return others
}

// clamp lowers a raised maximum to what the quota leaves, if that is switched on.
func (st *State) clamp(old *endpoint, next *Endpoint) {
	if st.Behaviour.ClampToQuota && next.WorkersMax > old.WorkersMax {
		next.WorkersMax = max(old.WorkersMax, min(next.WorkersMax, st.Quota-st.besides(old)))
	}
}

func (st *State) deleteEndpoint(id string) error {
	e := st.endpoint(id)
	if e == nil {
		return errNull
	}
	if e.WorkersMin > 0 || e.WorkersMax > 0 {
		return refusal("Min and max workers must be 0 to delete an endpoint")
	}
	st.RemoveEndpoint(id)
	return nil
}

func (st *State) deleteTemplate(name string) error {
	i := slices.IndexFunc(st.templates, func(t *template) bool { return !t.Foreign && t.Name == name })
	if i < 0 {
		return refusal("Template not found")
	}
	t := st.templates[i]
	if len(st.users(t.ID)) > 0 || !t.freedAt.IsZero() && st.now.Before(t.freedAt.Add(freshlyFreed)) {
		return refusal("Template " + name + " is in use by a pod or serverless endpoint")
	}
	st.templates = slices.Delete(st.templates, i, i+1)
	return nil
}

// saveTemplate is no patch: it writes the whole template.
func (st *State) saveTemplate(in *templateInput) (*template, error) {
	var old Template
	t := (*template)(nil)
	if in.ID != nil {
		if t = st.template(*in.ID); t == nil || t.Foreign {
			return nil, errNull
		}
		if st.Behaviour.SaveTemplateKeepsOmitted {
			old = t.Template
		}
	}
	next := Template{
		Name: in.Name, DockerArgs: in.DockerArgs, ContainerDiskInGb: int(in.ContainerDiskInGb), VolumeInGb: int(in.VolumeInGb),
		Env:   envFrom(in.Env),
		Image: or(in.ImageName, old.Image), VolumeMountPath: or(in.VolumeMountPath, old.VolumeMountPath), Ports: or(in.Ports, old.Ports),
		RegistryAuthID: or(in.ContainerRegistryAuthID, old.RegistryAuthID), StartScript: or(in.StartScript, old.StartScript),
		Readme: or(in.Readme, old.Readme), Category: or(in.Category, old.Category),
		StartJupyter: or(in.StartJupyter, old.StartJupyter), StartSSH: or(in.StartSSH, old.StartSSH),
		Public: or(in.IsPublic, old.Public), AdvancedStart: or(in.AdvancedStart, old.AdvancedStart),
		Pod: !or(in.IsServerless, old.ID != "" && !old.Pod),
	}
	switch {
	case next.Name == "":
		return nil, refusal("Template name is required")
	case next.Image == "":
		return nil, refusal("imageName is required")
	case next.ContainerDiskInGb <= 0:
		return nil, refusal("containerDiskInGb must be positive")
	case !next.Pod && next.VolumeInGb != 0:
		return nil, refusal("Serverless templates can not have a volume")
	case st.nameTaken(next.Name, or(in.ID, "")):
		return nil, refusal("Template name must be unique")
	}
	if t == nil {
		next.ID = st.newID(10)
		t = &template{Template: next}
		st.templates = append(st.templates, t)
	} else {
		st.applyTemplate(t, next)
	}
	t.savedAt = st.now
	return t, nil
}

// saveEndpoint creates without an ID. With one it writes back the schema's
// defaults for what is omitted, and holds what has none.
func (st *State) saveEndpoint(in *endpointInput) (*endpoint, error) {
	var e *endpoint
	next := Endpoint{Type: "QB", ScalerType: "QUEUE_DELAY", FlashBoot: "OFF", Version: 1, CreatedAt: st.now}
	if in.ID != nil {
		if e = st.endpoint(*in.ID); e == nil {
			return nil, refusal("Endpoint not found")
		}
		next = e.clone()
	}
	next.Name = in.Name
	next.GPUCount, next.WorkersMin, next.WorkersMax = int(in.GPUCount), int(in.WorkersMin), int(in.WorkersMax)
	next.IdleTimeout, next.ScalerValue = int(in.IdleTimeout), int(in.ScalerValue)
	next.TemplateID, next.Type, next.GPUIDs = or(in.TemplateID, next.TemplateID), or(in.Type, next.Type), or(in.GPUIDs, next.GPUIDs)
	next.ScalerType, next.Locations = or(in.ScalerType, next.ScalerType), or(in.Locations, next.Locations)
	next.NetworkVolumeID = or(in.NetworkVolumeID, next.NetworkVolumeID)
	next.AllowedCUDAVersions = or(in.AllowedCudaVersions, next.AllowedCUDAVersions)
	next.MinCUDAVersion, next.FlashBoot = or(in.MinCudaVersion, next.MinCUDAVersion), or(in.FlashBootType, next.FlashBoot)
	next.ExecutionTimeoutMs = int(or(in.ExecutionTimeoutMs, int32(next.ExecutionTimeoutMs)))
	next.InstanceIDs = or(in.InstanceIDs, next.InstanceIDs)
	if v := or(in.NetworkVolumeIDs, nil); len(v) > 0 {
		next.NetworkVolumeID = v[0].NetworkVolumeID
	}
	if in.Env != nil || !st.Behaviour.SaveEndpointKeepsEnv {
		next.Env = envFrom(or(in.Env, nil))
	}
	switch {
	case len(next.Name) < 3:
		return nil, refusal("Endpoint name must have at least 3 characters")
	case next.GPUIDs == "" && len(next.InstanceIDs) == 0:
		return nil, refusal("gpuIds or instanceIds is required")
	case next.Type != "QB" && next.Type != "LB":
		return nil, refusal("type must be QB or LB")
	}
	if err := st.checkTemplate(next.TemplateID); err != nil {
		return nil, err
	}
	if err := st.checkBounds(e, next); err != nil {
		return nil, err
	}
	if e == nil {
		next.ID, next.WorkersStandby = st.newID(14), next.WorkersMax
		return st.newEndpoint(next), nil
	}
	st.applyEndpoint(e, next)
	return e, nil
}

// or is what v points to, or def if that is nothing.
func or[T any](v *T, def T) T {
	if v == nil {
		return def
	}
	return *v
}
