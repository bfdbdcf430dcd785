package runpodtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// patch is the body of a PATCH. A nil field was not sent.
type patch struct {
	raw map[string]any

	Name       *string            `json:"name"`
	Image      *string            `json:"image"`
	Args       *string            `json:"args"`
	Cmd        *[]string          `json:"cmd"`
	Disk       *int               `json:"disk"`
	Ports      *[]string          `json:"ports"`
	Env        *map[string]string `json:"env"`
	Registry   json.RawMessage    `json:"registry"`
	TemplateID *string            `json:"templateId"`

	Workers *struct {
		Min         *int `json:"min"`
		Max         *int `json:"max"`
		IdleTimeout *int `json:"idleTimeout"`
	} `json:"workers"`
	Scaling *struct {
		Type         string   `json:"type"`
		QueueDelay   *float64 `json:"queueDelay"`
		RequestCount *int     `json:"requestCount"`
	} `json:"scaling"`
	GPU *struct {
		Pools               *[]string `json:"pools"`
		ExcludedTypes       []string  `json:"excludedTypes"`
		Count               *int      `json:"count"`
		AllowedCUDAVersions *[]string `json:"allowedCudaVersions"`
		MinCUDAVersion      *string   `json:"minCudaVersion"`
	} `json:"gpu"`
	DataCenterIDs  *[]string `json:"dataCenterIds"`
	NetworkVolumes *[]string `json:"networkVolumes"`
	Timeout        *int      `json:"timeout"`
	FlashBoot      *string   `json:"flashboot"`

	Serverless *bool `json:"serverless"`
	Public     *bool `json:"public"`
}

var (
	containerKeys = []string{"image", "args", "cmd", "disk", "ports", "env", "registry"}
	endpointKeys  = append([]string{
		"name", "templateId", "workers", "scaling", "gpu", "cpu", "dataCenterIds", "networkVolumes", "timeout", "flashboot",
	}, containerKeys...)
	templateKeys = append([]string{
		"name", "serverless", "public", "category", "mounts", "startSsh", "startJupyter", "allowedCudaVersions",
	}, containerKeys...)
	nestedKeys = map[string][]string{
		"workers": {"min", "max", "idleTimeout"}, "scaling": {"type", "queueDelay", "requestCount"},
		"gpu": {"pools", "excludedTypes", "count", "allowedCudaVersions", "minCudaVersion"},
	}
)

// fields are the names that were sent, in order.
func (p *patch) fields() []string { return sortedKeys(p.raw) }

func decodePatch(body []byte) (*patch, error)         { return decodeBody(body, endpointKeys) }
func decodeTemplatePatch(body []byte) (*patch, error) { return decodeBody(body, templateKeys) }

// decodeBody refuses every key that the specification does not have.
func decodeBody(body []byte, allowed []string) (*patch, error) {
	p := &patch{}
	if err := json.Unmarshal(body, &p.raw); err != nil || p.raw == nil {
		return nil, invalid{"$: want object"}
	}
	var wrong invalid
	for _, key := range sortedKeys(p.raw) {
		if !slices.Contains(allowed, key) {
			wrong = append(wrong, fmt.Sprintf("$: additional properties '%s' not allowed", key))
		}
		nested, _ := p.raw[key].(map[string]any)
		for _, k := range sortedKeys(nested) {
			if keys, ok := nestedKeys[key]; ok && !slices.Contains(keys, k) {
				wrong = append(wrong, fmt.Sprintf("$.%s: additional properties '%s' not allowed", key, k))
			}
		}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	if err := json.Unmarshal(body, p); err != nil {
		return nil, invalid{"$: " + err.Error()}
	}
	return p, p.check()
}

// check holds values to the specification's ranges.
func (p *patch) check() error {
	var wrong invalid
	least := func(path string, v *int, n int) {
		if v != nil && *v < n {
			wrong = append(wrong, fmt.Sprintf("%s: minimum: got %d, want %d", path, *v, n))
		}
	}
	least("$.disk", p.Disk, 1)
	if w := p.Workers; w != nil {
		least("$.workers.min", w.Min, 0)
		least("$.workers.max", w.Max, 0)
		least("$.workers.idleTimeout", w.IdleTimeout, 1)
	}
	if p.Image != nil && strings.TrimSpace(*p.Image) == "" {
		wrong = append(wrong, "$.image: minLength: got 0, want 1")
	}
	if p.FlashBoot != nil && !slices.Contains([]string{"OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"}, *p.FlashBoot) {
		wrong = append(wrong, "$.flashboot: value must be one of 'OFF', 'FLASHBOOT', 'PRIORITY_FLASHBOOT'")
	}
	if g := p.GPU; g != nil && len(g.ExcludedTypes) > 0 && g.Pools == nil {
		wrong = append(wrong, "$.gpu: properties 'pools' required, if 'excludedTypes' exists")
	}
	if wrong == nil {
		return nil
	}
	return wrong
}

// container puts the container settings of the patch over t.
func (p *patch) container(t Template) Template {
	t.Image, t.DockerArgs, t.ContainerDiskInGb = or(p.Image, t.Image), or(p.Args, t.DockerArgs), or(p.Disk, t.ContainerDiskInGb)
	if p.Cmd != nil {
		t.Cmd = *p.Cmd
	}
	if p.Ports != nil {
		t.Ports = strings.Join(*p.Ports, ",")
	}
	if p.Env != nil {
		t.Env = mapOf(*p.Env) // all of it
	}
	if p.Registry != nil {
		var id *string
		_ = json.Unmarshal(p.Registry, &id) // its shape was checked with the whole body's
		t.RegistryAuthID = or(id, "")
	}
	return t
}

// patchEndpoint changes what was sent, and nothing else.
func (st *State) patchEndpoint(id string, p *patch) (*endpoint, error) {
	e := st.endpoint(id)
	if e == nil {
		return nil, errMissing
	}
	next, err := st.patched(e, p)
	if err != nil {
		return nil, err
	}
	st.clamp(e, &next)
	if err := st.checkBounds(e, next); err != nil {
		return nil, err
	}
	content, err := st.patchedContent(e, p)
	if err != nil {
		return nil, err
	}
	if p.touchesContainer() {
		t := st.ownTemplate(e)
		next.TemplateID, next.Env = e.TemplateID, e.Env
		if p.Env != nil || p.TemplateID != nil {
			next.Env = nil
		}
		e.Env = next.Env
		st.applyTemplate(t, content)
	}
	st.applyEndpoint(e, next)
	return e, nil
}

func (p *patch) touchesContainer() bool {
	return p.TemplateID != nil || slices.ContainsFunc(containerKeys, func(k string) bool { _, sent := p.raw[k]; return sent })
}

// patchedContent is what the container settings become. A template is copied
// once; what the body says wins, variable by variable in the environment.
func (st *State) patchedContent(e *endpoint, p *patch) (Template, error) {
	content := st.contentOf(e)
	if p.TemplateID == nil {
		return p.container(content), nil
	}
	t := st.template(*p.TemplateID)
	switch {
	case t == nil || t.Foreign && !t.Public || t.boundTo != "":
		return Template{}, errMissing
	case t.Pod:
		return Template{}, invalid{"$.templateId: template " + t.ID + " is a pod template"}
	}
	content.Image, content.DockerArgs, content.ContainerDiskInGb = t.Image, t.DockerArgs, t.ContainerDiskInGb
	content.Ports, content.RegistryAuthID, content.Cmd = t.Ports, t.RegistryAuthID, t.Cmd
	env := mapOf(t.Env)
	if p.Env != nil {
		maps.Copy(env, *p.Env)
	}
	content = p.container(content)
	content.Env = env
	return content, nil
}

// ownTemplate is where the endpoint's container settings are written to.
func (st *State) ownTemplate(e *endpoint) *template {
	t := st.template(e.TemplateID)
	if t.boundTo == e.ID || st.Behaviour.PatchWritesTemplate {
		return t
	}
	own := &template{Template: t.clone(), boundTo: e.ID}
	own.ID, own.Name = st.newID(10), e.Name+"-template"
	for n := 2; st.nameTaken(own.Name, own.ID); n++ {
		own.Name = fmt.Sprintf("%s-template-%d", e.Name, n)
	}
	st.templates = append(st.templates, own)
	old := e.TemplateID
	e.TemplateID = own.ID
	for _, w := range e.workers {
		if w.TemplateID == old {
			w.TemplateID = own.ID
		}
	}
	st.freed(old)
	return own
}

// patched is the endpoint's own configuration after the patch.
func (st *State) patched(e *endpoint, p *patch) (Endpoint, error) {
	next := e.clone()
	next.Name, next.ExecutionTimeoutMs, next.FlashBoot = or(p.Name, next.Name), or(p.Timeout, next.ExecutionTimeoutMs), or(p.FlashBoot, next.FlashBoot)
	if _, cpu := p.raw["cpu"]; cpu {
		return next, refusal("cpu cannot be set on a GPU endpoint: the compute family is immutable")
	}
	if s := p.Scaling; s != nil {
		next.ScalerType, next.ScalerValue, next.QueueDelay = s.Type, or(s.RequestCount, next.ScalerValue), or(s.QueueDelay, next.QueueDelay)
	}
	if w := p.Workers; w != nil {
		next.WorkersMin, next.WorkersMax = or(w.Min, next.WorkersMin), or(w.Max, next.WorkersMax)
		if w.IdleTimeout != nil && next.Type == "QB" && next.ScalerType == "REQUEST_COUNT" {
			return next, invalid{"$.workers.idleTimeout: not applicable to a queue that scales on requestCount"}
		}
		next.IdleTimeout = or(w.IdleTimeout, next.IdleTimeout)
	}
	if g := p.GPU; g != nil {
		if g.Pools != nil {
			ids := slices.Clone(*g.Pools)
			for _, x := range g.ExcludedTypes {
				ids = append(ids, "-"+strings.TrimSpace(x))
			}
			next.GPUIDs = strings.Join(ids, ",")
		}
		next.GPUCount, next.MinCUDAVersion = or(g.Count, next.GPUCount), or(g.MinCUDAVersion, next.MinCUDAVersion)
		if g.AllowedCUDAVersions != nil {
			next.AllowedCUDAVersions = strings.Join(*g.AllowedCUDAVersions, ",")
		}
		if next.AllowedCUDAVersions != "" && next.MinCUDAVersion != "" {
			return next, refusal("allowedCudaVersions and minCudaVersion are mutually exclusive")
		}
	}
	if p.DataCenterIDs != nil {
		next.Locations = strings.Join(*p.DataCenterIDs, ",")
	}
	if p.NetworkVolumes != nil {
		next.NetworkVolumeID = strings.Join(*p.NetworkVolumes, ",")
	}
	return next, nil
}

// patchTemplate changes a template. Endpoints that were made from it by REST
// are not changed; those that GraphQL linked to it are.
func (st *State) patchTemplate(id string, p *patch) (*template, error) {
	t := st.template(id)
	if t == nil || t.Foreign || t.boundTo != "" {
		return nil, errMissing
	}
	next := p.container(t.clone())
	next.Name, next.Public = or(p.Name, next.Name), or(p.Public, next.Public)
	next.Pod = !or(p.Serverless, !next.Pod)
	if st.nameTaken(next.Name, t.ID) {
		return nil, refusal("Template name must be unique")
	}
	st.applyTemplate(t, next)
	return t, nil
}
