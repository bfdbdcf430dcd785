package runpod

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// restContainer are the container settings that endpoints and templates share.
type restContainer struct {
	Image    *string           `json:"image"`
	Args     *string           `json:"args"`
	Cmd      []string          `json:"cmd"`
	Disk     int               `json:"disk"`
	Ports    []string          `json:"ports"`
	Env      map[string]string `json:"env"`
	Registry *string           `json:"registry"`
}

func (c *restContainer) content(id, name string) content {
	ports := strings.Join(c.Ports, ",")
	return content{
		ID: id, Name: name, ImageName: text(c.Image), DockerArgs: text(c.Args), Env: envList(c.Env), Ports: &ports,
		ContainerDiskInGb: c.Disk, ContainerRegistryAuthID: c.Registry,
	}
}

func splitList(s string) []string {
	if s == "" {
		return []string{}
	}
	return strings.Split(s, ",")
}

// restEndpoint is an endpoint: what decides, and every other field as it came.
type restEndpoint struct {
	restContainer
	ID      string `json:"id"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Workers *struct {
		Min *int `json:"min"`
		Max *int `json:"max"`
	} `json:"workers"`

	raw map[string]json.RawMessage
}

// UnmarshalJSON keeps the whole document too.
func (e *restEndpoint) UnmarshalJSON(b []byte) error {
	type fields restEndpoint
	if err := json.Unmarshal(b, (*fields)(e)); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) { // Go's name for a part of the document that has none
			kind.Field = strings.TrimPrefix(kind.Field, "restContainer.")
		}
		return err
	}
	return json.Unmarshal(b, &e.raw)
}

// state refuses to guess what the answer leaves out: a missing bound that is
// taken for 0 would be "paused", and might be restored as such.
func (e *restEndpoint) state() (*state, error) {
	switch {
	case e.Workers == nil || e.Workers.Min == nil || e.Workers.Max == nil:
		return nil, unclear("answer without worker bounds")
	case text(e.Image) == "":
		return nil, unclear("answer without an image")
	}
	return &state{
		id: e.ID, name: e.Name, kind: e.Type, workers: bounds{*e.Workers.Min, *e.Workers.Max},
		own: &settings{content: e.content("", ""), cmd: e.Cmd}, fields: e.fields(), hardware: e.hardware(),
		affinity: e.present("workerAffinity", "affinity"), models: e.present("modelReferences", "models"),
	}, nil
}

// hardware names what workers run on, and where.
func (e *restEndpoint) hardware() string {
	var gpu struct {
		Pools []string `json:"pools"`
	}
	var places []string
	_ = json.Unmarshal(e.raw["gpu"], &gpu)
	_ = json.Unmarshal(e.raw["dataCenterIds"], &places)
	return hardware(gpu.Pools, places)
}

// present reports whether one of the fields has a value.
func (e *restEndpoint) present(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		v := string(canonical(e.raw[name]))
		return v != "" && v != "null" && v != "[]" && v != "{}" && v != `""` && v != "false"
	})
}

// shownFields are those whose values are no secret and short enough to show.
// Every other field is known by a fingerprint.
var shownFields = []string{
	"ports", "disk", "registry", "gpu", "cpu", "dataCenterIds", "networkVolumes", "timeout", "flashboot", "scaling", "workers.idleTimeout", "name",
}

// fields are the endpoint's settings besides its image and its bounds, for
// [endpoint.Status.Fields].
func (e *restEndpoint) fields() map[string]string {
	const limit = 500 // variables and all
	all := map[string]string{}
	put := func(name string, raw []byte) {
		if len(all) >= limit {
			return
		}
		v := canonical(raw)
		if len(v) <= 200 && slices.Contains(shownFields, name) {
			all[name] = string(v)
			return
		}
		all[name] = fingerprint(v)
	}
	for name, raw := range e.raw {
		switch name {
		case "id", "type", "image", "requestUrls", "createdAt", "env":
		case "workers":
			var inner map[string]json.RawMessage
			_ = json.Unmarshal(raw, &inner)
			for k, v := range inner {
				if k != "min" && k != "max" {
					put("workers."+k, v)
				}
			}
		default:
			put(name, raw)
		}
	}
	for k, v := range e.Env {
		put("env "+k, []byte(v))
	}
	return all
}

// canonical is a document that is the same for the same value, whatever the order
// of its keys and of the texts in a list.
func canonical(raw []byte) []byte {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return raw
	}
	b, _ := json.Marshal(inOrder(v)) // what was decoded from JSON always marshals
	return b
}

func inOrder(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = inOrder(v[k])
		}
	case []any:
		texts := make([]string, 0, len(v))
		for i := range v {
			v[i] = inOrder(v[i])
			if s, ok := v[i].(string); ok {
				texts = append(texts, s)
			}
		}
		if len(texts) == len(v) {
			slices.Sort(texts)
			return texts
		}
	}
	return v
}

// fingerprint tells two values apart and reveals neither: 24 bits identify no
// secret.
func fingerprint(v []byte) string {
	sum := sha256.Sum256(v)
	return "#" + hex.EncodeToString(sum[:3])
}
