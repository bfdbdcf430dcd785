package runpod

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// KindTemplate is the kind of every revision of this package: a RunPod
// template, its id, the image it names, and a digest of the rest.
const KindTemplate = "template"

// content is the part of a template that decides what a worker runs.
type content struct {
	ID                      string
	Name                    string
	ImageName               string
	DockerArgs              string
	Env                     []envVar
	Ports                   *string
	VolumeMountPath         *string
	ContainerDiskInGb       int
	ContainerRegistryAuthID *string
	IsServerless            *bool
}

// template is all of a template. A template is written whole, and what is left
// out is reset: so all of it is read, and written back.
type template struct {
	whole
	PortsConfig []portConfig
}

// whole is what every version of the API shows of a template.
type whole struct {
	content
	VolumeInGb    int
	StartJupyter  *bool
	StartSSH      *bool `graphql:"startSsh"`
	StartScript   *string
	IsPublic      *bool
	Readme        *string
	AdvancedStart *bool
	Category      *string
}

type envVar struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type portConfig struct {
	Port string `json:"port"`
	Name string `json:"name"`
}

// platformEnv is set by RunPod itself when an endpoint is first deployed, so
// that it says nothing about the revision. It is not set again, though: a
// write has to carry it.
var platformEnv = []string{"PORT", "PORT_HEALTH"}

// env leaves out the holes that a list of nullable elements may have.
func (c *content) env() []envVar {
	var env []envVar
	for _, v := range c.Env {
		if v.Key != "" {
			env = append(env, v)
		}
	}
	return env
}

// ownEnv is the environment without RunPod's own part, in order of the keys. It
// sorts keys, not variables: sorting a type of its own adds 30 kB to a program.
func (c *content) ownEnv() []envVar {
	var own []envVar
	for _, key := range c.envKeys() {
		for _, value := range c.values(key) {
			own = append(own, envVar{key, value})
		}
	}
	return own
}

// envKeys are the names in the environment, RunPod's own left out, in order.
func (c *content) envKeys() []string {
	keys := []string{}
	for _, v := range c.env() {
		if !slices.Contains(platformEnv, v.Key) {
			keys = append(keys, v.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// digest tells contents apart without revealing them.
func (c *content) digest() string {
	env := [][2]string{}
	for _, v := range c.ownEnv() {
		env = append(env, [2]string{v.Key, v.Value})
	}
	b, _ := json.Marshal([]any{ // strings and numbers always marshal
		1, c.ImageName, c.DockerArgs, text(c.ContainerRegistryAuthID), text(c.Ports),
		c.ContainerDiskInGb, text(c.VolumeMountPath), env,
	})
	return short(b)
}

func short(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// digestWith is the digest that c would have with another image.
func (c *content) digestWith(image string) string {
	other := *c
	other.ImageName = image
	return other.digest()
}

func (c *content) revision() endpoint.Revision { return c.revisionWith(c.ImageName) }

func (c *content) revisionWith(image string) endpoint.Revision {
	return endpoint.Revision{Kind: KindTemplate, ID: c.ID, Artifact: image, Digest: c.digestWith(image)}
}

// differences names the fields of an answer that are not as written. It names
// no value.
func (t *template) differences(answer *template) []string {
	var names []string
	add := func(name string, same bool) {
		if !same {
			names = append(names, name)
		}
	}
	add("id", t.ID == answer.ID)
	add("name", t.Name == answer.Name)
	add("imageName", t.ImageName == answer.ImageName)
	add("dockerArgs", t.DockerArgs == answer.DockerArgs)
	add("env", slices.Equal(t.ownEnv(), answer.ownEnv()))
	add("ports", text(t.Ports) == text(answer.Ports))
	add("volumeMountPath", text(t.VolumeMountPath) == text(answer.VolumeMountPath))
	add("containerDiskInGb", t.ContainerDiskInGb == answer.ContainerDiskInGb)
	add("containerRegistryAuthId", text(t.ContainerRegistryAuthID) == text(answer.ContainerRegistryAuthID))
	add("volumeInGb", t.VolumeInGb == answer.VolumeInGb)
	add("startScript", text(t.StartScript) == text(answer.StartScript))
	add("readme", text(t.Readme) == text(answer.Readme))
	for _, key := range platformEnv {
		add("env "+key, slices.Equal(t.values(key), answer.values(key)) || len(t.values(key)) == 0)
	}
	return names
}

func (c *content) values(key string) []string {
	var values []string
	for _, v := range c.env() {
		if v.Key == key {
			values = append(values, v.Value)
		}
	}
	return values
}

// A read shortly after a write may be old, and has been seen to show a
// template with no start command and no environment. Writing that back would
// destroy both, and a digest of it means nothing. So what cannot be believed
// is read again, after these gaps.
var lookGaps = [...]time.Duration{
	0, 0, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond, 2 * time.Second, 3 * time.Second,
}

// believed reads a template until it is as expected or, with nothing expected,
// until two reads in a row agree. If it never is as expected, that is
// [endpoint.ErrDrift].
func (e *Endpoint) believed(ctx context.Context, id string, expected func(*template) bool) (*template, error) {
	if !plainID(id) {
		return nil, fmt.Errorf("template id %q: %w", clip(id), endpoint.ErrInvalid)
	}
	var last *template
	for _, gap := range lookGaps {
		if err := pause(ctx, gap); err != nil {
			return nil, err
		}
		t, err := e.control.template(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case t.ID != id:
			return nil, unclear("answer with template %q", t.ID)
		case expected != nil && expected(t), expected == nil && last != nil && reflect.DeepEqual(t, last):
			return t, nil
		}
		last = t
	}
	if expected == nil {
		return nil, unclear("template %s reads differently each time", id)
	}
	return nil, edited(id)
}

// withDigest expects the template to have a digest once its image is replaced.
// Without either it expects nothing.
func withDigest(image, digest string) func(*template) bool {
	switch {
	case digest == "":
		return nil
	case image == "":
		return func(t *template) bool { return t.digest() == digest }
	}
	return func(t *template) bool { return t.digestWith(image) == digest }
}

// rewrite gives a template another image and writes everything else back as it
// is. If digest is known, it is what the template must have afterwards; a
// template that cannot get there by a change of image alone was edited.
func (e *Endpoint) rewrite(ctx context.Context, id, image, digest string) error {
	t, err := e.believed(ctx, id, withDigest(image, digest))
	if err != nil {
		return err
	}
	return e.write(ctx, t, image)
}

func edited(id string) error {
	return fmt.Errorf("template %s was edited since it was looked at: more than its image differs: %w", id, endpoint.ErrDrift)
}

// write is read back if its answer is not what was written: an answer can be
// as old as a read.
func (e *Endpoint) write(ctx context.Context, t *template, image string) error {
	t.ImageName = image
	answer, err := e.links.saveTemplate(ctx, t)
	if err != nil {
		return err
	}
	names := t.differences(answer)
	if len(names) == 0 {
		return nil
	}
	_, err = e.believed(ctx, t.ID, func(now *template) bool {
		names = t.differences(now)
		return len(names) == 0
	})
	if errors.Is(err, endpoint.ErrDrift) {
		return unclear("template %s was written, and reads back with another %s", t.ID, strings.Join(names, ", "))
	}
	return err
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return contextError(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return contextError(ctx)
	case <-t.C:
		return nil
	}
}
