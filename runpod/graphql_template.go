package runpod

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

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

type portConfig struct {
	Port string `json:"port"`
	Name string `json:"name"`
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

// readStable reads a template until it is as expected or, with nothing expected,
// until two reads in a row agree. If it never is as expected, that is
// [endpoint.ErrDrift].
func (o *graphQLOperations) readStable(ctx context.Context, id string, expected func(*template) bool) (*template, error) {
	if !plainID(id) {
		return nil, fmt.Errorf("template id %q: %w", httpx.Clip(id), endpoint.ErrInvalid)
	}
	var last *template
	for _, gap := range readGaps {
		if err := pause(ctx, gap); err != nil {
			return nil, err
		}
		t, err := o.api.template(ctx, id)
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
func (o *graphQLOperations) rewrite(ctx context.Context, id, image, digest string) error {
	t, err := o.readStable(ctx, id, withDigest(image, digest))
	if err != nil {
		return err
	}
	return o.write(ctx, t, image)
}

func edited(id string) error {
	return fmt.Errorf("template %s was edited since it was read: more than its image differs: %w", id, endpoint.ErrDrift)
}

// write is read back if its answer is not what was written: an answer can be
// as old as a read.
func (o *graphQLOperations) write(ctx context.Context, t *template, image string) error {
	t.ImageName = image
	answer, err := o.api.saveTemplate(ctx, t)
	if err != nil {
		return err
	}
	names := t.differences(answer)
	if len(names) == 0 {
		return nil
	}
	_, err = o.readStable(ctx, t.ID, func(now *template) bool {
		names = t.differences(now)
		return len(names) == 0
	})
	if errors.Is(err, endpoint.ErrDrift) {
		return unclear("template %s was written, and reads back with another %s", t.ID, strings.Join(names, ", "))
	}
	return err
}

// keepTemplate keeps what may be secret in a template.
func (s secrets) keepTemplate(t *template) {
	s.keepContent(&t.content)
	s.AddCommand(text(t.StartScript))
}
