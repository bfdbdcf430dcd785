package runpodtest

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// release is one entry of an endpoint's history: what was changed, and when.
type release struct {
	version int
	at      time.Time
	build   string // the GitHub build that made it, "" if a person or a program did
	diff    []change
}

// change is one field of a release, by the name that RunPod's history has for
// it, with both values in clear.
type change struct {
	Field string `json:"field"`
	Old   any    `json:"old"`
	New   any    `json:"new"`
}

// diffs collects the fields that differ.
type diffs []change

func note[T comparable](d *diffs, field string, old, next T) {
	if old != next {
		*d = append(*d, change{field, old, next})
	}
}

// templateDiff is what of a change of a template makes a release. What only
// names or describes it does not.
func templateDiff(old, next Template) []change {
	var d diffs
	note(&d, "template.imageName", old.Image, next.Image)
	note(&d, "template.dockerArgs", old.DockerArgs, next.DockerArgs)
	if !maps.Equal(old.Env, next.Env) {
		d = append(d, change{"template.env", mapOf(old.Env), mapOf(next.Env)})
	}
	if !slices.Equal(old.Cmd, next.Cmd) {
		d = append(d, change{"template.cmd", listOf(old.Cmd), listOf(next.Cmd)})
	}
	note(&d, "template.ports", old.Ports, next.Ports)
	note(&d, "template.containerDiskInGb", old.ContainerDiskInGb, next.ContainerDiskInGb)
	note(&d, "template.containerRegistryAuthId", old.RegistryAuthID, next.RegistryAuthID)
	note(&d, "template.startScript", old.StartScript, next.StartScript)
	note(&d, "template.startJupyter", old.StartJupyter, next.StartJupyter)
	note(&d, "template.startSsh", old.StartSSH, next.StartSSH)
	return d
}

// endpointDiff is what of a change of an endpoint makes a release.
func (st *State) endpointDiff(old, next Endpoint) []change {
	var d diffs
	if next.TemplateID != old.TemplateID {
		was, is := st.template(old.TemplateID), st.template(next.TemplateID)
		sameImage := was != nil && is.Image == was.Image
		switch {
		case sameImage && st.Behaviour.SameImageNoRelease:
		case was != nil:
			if d = templateDiff(was.Template, is.Template); len(d) == 0 {
				d = diffs{{"templateId", old.TemplateID, next.TemplateID}}
			}
		default:
			d = diffs{{"templateId", old.TemplateID, next.TemplateID}}
		}
	}
	note(&d, "gpuIds", old.GPUIDs, next.GPUIDs)
	note(&d, "gpuCount", old.GPUCount, next.GPUCount)
	note(&d, "locations", old.Locations, next.Locations)
	note(&d, "networkVolumeId", old.NetworkVolumeID, next.NetworkVolumeID)
	note(&d, "flashBootType", old.FlashBoot, next.FlashBoot)
	if st.Behaviour.ScalingReleases {
		note(&d, "workers.min", old.WorkersMin, next.WorkersMin)
		note(&d, "workers.max", old.WorkersMax, next.WorkersMax)
	}
	return d
}

// mapOf is the map as an answer shows it: never null.
func mapOf(env map[string]string) map[string]string {
	if env == nil {
		return map[string]string{}
	}
	return maps.Clone(env)
}

// releasesOf is the answer of GET /v2/serverless/{id}/releases.
func releasesOf(e *endpoint, hide bool) map[string]any {
	list := []any{}
	for _, r := range slices.Backward(e.releases) {
		workers := 0
		for _, w := range e.listed() {
			if w.Version == r.version {
				workers++
			}
		}
		diff := make([]change, len(r.diff))
		for j, c := range r.diff {
			if hide {
				c.Old, c.New = nil, nil
			}
			diff[j] = c
		}
		source, build := "MANUAL", any(nil)
		if r.build != "" {
			source, build = "GIT_BUILD", r.build
		}
		list = append(list, map[string]any{
			"id": "rel" + strconv.Itoa(r.version), "version": r.version, "source": source, "buildId": build, "createdByUserId": nil,
			"workerCount": workers, "createdAt": stamp(r.at), "diff": diff,
		})
	}
	total, latest := len(e.listed()), 0
	for _, w := range e.listed() {
		if !e.stale(w) {
			latest++
		}
	}
	percent := 0
	if total > 0 {
		percent = 100 * latest / total
	}
	return map[string]any{
		"endpointVersion": e.Version, "releases": list,
		"rollout": map[string]any{"inProgress": latest < total, "workersOnLatest": latest, "workersTotal": total, "percentOnLatest": percent},
	}
}
