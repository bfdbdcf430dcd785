package sagemaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// Draft describes a copy of the endpoint configuration base, or of the live one
// if base is zero, with another model in every production variant, its
// instance pools included. The artifact is the model's name, or
// "main=model-b,canary=model-c" for single variants.
func (e *Endpoint) Draft(ctx context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
	d, err := e.draft(ctx, base, func(in *sm.CreateEndpointConfigInput) error { return swap(in, artifact) })
	return d, e.wrap("draft", err)
}

// DraftWith is Draft with any edit. The edit gets a copy of base with all of
// its fields, its tags but AWS's own, the instance counts that the endpoint has
// now, and a new name; all of that is its to change. Hand the draft to
// rollout.ToDraft.
//
// Variants must keep their names for their live counts and weights to be kept,
// and for canary, linear and rolling deployments.
func (e *Endpoint) DraftWith(ctx context.Context, base endpoint.Revision, edit func(*sm.CreateEndpointConfigInput)) (endpoint.Draft, error) {
	d, err := e.draft(ctx, base, func(in *sm.CreateEndpointConfigInput) error {
		edit(in)
		return nil
	})
	return d, e.wrap("draft", err)
}

func (e *Endpoint) draft(ctx context.Context, base endpoint.Revision, edit func(*sm.CreateEndpointConfigInput) error) (endpoint.Draft, error) {
	var none endpoint.Draft
	if base.Kind != "" && base.Kind != KindEndpointConfig {
		return none, invalid("base of kind %q, want %q", base.Kind, KindEndpointConfig)
	}
	if base.ID == "" {
		out, err := e.describe(ctx)
		if err != nil {
			return none, err
		}
		base.ID = deref(out.EndpointConfigName)
	}
	in, err := e.clone(ctx, base.ID)
	if err != nil {
		return none, err
	}
	from := endpoint.Revision{
		Kind: KindEndpointConfig, ID: base.ID, Artifact: artifactOf(in.ProductionVariants, in.ShadowProductionVariants),
	}
	name := mintName(e.name, time.Now())
	in.EndpointConfigName = &name
	if len(in.Tags) < maxTags {
		in.Tags = append(in.Tags, types.Tag{Key: ptr(tagFrom), Value: ptr(from.ID)})
	}
	if err := edit(in); err != nil {
		return none, err
	}
	body, err := encode(in)
	if err != nil {
		return none, invalid("the edited configuration: %v", err)
	}
	// What is checked is what is written down.
	if in, err = decodeBody(body); err != nil {
		return none, err
	}
	if deref(in.EndpointConfigName) == base.ID {
		return none, invalid("the new configuration has the name of its base, %s", base.ID)
	}
	return endpoint.Draft{
		Revision: endpoint.Revision{
			Kind: KindEndpointConfig, ID: *in.EndpointConfigName,
			Artifact: artifactOf(in.ProductionVariants, in.ShadowProductionVariants),
		},
		Base: from, Body: body,
	}, nil
}

// decodeBody reads the body of a draft and checks it as far as can be done
// without AWS.
func decodeBody(body json.RawMessage) (*sm.CreateEndpointConfigInput, error) {
	var in sm.CreateEndpointConfigInput
	if err := decode(body, &in); err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	return &in, checkConfig(&in)
}

// checkConfig refuses what AWS would refuse of a new configuration, and its
// client lets pass.
func checkConfig(in *sm.CreateEndpointConfigInput) error {
	if !entityName.MatchString(deref(in.EndpointConfigName)) {
		return invalid("EndpointConfigName is %q, AWS allows 1 to 63 letters, digits and hyphens", deref(in.EndpointConfigName))
	}
	if n := len(in.ProductionVariants); n < 1 || n > 10 {
		return invalid("ProductionVariants has %d entries, AWS allows 1 to 10", n)
	}
	switch production, shadow := len(in.ProductionVariants), len(in.ShadowProductionVariants); {
	case shadow > 1:
		return invalid("ShadowProductionVariants has %d entries, AWS allows 1 at most", shadow)
	case shadow == 1 && production > 1:
		return invalid("ProductionVariants has %d entries beside a shadow variant, AWS allows 1", production)
	}
	if n := len(in.Tags); n > maxTags {
		return invalid("Tags has %d entries, AWS allows %d at most", n, maxTags)
	}
	seen := map[string]bool{}
	for _, vs := range [][]types.ProductionVariant{in.ProductionVariants, in.ShadowProductionVariants} {
		for _, v := range vs {
			name := deref(v.VariantName)
			switch {
			case !entityName.MatchString(name):
				return invalid("VariantName is %q, AWS allows 1 to 63 letters, digits and hyphens", name)
			case seen[name]:
				return invalid("VariantName %s is there twice", name)
			case v.InitialInstanceCount != nil && *v.InitialInstanceCount < 1:
				return invalid("InitialInstanceCount of variant %s is %d, AWS allows 1 or more", name, *v.InitialInstanceCount)
			}
			seen[name] = true
		}
	}
	return nil
}

// opened is the configuration that a draft is to make.
func opened(d endpoint.Draft) (*sm.CreateEndpointConfigInput, error) {
	in, err := decodeBody(d.Body)
	if err != nil {
		return nil, err
	}
	if d.Revision.Kind != KindEndpointConfig || d.Revision.ID != *in.EndpointConfigName ||
		d.Revision.Artifact != artifactOf(in.ProductionVariants, in.ShadowProductionVariants) {
		return nil, invalid("draft of %s has the body of another revision", d.Revision)
	}
	return in, nil
}

// Stage creates the drafted endpoint configuration, unless it is there, and
// reads it back. It is [endpoint.ErrInvalid] if one of its name has other
// content, and also if AWS does not take the content, which happens to clones
// of configurations that were made under rules of the past. It writes once at
// most, and may take some seconds, until AWS shows what it made.
func (e *Endpoint) Stage(ctx context.Context, d endpoint.Draft) error {
	return e.wrap("stage", e.stage(ctx, d))
}

func (e *Endpoint) stage(ctx context.Context, d endpoint.Draft) error {
	in, err := opened(d)
	if err != nil {
		return err
	}
	if err := e.sameConfig(ctx, in); !errors.Is(err, endpoint.ErrNotFound) {
		return err
	}
	_, err = call(ctx, e.sm.CreateEndpointConfig, in, onceSM)
	if err != nil && !errors.Is(err, errExists) {
		return err
	}
	for range 5 {
		if err = e.sameConfig(ctx, in); !errors.Is(err, endpoint.ErrNotFound) {
			return err
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	return unclear("endpoint configuration %s was made, and is not shown yet", d.Revision.ID)
}

// Staged returns nil if the drafted endpoint configuration exists with the
// drafted content, [endpoint.ErrNotFound] if there is none, and
// [endpoint.ErrInvalid] if there is one with other content.
func (e *Endpoint) Staged(ctx context.Context, d endpoint.Draft) error {
	in, err := opened(d)
	if err == nil {
		err = e.sameConfig(ctx, in)
	}
	return e.wrap("staged", err)
}

// sameConfig compares what is there, and what it means by leaving out a default,
// with what is wanted. Tags are left out: policies of an account may add some.
func (e *Endpoint) sameConfig(ctx context.Context, want *sm.CreateEndpointConfigInput) error {
	out, err := e.describeConfig(ctx, *want.EndpointConfigName)
	if err != nil {
		return err
	}
	have, err := meaning(out)
	if err != nil {
		return unclear("endpoint configuration %s: %v", *want.EndpointConfigName, err)
	}
	if paths := missing(untagged(want), document(have)); paths != nil {
		return invalid("endpoint configuration %s exists with other content: %s", *want.EndpointConfigName, strings.Join(paths, ", "))
	}
	return nil
}

func untagged(in *sm.CreateEndpointConfigInput) any {
	c := *in
	c.Tags = nil
	return document(&c)
}

// pause sleeps for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return contextError(ctx)
}
