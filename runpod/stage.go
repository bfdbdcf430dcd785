package runpod

import (
	"context"

	"github.com/changeover-dev/changeover/endpoint"
)

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
	d, err := e.ops.draft(ctx, base, artifact)
	return d, e.wrap(op, err)
}

// Stage gives the template the drafted image, writes everything else back as a
// fresh read shows it, and reads the result back. It does nothing if the
// template has the drafted content already. A template with content that is
// neither that of the draft nor that of its base is [endpoint.ErrDrift]; one
// that is live by now is refused as in Draft.
//
// It writes once at most, and may take some seconds, until reads catch up.
func (e *Endpoint) Stage(ctx context.Context, d endpoint.Draft) error {
	const op = "stage"
	if err := e.begin(ctx, op); err != nil {
		return err
	}
	return e.wrap(op, e.ops.stage(ctx, d))
}

// Staged returns nil if the template has the drafted content,
// [endpoint.ErrNotFound] if it still has that of the draft's base, and
// [endpoint.ErrDrift] if, read for some seconds, it has neither.
func (e *Endpoint) Staged(ctx context.Context, d endpoint.Draft) error {
	const op = "staged"
	if err := e.begin(ctx, op); err != nil {
		return err
	}
	return e.wrap(op, e.ops.staged(ctx, d))
}
