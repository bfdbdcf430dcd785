package runpod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
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

// Draft describes the template base with the image artifact. Base must be a
// template of the account that exists and, if it has a digest, still has that
// content ([endpoint.ErrDrift]); RunPod has no way to make one that is not
// there and leave out what the account holds. One that is live on this or
// another endpoint is [endpoint.ErrShared] unless [AllowSharedTemplate] is set.
// Over REST, Draft, Stage and Staged are [errors.ErrUnsupported].
func (e *Endpoint) Draft(ctx context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
	const op = "draft"
	if err := e.begin(ctx, op); err != nil {
		return endpoint.Draft{}, err
	}
	d, err := e.draft(ctx, base, artifact)
	return d, e.wrap(op, err)
}

func (e *Endpoint) draft(ctx context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
	var none endpoint.Draft
	if e.links == nil {
		return none, noStaging()
	}
	if base.Kind != KindTemplate && base.Kind != "" {
		return none, fmt.Errorf("base of kind %q, want %q: %w", clip(base.Kind), KindTemplate, endpoint.ErrInvalid)
	}
	if _, err := parseImage(artifact); err != nil {
		return none, err
	}
	t, a, err := e.usable(ctx, base.ID, withDigest("", base.Digest))
	if err != nil {
		return none, err
	}
	if err := e.idle(a, base.ID); err != nil {
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
func (e *Endpoint) idle(a *account, id string) error {
	if e.allowShared {
		return nil
	}
	if users := a.users(id, ""); len(users) > 0 {
		return fmt.Errorf("template %s is live on %s: staging would roll it: %w", id, strings.Join(users, ", "), endpoint.ErrShared)
	}
	return nil
}

// Stage gives the template the drafted image, writes everything else back as a
// fresh read shows it, and reads the result back. It does nothing if the
// template has the drafted content already. A template with content that is
// neither that of the draft nor that of its base is [endpoint.ErrDrift]; one
// that is live by now is refused as in Draft.
//
// It writes once at most, and may take some seconds, until what is read can be
// believed.
func (e *Endpoint) Stage(ctx context.Context, d endpoint.Draft) error {
	const op = "stage"
	if err := e.begin(ctx, op); err != nil {
		return err
	}
	return e.wrap(op, e.stage(ctx, d))
}

func (e *Endpoint) stage(ctx context.Context, d endpoint.Draft) error {
	t, err := e.drafted(ctx, d)
	if err != nil || stageOf(t, d) == staged {
		return err
	}
	a, err := e.control.account(ctx)
	if err != nil {
		return err
	}
	if err := e.idle(a, d.Revision.ID); err != nil {
		return err
	}
	if err := e.write(ctx, t, d.Revision.Artifact); err != nil {
		return err
	}
	_, err = e.believed(ctx, d.Revision.ID, func(t *template) bool { return stageOf(t, d) == staged })
	if errors.Is(err, endpoint.ErrDrift) {
		return unclear("template %s was written, and does not read back so yet", d.Revision.ID)
	}
	return err
}

// Staged returns nil if the template has the drafted content,
// [endpoint.ErrNotFound] if it still has that of the draft's base, and
// [endpoint.ErrDrift] if, looked at for some seconds, it has neither.
func (e *Endpoint) Staged(ctx context.Context, d endpoint.Draft) error {
	const op = "staged"
	if err := e.begin(ctx, op); err != nil {
		return err
	}
	return e.wrap(op, e.staged(ctx, d))
}

func (e *Endpoint) staged(ctx context.Context, d endpoint.Draft) error {
	t, err := e.drafted(ctx, d)
	if err == nil && stageOf(t, d) == unstaged {
		err = fmt.Errorf("template %s still has image %s: %w", t.ID, t.ImageName, endpoint.ErrNotFound)
	}
	return err
}

// drafted reads the template of a draft, as it was drafted from or as it is to be.
func (e *Endpoint) drafted(ctx context.Context, d endpoint.Draft) (*template, error) {
	if e.links == nil {
		return nil, noStaging()
	}
	if err := checkDraft(d); err != nil {
		return nil, err
	}
	return e.believed(ctx, d.Revision.ID, func(t *template) bool { return stageOf(t, d) != foreign })
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
