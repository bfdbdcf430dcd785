package runpod

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
)

func sample() *template {
	s := func(v string) *string { return &v }
	return &template{whole: whole{content: content{
		ID: "wphkv67a0p", Name: "b", ImageName: "acme/x:v1", DockerArgs: "run",
		Env:   []envVar{{"A", "1"}, {"B", "2"}, {"PORT", "80"}},
		Ports: s("80/http"), VolumeMountPath: s("/w"), ContainerDiskInGb: 20, ContainerRegistryAuthID: s("reg"),
	}, Readme: s("text")}}
}

func TestDigest(t *testing.T) {
	base := sample().digest()
	if len(base) != 16 || strings.Trim(base, "0123456789abcdef") != "" {
		t.Fatalf("digest = %q", base)
	}
	same := map[string]func(*template){
		"nothing":       func(*template) {},
		"order of env":  func(c *template) { slices.Reverse(c.Env) },
		"PORT":          func(c *template) { c.Env[2].Value = "81" },
		"PORT_HEALTH":   func(c *template) { c.Env = append(c.Env, envVar{"PORT_HEALTH", "82"}) },
		"hole in env":   func(c *template) { c.Env = append(c.Env, envVar{}) },
		"name and text": func(c *template) { c.Name, c.Readme = "other", nil },
	}
	for name, edit := range same {
		c := sample()
		edit(c)
		if c.digest() != base {
			t.Errorf("%s: the digest is another", name)
		}
	}
	other := map[string]func(*template){
		"image":         func(c *template) { c.ImageName = "acme/x:v2" },
		"start command": func(c *template) { c.DockerArgs = "" },
		"env value":     func(c *template) { c.Env[0].Value = "3" },
		"env key":       func(c *template) { c.Env[0].Key = "C" },
		"env split":     func(c *template) { c.Env[0] = envVar{"A1", ""} },
		"no env":        func(c *template) { c.Env = nil },
		"ports":         func(c *template) { c.Ports = nil },
		"mount":         func(c *template) { c.VolumeMountPath = nil },
		"disk":          func(c *template) { c.ContainerDiskInGb = 21 },
		"registry":      func(c *template) { c.ContainerRegistryAuthID = nil },
	}
	for name, edit := range other {
		c := sample()
		edit(c)
		if c.digest() == base {
			t.Errorf("%s: the digest is the same", name)
		}
	}
	moved := sample()
	moved.ImageName = "acme/x:v2"
	if got := sample().digestWith("acme/x:v2"); got != moved.digest() {
		t.Errorf("digestWith = %s, want %s", got, moved.digest())
	}
}

func TestDifferences(t *testing.T) {
	if got := sample().differences(sample()); got != nil {
		t.Errorf("differences of the same = %v", got)
	}
	got := sample()
	got.ID, got.Name, got.ImageName, got.DockerArgs, got.Env = "x", "x", "x", "x", nil
	got.Ports, got.VolumeMountPath, got.ContainerRegistryAuthID, got.Readme = nil, nil, nil, nil
	got.ContainerDiskInGb, got.VolumeInGb = 1, 1
	want := []string{
		"id", "name", "imageName", "dockerArgs", "env", "ports", "volumeMountPath", "containerDiskInGb",
		"containerRegistryAuthId", "volumeInGb", "readme", "env PORT",
	}
	if names := sample().differences(got); !slices.Equal(names, want) {
		t.Errorf("differences = %v, want %v", names, want)
	}
	platform := sample()
	platform.Env = append(platform.Env, envVar{"PORT_HEALTH", "81"})
	if names := sample().differences(platform); names != nil {
		t.Errorf("what RunPod adds is a difference: %v", names)
	}
}

func TestCheckDraft(t *testing.T) {
	full := endpoint.Revision{Kind: "template", ID: "a", Artifact: "acme/x:v1", Digest: "1"}
	with := func(f func(*endpoint.Draft)) endpoint.Draft {
		d := endpoint.Draft{Revision: full, Base: full}
		f(&d)
		return d
	}
	if err := checkDraft(with(func(*endpoint.Draft) {})); err != nil {
		t.Error(err)
	}
	for name, d := range map[string]endpoint.Draft{
		"empty":         {},
		"other id":      with(func(d *endpoint.Draft) { d.Base.ID = "b" }),
		"other kind":    with(func(d *endpoint.Draft) { d.Revision.Kind = "image" }),
		"no digest":     with(func(d *endpoint.Draft) { d.Revision.Digest = "" }),
		"no base":       with(func(d *endpoint.Draft) { d.Base.Digest = "" }),
		"no image":      with(func(d *endpoint.Draft) { d.Revision.Artifact = "" }),
		"bad image":     with(func(d *endpoint.Draft) { d.Revision.Artifact = "A B" }),
		"impossible id": with(func(d *endpoint.Draft) { d.Revision.ID, d.Base.ID = "a b", "a b" }),
	} {
		if err := checkDraft(d); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
