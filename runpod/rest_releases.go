package runpod

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// releaseList is an endpoint's history, newest first. The values in it may be
// secret: it is read through and dropped, never kept or printed.
type releaseList struct {
	version  int // of the endpoint, 0 if not told
	releases []release
}

type release struct {
	version int
	build   string // the GitHub build that made it; "" if a person or a program did
	diff    []difference
}

// difference is one field that a release changed.
type difference struct {
	Field string          `json:"field"`
	Old   json.RawMessage `json:"old"`
	New   json.RawMessage `json:"new"`
}

type restRelease struct {
	Version *float64     `json:"version"`
	Source  any          `json:"source"`
	BuildID any          `json:"buildId"`
	Diff    []difference `json:"diff"`
}

func (r *restRelease) release() release {
	out := release{version: version(r.Version), diff: r.Diff}
	if source, _ := r.Source.(string); source == "GIT_BUILD" {
		id, _ := r.BuildID.(string)
		out.build = cmp.Or(httpx.Clip(id), "unknown")
	}
	return out
}

// releases reads an endpoint's history to its end.
func (r *rest) releases(ctx context.Context, id string) (*releaseList, error) {
	l := &releaseList{}
	err := r.pages(ctx, "releases", []string{"serverless", id, "releases"}, l.page, func(i int, item []byte) error {
		var one restRelease
		if err := shape(fmt.Sprintf("releases[%d]", i), item, &one); err != nil {
			return err
		}
		l.releases = append(l.releases, one.release())
		return nil
	})
	if err != nil {
		return nil, absent(err, "no endpoint with this id in the account of the management key")
	}
	r.secrets.keepReleases(l)
	return l, nil
}

func (l *releaseList) page(doc map[string]json.RawMessage) error {
	var v *float64
	if err := shape("endpointVersion", orNull(doc["endpointVersion"]), &v); err != nil {
		return err
	}
	l.version = version(v)
	return nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// built is the newest release from that version on that a GitHub build made, for
// people; "" if there is none.
func (l *releaseList) built(from int) string {
	for _, r := range l.releases {
		if r.build != "" && r.version >= from {
			return fmt.Sprintf("release %d by GitHub build %s", r.version, r.build)
		}
	}
	return ""
}

// setting is the container setting that a field of a release is about, in the
// words of a PATCH; "" if it is about none. RunPod's history names them as its
// templates do.
func (d difference) setting() string {
	switch strings.TrimPrefix(d.Field, "template.") {
	case "imageName", "image":
		return "image"
	case "dockerArgs", "args":
		return "args"
	case "cmd", "dockerStartCmd":
		return "cmd"
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
// not show, and nothing that they do: another writer's, which may bring more along.
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
	case "cmd":
		var cmd []string
		ok = len(v) > 0 && json.Unmarshal(v, &cmd) == nil
		s.cmd = cmd
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
