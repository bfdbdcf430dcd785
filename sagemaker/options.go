package sagemaker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// UpdateOptions are what an UpdateEndpoint request says beside the names. As
// JSON they are the [endpoint.Change.Options] of this package; no options mean
// the zero value: blue/green, all at once, everything retained.
type UpdateOptions struct {
	// DeploymentConfig is the document of the AWS CLI's --deployment-config.
	// It is not used on a rollback: that goes all at once and without
	// alarms, since the revision is known and the alarms may still ring. A
	// rolling update goes back in batches of its own size, without waiting
	// between them, where a second fleet would not fit into the quota.
	DeploymentConfig *types.DeploymentConfig
	// RetainDeploymentConfig uses the deployment configuration of the
	// endpoint's last update once more, instead of DeploymentConfig.
	RetainDeploymentConfig bool
	// RetainAllVariantProperties keeps the instance counts and weights that
	// variants have now, whatever the new configuration says. Nil means true;
	// AWS's own default is false, which resets a busy endpoint to the counts
	// that were written down when its configuration was made.
	RetainAllVariantProperties *bool
	// ExcludeRetainedVariantProperties are the properties that are to come from
	// the new configuration all the same. What they set is what was asked for:
	// going back retains it, too.
	ExcludeRetainedVariantProperties []types.VariantPropertyType
}

// Encode returns o as the Options of an [endpoint.Change].
func (o UpdateOptions) Encode() (json.RawMessage, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return encode(o)
}

// DecodeUpdateOptions reads [endpoint.Change.Options], and checks everything
// that can be checked without reading an endpoint. A name that it does not know,
// or that is not spelled as AWS spells it, at whatever depth, is
// [endpoint.ErrInvalid], and the error names the field that was probably meant.
// So is a null in place of a value. No options, and null, are the zero value.
func DecodeUpdateOptions(raw json.RawMessage) (UpdateOptions, error) {
	var o UpdateOptions
	if noOptions(raw) {
		return o, nil
	}
	if err := decodeNoNull(raw, &o); err != nil {
		return o, fmt.Errorf("update options: %w", err)
	}
	return o, o.check()
}

// noOptions reports whether a change has no options.
func noOptions(raw json.RawMessage) bool {
	b := bytes.TrimSpace(raw)
	return len(b) == 0 || bytes.Equal(b, []byte("null"))
}

// DecodeDeploymentConfig reads the AWS CLI's --deployment-config document,
// with the same checks. A document of nothing is [endpoint.ErrInvalid], too.
func DecodeDeploymentConfig(raw []byte) (*types.DeploymentConfig, error) {
	var c types.DeploymentConfig
	if err := decodeGiven(raw, &c); err != nil {
		return nil, fmt.Errorf("DeploymentConfig: %w", err)
	}
	return &c, UpdateOptions{DeploymentConfig: &c}.check()
}

// retains reports whether a property keeps its live value.
func (o UpdateOptions) retains(p types.VariantPropertyType) bool {
	return (o.RetainAllVariantProperties == nil || *o.RetainAllVariantProperties) &&
		!slices.Contains(o.ExcludeRetainedVariantProperties, p)
}

// input is the request. A rollback retains everything; see [Endpoint.rollbackOptions]
// for its deployment.
func (o UpdateOptions) input(name string, c endpoint.Change) *sm.UpdateEndpointInput {
	in := &sm.UpdateEndpointInput{
		EndpointName: &name, EndpointConfigName: ptr(c.To.ID), RetainAllVariantProperties: ptr(true),
	}
	in.DeploymentConfig = o.DeploymentConfig
	if c.Rollback {
		return in
	}
	if o.RetainAllVariantProperties != nil {
		in.RetainAllVariantProperties = ptr(*o.RetainAllVariantProperties)
	}
	for _, p := range o.ExcludeRetainedVariantProperties {
		in.ExcludeRetainedVariantProperties = append(in.ExcludeRetainedVariantProperties, types.VariantProperty{VariantPropertyType: p})
	}
	if o.RetainDeploymentConfig {
		in.RetainDeploymentConfig = ptr(true)
	}
	return in
}

// check holds the options to AWS's published rules, as far as they do not
// depend on the endpoint.
func (o UpdateOptions) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, invalid(format, args...)) }
	if o.RetainDeploymentConfig && o.DeploymentConfig != nil {
		fail("RetainDeploymentConfig is true and DeploymentConfig is given: AWS uses one or the other")
	}
	if ex := o.ExcludeRetainedVariantProperties; len(ex) > 0 {
		if o.RetainAllVariantProperties != nil && !*o.RetainAllVariantProperties {
			fail("ExcludeRetainedVariantProperties has %d entries and RetainAllVariantProperties is false: AWS excludes only from what is retained", len(ex))
		}
		for i, p := range ex {
			switch {
			case !slices.Contains(p.Values(), p):
				fail("ExcludeRetainedVariantProperties[%d] is %q, AWS allows DesiredInstanceCount and DesiredWeight", i, p)
			case p == types.VariantPropertyTypeDataCaptureConfig:
				fail("ExcludeRetainedVariantProperties[%d] is %s, which AWS does not support", i, p)
			case slices.Contains(ex[:i], p):
				fail("ExcludeRetainedVariantProperties[%d] is %s again", i, p)
			}
		}
	}
	if o.DeploymentConfig != nil {
		errs = append(errs, checkDeployment(o.DeploymentConfig))
	}
	return errors.Join(errs...)
}
