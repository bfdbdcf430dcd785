package runpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
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
// Moving to what the endpoint is asked to serve already is no error. Rules
// about images are RunPod's, from "Updating Your Endpoint".
func (e *Endpoint) Preflight(ctx context.Context, c endpoint.Change, settings endpoint.Settings) ([]string, error) {
	const op = "preflight"
	if err := e.begin(ctx, op); err != nil {
		return nil, err
	}
	p := preflight{Endpoint: e, change: c, settings: settings}
	run := p.run
	if e.patches != nil {
		run = p.runREST
	}
	if err := run(ctx); err != nil {
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
	p.cautions = append(p.cautions, clip(fmt.Sprintf(format, args...)))
}

func (p *preflight) run(ctx context.Context) error {
	if err := errors.Join(checkChange(p.change), checkSettings(p.settings)); err != nil {
		return err
	}
	s, err := p.look(ctx)
	if err != nil {
		return err
	}
	to := p.change.To
	t, a, err := p.usable(ctx, to.ID, withDigest(to.Artifact, to.Digest))
	if err != nil {
		return err
	}
	image := cmp.Or(to.Artifact, t.ImageName)
	// What is live already needs no permission to stay.
	if s.templateID != t.ID || t.ImageName != image {
		if err := errors.Join(p.images(s, image), p.sharing(s, t, a)); err != nil {
			return err
		}
	}
	if s.template != nil && s.templateID != t.ID {
		p.compare(s.template, &t.content)
	}
	if err := p.quota(ctx, a); err != nil {
		return err
	}
	if err := p.jobsPlane(ctx, s); err != nil {
		return err
	}
	if err := p.evidence(ctx, s); err != nil {
		return err
	}
	p.caution("the GraphQL API, which alone links templates, retires in %s, as RunPod has announced: move to images over REST by then", graphQLRetires)
	return nil
}

// evidence says so where less than usual shows what workers run.
func (p *preflight) evidence(ctx context.Context, s *state) error {
	if err := p.observe(ctx, s); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blind != nil {
		p.caution("what workers run is judged by GraphQL alone: REST, which tells which of them are outdated, does not show them: %v", p.blind)
	}
	return nil
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

func (p *preflight) sharing(s *state, t *template, a *account) error {
	users := a.users(t.ID, p.id)
	if len(users) == 0 {
		return nil
	}
	effect := "a later change of it would roll them all"
	if s.templateID == t.ID {
		effect = "replacing its image rolls them too"
	}
	message := fmt.Sprintf("template %s is in use by %s: %s", t.ID, strings.Join(users, ", "), effect)
	if p.allowShared {
		p.caution("%s", message)
		return nil
	}
	return fmt.Errorf("%s: %w", message, endpoint.ErrShared)
}

// compare looks for what makes workers of a new template fail to start.
func (p *preflight) compare(from, to *content) {
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
		if len(from.values(key)) > 0 && len(to.values(key)) == 0 {
			p.caution("template %s lacks %s, which RunPod sets once and a load-balancer endpoint is checked by", to.ID, key)
		}
	}
}

// quota adds up what RunPod checks whenever a maximum is raised, that of a
// rollout's own restore included.
func (p *preflight) quota(ctx context.Context, a *account) error {
	wanted, ok := p.settings[endpoint.WorkersMax]
	if !ok || wanted == 0 {
		return nil
	}
	limit, err := p.control.workerQuota(ctx)
	if err != nil {
		return err
	}
	if limit == 0 {
		p.caution("RunPod does not tell the account's worker quota: that %d workers may be set again is not certain", wanted)
		return nil
	}
	others := 0
	for _, e := range a.endpoints {
		if e.id != p.id {
			others += max(0, e.max)
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
		p.caution("a load-balancer endpoint has no queue: a running worker counts as ready, whether it answers or not")
		return nil
	}
	_, err := p.jobPlane.health(ctx, p.id)
	if ctxErr := contextError(ctx); ctxErr != nil {
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
