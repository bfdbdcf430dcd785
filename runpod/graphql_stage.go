package runpod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// body is what staging writes, for people and for the journal. Values of the
// environment and the start command may be secret: only a digest shows them.
type body struct {
	Template   string   `json:"template"`
	Name       string   `json:"name"`
	From       string   `json:"from"`
	Image      string   `json:"image"`
	Env        []string `json:"env,omitempty"` // names
	DockerArgs string   `json:"dockerArgsDigest,omitempty"`
	Ports      string   `json:"ports,omitempty"`
	Disk       int      `json:"containerDiskInGb"`
	Mount      string   `json:"volumeMountPath,omitempty"`
	Registry   string   `json:"containerRegistryAuthId,omitempty"`
}

func (o *graphQLOperations) draft(ctx context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
	var none endpoint.Draft
	if base.Kind != KindTemplate && base.Kind != "" {
		return none, fmt.Errorf("base of kind %q, want %q: %w", httpx.Clip(base.Kind), KindTemplate, endpoint.ErrInvalid)
	}
	if _, err := parseImage(artifact); err != nil {
		return none, err
	}
	t, a, err := o.usable(ctx, base.ID, withDigest("", base.Digest))
	if err != nil {
		return none, err
	}
	if err := o.idle(a, base.ID); err != nil {
		return none, err
	}
	b := body{
		Template: t.ID, Name: t.Name, From: t.ImageName, Image: artifact, Env: t.envKeys(), Ports: text(t.Ports),
		Disk: t.ContainerDiskInGb, Mount: text(t.VolumeMountPath), Registry: text(t.ContainerRegistryAuthID),
	}
	if t.DockerArgs != "" {
		b.DockerArgs = short([]byte(t.DockerArgs))
	}
	doc, err := json.Marshal(b)
	if err != nil {
		return none, err
	}
	return endpoint.Draft{Revision: t.revisionWith(artifact), Base: t.revision(), Body: doc}, nil
}

// idle refuses to rewrite a template that is live.
func (o *graphQLOperations) idle(a *account, id string) error {
	if o.allowShared {
		return nil
	}
	if users := a.users(id, ""); len(users) > 0 {
		return fmt.Errorf("template %s is live on %s: staging would roll it: %w", id, strings.Join(users, ", "), endpoint.ErrShared)
	}
	return nil
}

func (o *graphQLOperations) stage(ctx context.Context, d endpoint.Draft) error {
	t, err := o.drafted(ctx, d)
	if err != nil || stageOf(t, d) == staged {
		return err
	}
	a, err := o.api.account(ctx)
	if err != nil {
		return err
	}
	if err := o.idle(a, d.Revision.ID); err != nil {
		return err
	}
	if err := o.write(ctx, t, d.Revision.Artifact); err != nil {
		return err
	}
	_, err = o.readStable(ctx, d.Revision.ID, func(t *template) bool { return stageOf(t, d) == staged })
	if errors.Is(err, endpoint.ErrDrift) {
		return unclear("template %s was written, and does not read back so yet", d.Revision.ID)
	}
	return err
}

func (o *graphQLOperations) staged(ctx context.Context, d endpoint.Draft) error {
	t, err := o.drafted(ctx, d)
	if err == nil && stageOf(t, d) == unstaged {
		err = fmt.Errorf("template %s still has image %s: %w", t.ID, t.ImageName, endpoint.ErrNotFound)
	}
	return err
}

// drafted reads the template of a draft, as it was drafted from or as it is to be.
func (o *graphQLOperations) drafted(ctx context.Context, d endpoint.Draft) (*template, error) {
	if err := checkDraft(d); err != nil {
		return nil, err
	}
	return o.readStable(ctx, d.Revision.ID, func(t *template) bool { return stageOf(t, d) != foreign })
}

type stageState int

const (
	foreign stageState = iota
	unstaged
	staged
)

func stageOf(t *template, d endpoint.Draft) stageState {
	switch t.digest() {
	case d.Revision.Digest:
		return staged
	case d.Base.Digest:
		return unstaged
	}
	return foreign
}

// checkDraft makes sure that the draft is one of Draft's, and means a change
// of image alone.
func checkDraft(d endpoint.Draft) error {
	r, b := d.Revision, d.Base
	if r.Kind != KindTemplate || !plainID(r.ID) || r.Artifact == "" || r.Digest == "" ||
		b.Kind != r.Kind || b.ID != r.ID || b.Digest == "" {
		return fmt.Errorf("draft of %s from %s is not complete: %w", r, b, endpoint.ErrInvalid)
	}
	_, err := parseImage(r.Artifact)
	return err
}
