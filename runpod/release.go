package runpod

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// releaseList is an endpoint's history, newest first. The values in it may be
// secret: it is looked through and dropped, never kept or printed.
type releaseList struct {
	version  int // of the endpoint, 0 if not told
	releases []release
}

type release struct {
	version int
	diff    []difference
}

// difference is one field that a release changed.
type difference struct {
	Field string          `json:"field"`
	Old   json.RawMessage `json:"old"`
	New   json.RawMessage `json:"new"`
}

type restReleases struct {
	Version  *float64 `json:"endpointVersion"`
	Releases []*struct {
		Version *float64     `json:"version"`
		Diff    []difference `json:"diff"`
	} `json:"releases"`
}

func (r *restReleases) list() *releaseList {
	l := &releaseList{version: version(r.Version)}
	for _, e := range r.Releases {
		if e != nil {
			l.releases = append(l.releases, release{version: version(e.Version), diff: e.Diff})
		}
	}
	return l
}

// setting is the container setting that a field of a release is about, in the
// words of a PATCH; "" if it is about none. RunPod's history names them as its
// templates do. Ten copies of it would add 6 kB to a program.
//
//go:noinline
func (d difference) setting() string {
	switch strings.TrimPrefix(d.Field, "template.") {
	case "imageName", "image":
		return "image"
	case "dockerArgs", "args":
		return "args"
	case "env":
		return "env"
	case "ports":
		return "ports"
	case "containerDiskInGb", "disk":
		return "disk"
	case "containerRegistryAuthId", "registry":
		return "registry"
	}
	return ""
}

// shows reports whether a change of the field shows in an endpoint's settings:
// in the container's, or in what a worker runs on.
func (d difference) shows() bool {
	return d.setting() != "" || slices.Contains([]string{
		"templateId", "gpuIds", "gpuCount", "instanceIds", "locations", "dataCenterIds", "networkVolumeId", "networkVolumeIds",
		"flashBootType", "flashboot", "allowedCudaVersions", "minCudaVersion",
	}, d.Field) || strings.HasPrefix(d.Field, "gpu.") || strings.HasPrefix(d.Field, "cpu")
}

// harmless reports whether no worker runs anything else for the field: it is of
// how many there are and how long they may take, or describes something.
func (d difference) harmless() bool {
	field := strings.TrimPrefix(strings.ToLower(d.Field), "template.")
	return slices.Contains([]string{"name", "readme", "category", "ispublic"}, field) ||
		slices.ContainsFunc([]string{"worker", "scal", "idle", "timeout"}, func(part string) bool { return strings.Contains(field, part) })
}

// unseen is the version of the newest release that changed what the settings do
// not show, and nothing that they do: it came from somebody else than whoever
// changes those, who may well bring more along.
func (l *releaseList) unseen() int {
	for _, r := range l.releases {
		seen := slices.ContainsFunc(r.diff, difference.shows)
		other := slices.ContainsFunc(r.diff, func(d difference) bool { return !d.shows() && !d.harmless() })
		if other && !seen {
			return r.version
		}
	}
	return 0
}

// target is the version of the newest release that changed what workers run,
// if that made it the image that is wanted; else 0. It is not the endpoint's
// version: bounds may make a release too.
func (l *releaseList) target(image string) int {
	for _, r := range l.releases {
		for _, d := range r.diff {
			if d.setting() != "image" {
				continue
			}
			if now, ok := stringOf(d.New); ok && samePodImage(now, image) {
				return l.newest(r.version)
			}
			return 0 // this view and the one that the image is from are not of one moment
		}
	}
	return 0
}

// newest is the version of the newest release from that one on that changed a
// container setting: workers have to have the environment that came later too.
func (l *releaseList) newest(from int) int {
	for _, r := range l.releases {
		if r.version < from {
			break
		}
		if slices.ContainsFunc(r.diff, func(d difference) bool { return d.setting() != "" }) {
			return r.version
		}
	}
	return from
}

// lags reports whether the newest image in the history is not the present one.
func (l *releaseList) lags(now *settings) bool {
	i, j := l.find("image")
	if i < 0 {
		return false
	}
	image, ok := stringOf(l.releases[i].diff[j].New)
	return ok && !samePodImage(image, now.ImageName)
}

// unwind takes back release after release, newest first, until the settings
// are those that are wanted. It answers nil if they never are, or if a value
// that it takes to get there is not shown.
func (l *releaseList) unwind(now *settings, digest string) *settings {
	s := *now
	for _, r := range l.releases {
		for _, d := range r.diff {
			if d.setting() != "" && !s.put(d.setting(), d.Old) {
				return nil
			}
		}
		if s.digest() == digest {
			return &s
		}
	}
	return nil
}

// shows reports whether the newest release about each of these settings holds,
// in clear, the value that s has. That is how it is known beforehand that the
// release to come will hold it as the old one.
func (l *releaseList) shows(s *settings, names []string) bool {
	for _, name := range names {
		i, j := l.find(name)
		if i < 0 {
			return false
		}
		shown := *s
		if !shown.put(name, l.releases[i].diff[j].New) || len(shown.differing(s)) > 0 {
			return false
		}
	}
	return true
}

func (l *releaseList) find(setting string) (release, diff int) {
	for i, r := range l.releases {
		if j := slices.IndexFunc(r.diff, func(d difference) bool { return d.setting() == setting }); j >= 0 {
			return i, j
		}
	}
	return -1, -1
}

// put gives a setting a value from a release, and reports whether that is one.
func (s *settings) put(setting string, v json.RawMessage) bool {
	ok := false
	switch setting {
	case "image":
		s.ImageName, ok = stringOf(v)
		ok = ok && s.ImageName != ""
	case "args":
		s.DockerArgs, ok = stringOf(v)
	case "env":
		var env []envVar
		if env, ok = envOf(v); ok {
			s.Env = env
		}
	case "ports":
		var list []string
		var joined string
		if joined, ok = stringOf(v); !ok {
			ok = json.Unmarshal(v, &list) == nil && list != nil
			joined = strings.Join(list, ",")
		}
		s.Ports = &joined
	case "disk":
		ok = json.Unmarshal(v, &s.ContainerDiskInGb) == nil && s.ContainerDiskInGb > 0
	case "registry":
		var id *string
		ok = len(v) > 0 && json.Unmarshal(v, &id) == nil
		s.ContainerRegistryAuthID = id
	}
	return ok
}

func stringOf(v json.RawMessage) (string, bool) {
	var s *string
	if json.Unmarshal(v, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// envOf reads an environment: as the object that REST has for it, as the list
// that GraphQL has, or as either of them in a string.
func envOf(v json.RawMessage) ([]envVar, bool) {
	if s, ok := stringOf(v); ok {
		v = json.RawMessage(s)
	}
	v = bytes.TrimSpace(v)
	var m map[string]string
	if json.Unmarshal(v, &m) == nil && m != nil {
		return envList(m), true
	}
	var list []envVar
	if json.Unmarshal(v, &list) == nil && list != nil {
		return list, true
	}
	return nil, false
}
