package sagemaker

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// tagRefresh is on a configuration that was made for a refresh: why.
const tagRefresh = "changeover:refresh"

// maxTagValue is how long AWS lets the value of a tag be.
const maxTagValue = 256

// DraftRefresh describes a copy of the endpoint configuration base, or of the
// live one if base is zero, under a new name and with the reason in a tag. An
// update to it starts new instances for what is served already, as AWS asks for
// in its notices about instances that it cannot patch. What a multi-model
// endpoint loads from S3 is not part of a configuration.
func (e *Endpoint) DraftRefresh(ctx context.Context, base endpoint.Revision, reason string) (endpoint.Draft, error) {
	d, err := e.draftRefresh(ctx, base, reason)
	return d, e.wrap("draft refresh", err)
}

func (e *Endpoint) draftRefresh(ctx context.Context, base endpoint.Revision, reason string) (endpoint.Draft, error) {
	reason = clip(reason)
	if reason == "" {
		return endpoint.Draft{}, invalid("the reason of the refresh is empty")
	}
	d, err := e.draft(ctx, base, func(in *sm.CreateEndpointConfigInput) error {
		if len(in.Tags) < maxTags {
			in.Tags = append(in.Tags, types.Tag{Key: ptr(tagRefresh), Value: ptr(tagValue(reason))})
		}
		return nil
	})
	d.Refresh = reason
	return d, err
}

// tagValue is a text as AWS allows it in a tag.
func tagValue(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" _.:/=+-@", r) {
			return r
		}
		return '-'
	}, s)
	if r := []rune(s); len(r) > maxTagValue {
		s = string(r[:maxTagValue])
	}
	return s
}

// Refreshed returns nil if the endpoint is in service with the drafted
// configuration and the images of every variant were resolved since that was
// made, which SageMaker does when it starts instances. Both times are of AWS's
// clock; since, of the caller's, is not compared with them.
func (e *Endpoint) Refreshed(ctx context.Context, d endpoint.Draft, since time.Time) error {
	_ = since
	return e.wrap("refreshed", e.refreshed(ctx, d))
}

func (e *Endpoint) refreshed(ctx context.Context, d endpoint.Draft) error {
	made, err := e.describeConfig(ctx, d.Revision.ID)
	if err != nil {
		return err
	}
	live, err := e.describe(ctx)
	if err != nil {
		return err
	}
	switch {
	case live.EndpointStatus != types.EndpointStatusInService || live.PendingDeploymentSummary != nil:
		return unclear("the endpoint is %s", live.EndpointStatus)
	case deref(live.EndpointConfigName) != d.Revision.ID:
		return fmt.Errorf("the endpoint serves %s, not %s: %w", deref(live.EndpointConfigName), d.Revision.ID, endpoint.ErrDrift)
	case made.CreationTime == nil:
		return unclear("endpoint configuration %s has no time of creation", d.Revision.ID)
	}
	for _, vs := range [][]types.ProductionVariantSummary{live.ProductionVariants, live.ShadowProductionVariants} {
		for i := range vs {
			if err := startedAfter(&vs[i], *made.CreationTime); err != nil {
				return err
			}
		}
	}
	return nil
}

// startedAfter reads from the images of a variant when its fleet was started.
func startedAfter(v *types.ProductionVariantSummary, t time.Time) error {
	name := deref(v.VariantName)
	if len(v.DeployedImages) == 0 {
		return unclear("AWS does not show when the instances of variant %s were started", name)
	}
	for _, image := range v.DeployedImages {
		switch {
		case image.ResolutionTime == nil:
			return unclear("AWS does not show when the instances of variant %s were started", name)
		case image.ResolutionTime.Before(t):
			return fmt.Errorf("instances of variant %s were started at %s, before %s: %w", name, moment(*image.ResolutionTime), moment(t), endpoint.ErrDrift)
		}
	}
	return nil
}
