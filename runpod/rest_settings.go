package runpod

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
)

// KindImage is the kind of revisions over REST: an endpoint's own settings,
// known by the image and, where a template may be copied into them
// ([AllowTemplateCopy]), a digest of what a copy writes.
const KindImage = "image"

// settings are the container settings of an endpoint where they are its own.
type settings struct {
	content
	cmd []string
}

func (s *settings) digest() string {
	doc := s.content.digest()
	if len(s.cmd) > 0 {
		b, _ := json.Marshal(s.cmd) // texts always marshal
		doc += " " + string(b)
	}
	return short([]byte(doc))
}

func (s *settings) revision() endpoint.Revision { return s.revisionWith(s.ImageName) }

func (s *settings) revisionWith(image string) endpoint.Revision {
	return endpoint.Revision{Kind: KindImage, Artifact: image, Digest: s.with(image).digest()}
}

// with are the settings with another image.
func (s *settings) with(image string) *settings {
	other := *s
	other.ImageName = image
	return &other
}

// copied are the settings after the template was copied into them once, by a
// patch with these variables beside it.
func (s *settings) copied(t *source, env map[string]string) *settings {
	c := *s
	c.ImageName, c.DockerArgs, c.ContainerDiskInGb = t.ImageName, t.DockerArgs, t.ContainerDiskInGb
	c.Ports, c.ContainerRegistryAuthID, c.cmd = t.Ports, t.ContainerRegistryAuthID, t.cmd
	all := envMap(t.env())
	maps.Copy(all, env)
	c.Env = envList(all)
	return &c
}

// platform is RunPod's own part of the environment that the template would not
// bring along. It is set once, and a copy replaces the whole environment.
func (s *settings) platform(t *source) map[string]string {
	keep := map[string]string{}
	for _, key := range platformEnv {
		if values := s.values(key); len(values) > 0 && len(t.values(key)) == 0 {
			keep[key] = values[0]
		}
	}
	return keep
}

// differing names the settings that are not the same, image and values of the
// environment included. It names no value.
func (s *settings) differing(o *settings) []string {
	var names []string
	add := func(name string, same bool) {
		if !same {
			names = append(names, name)
		}
	}
	add("image", s.ImageName == o.ImageName)
	add("args", s.DockerArgs == o.DockerArgs)
	add("cmd", slices.Equal(s.cmd, o.cmd))
	add("env", slices.Equal(s.ownEnv(), o.ownEnv()))
	add("ports", text(s.Ports) == text(o.Ports))
	add("disk", s.ContainerDiskInGb == o.ContainerDiskInGb)
	add("registry", text(s.ContainerRegistryAuthID) == text(o.ContainerRegistryAuthID))
	return names
}

// patchTo is what has to be sent to get from s to o, hardware aside.
func (s *settings) patchTo(o *settings) patch {
	var p patch
	for _, name := range s.differing(o) {
		switch name {
		case "image":
			p.Image = &o.ImageName
		case "args":
			p.Args = &o.DockerArgs
		case "cmd":
			cmd := append([]string{}, o.cmd...) // never null
			p.Cmd = &cmd
		case "env":
			env := envMap(o.env())
			for _, key := range platformEnv { // as they are now: they are not the revision's
				delete(env, key)
				if v := s.values(key); len(v) > 0 {
					env[key] = v[0]
				}
			}
			p.Env = &env
		case "ports":
			ports := splitList(text(o.Ports))
			p.Ports = &ports
		case "disk":
			p.Disk = &o.ContainerDiskInGb
		case "registry":
			p.Registry = &registry{o.ContainerRegistryAuthID}
		}
	}
	return p
}

func envMap(list []envVar) map[string]string {
	m := map[string]string{}
	for _, v := range list {
		m[v.Key] = v.Value
	}
	return m
}

func envList(m map[string]string) []envVar {
	list := []envVar{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, envVar{k, m[k]})
	}
	return list
}

// patch is the body of a PATCH: what is nil is not sent, and left as it is.
type patch struct {
	TemplateID string             `json:"templateId,omitempty"`
	Image      *string            `json:"image,omitempty"`
	Args       *string            `json:"args,omitempty"`
	Cmd        *[]string          `json:"cmd,omitempty"`
	Disk       *int               `json:"disk,omitempty"`
	Ports      *[]string          `json:"ports,omitempty"`
	Env        *map[string]string `json:"env,omitempty"`
	Registry   *registry          `json:"registry,omitempty"`
	Workers    *patchBounds       `json:"workers,omitempty"`
}

// patchBounds holds one bound, or both: RunPod's specification says of each
// field of the nested object that it is optional, and of a PATCH that it leaves
// alone what it does not name. To send along the other bound, from a read that
// may be old, could undo what this or another program just wrote.
type patchBounds struct {
	Min *int `json:"min,omitempty"`
	Max *int `json:"max,omitempty"`
}

// registry is the id of credentials, or null for none.
type registry struct{ id *string }

func (r registry) MarshalJSON() ([]byte, error) {
	if text(r.id) == "" {
		return []byte("null"), nil
	}
	return json.Marshal(r.id)
}

// keep keeps the values in p that RunPod's words about it might repeat.
func (p patch) keep(s secrets) {
	if p.Args != nil {
		s.AddCommand(*p.Args)
	}
	if p.Cmd != nil {
		s.AddCommand(*p.Cmd...)
	}
	if p.Env != nil {
		for _, v := range *p.Env {
			s.Add(v)
		}
	}
}
