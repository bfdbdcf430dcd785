package runpod

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// Preflight refuses a change that could not work, or would reach further than
// asked for. It only reads. The errors are
//
//   - [endpoint.ErrNotFound]: the endpoint or the template does not exist
//   - [endpoint.ErrSameArtifact]: the new image has the name:tag, or the
//     digest, of the old one, so that RunPod would go on with what is cached
//   - [endpoint.ErrMutable]: the new image has no tag, or latest, and no
//     digest; [AllowMutableTag] makes it a caution
//   - [endpoint.ErrShared]: other endpoints use the template that would be
//     rewritten or linked, or over REST the one that this endpoint is linked to,
//     as far as GraphQL tells; [AllowSharedTemplate] makes it a caution
//   - [endpoint.ErrDrift]: the template, or the endpoint, was edited since c.To
//     was resolved
//   - [errors.ErrUnsupported]: what the transport cannot do, with what can be
//     done instead: over REST to link a template, and to copy one that replaces
//     values which no rollback could read back
//   - [endpoint.ErrQuota]: the sum of the account's maxima would be above what
//     the account may have, as far as RunPod tells
//   - [endpoint.ErrUnauthorized]: a key is refused, the job key included
//   - [endpoint.ErrInvalid]: the change, the template or a setting is wrong in
//     itself
//
// Moving to what the endpoint is asked to serve already is no error, and has a
// caution: content that was pushed again under the same tag does not arrive by it.
// Rules about images are RunPod's, from "Updating Your Endpoint".
func (e *Endpoint) Preflight(ctx context.Context, c endpoint.Change, settings endpoint.Settings) ([]string, error) {
	const op = "preflight"
	if err := e.begin(ctx, op); err != nil {
		return nil, err
	}
	p := preflight{Endpoint: e, change: c, settings: settings}
	if err := e.ops.preflight(ctx, &p); err != nil {
		return nil, e.wrap(op, err)
	}
	return p.cautions, nil
}

type preflight struct {
	*Endpoint
	change   endpoint.Change
	settings endpoint.Settings
	cautions []string
}

func (p *preflight) caution(format string, args ...any) {
	p.cautions = append(p.cautions, httpx.Clip(fmt.Sprintf(format, args...)))
}

func checkSettings(settings endpoint.Settings) error {
	var errs []error
	for _, key := range settings.Keys() {
		_, err := checkSetting(key, settings[key])
		errs = append(errs, err)
	}
	lo, okLo := settings[endpoint.WorkersMin]
	hi, okHi := settings[endpoint.WorkersMax]
	if okLo && okHi && lo > hi {
		errs = append(errs, outOfOrder(bounds{max: hi}, minWorkers, lo))
	}
	return errors.Join(errs...)
}

// unchanged says what a rollout to what is there already does not do.
func (p *preflight) unchanged(image string) {
	p.caution("%s is what the endpoint is asked to serve already, so that nothing is sent. RunPod keeps what it has cached under a name and tag: "+
		"if new content was pushed under this tag, no worker gets it. Push it under a new tag and move to that, or refresh the endpoint", image)
}

// images compares the image to come with the one that is live.
func (p *preflight) images(s *state, to string) error {
	target, err := parseImage(to)
	if err != nil {
		return err
	}
	var errs []error
	if from := s.image(); from != "" {
		if sameImage(from, to) {
			errs = append(errs, fmt.Errorf("%s is what %s names already: RunPod tells images apart by name:tag, and would keep the cached one: %w",
				to, from, endpoint.ErrSameArtifact))
		}
		if source, err := parseImage(from); err == nil && source.mutable() {
			p.caution("the present image %s has no fixed tag: rolling back may bring something else than runs now", from)
		}
	}
	if s.image() == "" {
		p.caution("RunPod does not show the present template %s: whether its image is another than %s is not certain", s.templateID, to)
	}
	if target.mutable() {
		if p.allowMutable {
			p.caution("the image %s has no fixed tag: workers that start later may run something else", to)
		} else {
			errs = append(errs, fmt.Errorf("%s has no fixed tag: name a version or a digest: %w", to, endpoint.ErrMutable))
		}
	}
	return errors.Join(errs...)
}

// compare finds what makes workers of a new template fail to start. The variables
// that RunPod sets by itself are no matter where they are carried over.
func (p *preflight) compare(from, to *content, carried bool) {
	if text(from.ContainerRegistryAuthID) != "" && text(to.ContainerRegistryAuthID) == "" {
		p.caution("template %s has no registry credentials, where the present one has: a private image cannot be pulled", to.ID)
	}
	if to.ContainerDiskInGb < from.ContainerDiskInGb {
		p.caution("template %s has a container disk of %d GB, the present one %d GB", to.ID, to.ContainerDiskInGb, from.ContainerDiskInGb)
	}
	var missing []string
	for _, key := range from.envKeys() {
		if !slices.Contains(to.envKeys(), key) {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		p.caution("template %s lacks environment variables that the present one has: %s", to.ID, strings.Join(missing, ", "))
	}
	for _, key := range platformEnv {
		if !carried && len(from.values(key)) > 0 && len(to.values(key)) == 0 {
			p.caution("template %s lacks %s, which RunPod sets once and a load-balancer endpoint is checked by", to.ID, key)
		}
	}
}

// quota adds up what RunPod checks whenever a maximum is raised, that of a
// rollout's own restore included.
func (p *preflight) quota(ctx context.Context, a *account, quota func(context.Context) (int, error)) error {
	wanted, ok := p.settings[endpoint.WorkersMax]
	if !ok || wanted == 0 {
		return nil
	}
	limit, err := quota(ctx)
	if err != nil {
		return err
	}
	if limit == 0 {
		p.caution("RunPod does not tell the account's worker quota: that %d workers may be set again is not certain", wanted)
		return nil
	}
	others := 0
	for _, e := range a.endpoints {
		if e.id == p.id {
			continue
		}
		if others += max(0, e.max); e.noMax {
			p.caution("the maximum of endpoint %s could not be read, and is not counted against the account's worker quota", e.id)
		}
	}
	if others+wanted > limit {
		return fmt.Errorf("a maximum of %d workers here and %d on the account's other endpoints is above its quota of %d: %w",
			wanted, others, limit, endpoint.ErrQuota)
	}
	return nil
}

// jobsPlane finds out before the rollout that the job key is refused, not when
// the first new worker has to be proven.
func (p *preflight) jobsPlane(ctx context.Context, s *state) error {
	if s.loadBalancer() {
		p.caution("a load-balancer endpoint has no queue: a running worker counts as ready, whether it answers or not, " +
			"and its requests cannot be counted, so that no step waits for them")
		return nil
	}
	_, err := p.jobPlane.health(ctx, p.id)
	if ctxErr := httpx.ContextError(ctx); ctxErr != nil {
		return ctxErr
	}
	if errors.Is(err, endpoint.ErrUnauthorized) {
		return err
	}
	if err != nil {
		p.caution("the job plane could not be read: %v", err)
	}
	return nil
}
