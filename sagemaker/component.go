package sagemaker

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/endpoint"
)

// KindModel is the [endpoint.Revision.Kind] of the revisions of a [Component]:
// the ID is the name of a SageMaker model, and so is the artifact. The digest
// is one of everything else that the specification says, so that a change of
// the component's compute resources is recognised as another revision.
const KindModel = "model"

// SettingCopies is the setting of a [Component]: how many copies it is to have.
const SettingCopies = "copies"

// Component is one inference component of a SageMaker endpoint, safe for
// concurrent use. Get it from [NewComponent].
//
// An update replaces the model of its specification, and sends all the rest of
// the specification as it is: the copies are replaced in batches
// ([ComponentUpdateOptions]), old and new ones serve side by side during the update,
// and how many there are stays as it is.
//
// SageMaker keeps no old specification: what was in it before an update is in
// no other place. A component can therefore only be moved from one model to
// another, each of which is immutable and can be gone back to. One with a
// container of its own, with the environment in it, is refused, and so is an
// adapter.
//
// After an alarm or a failure SageMaker goes back by itself, and shows the
// component InService with the old specification and no error. What is served
// is therefore judged by the specification. While an update is in progress
// SageMaker does not document which specification it shows, and a Status names
// no revision until the update has ended.
//
// Errors are as those of [Endpoint].
type Component struct {
	autoscaling

	secrets        *secrets
	endpoint, name string
	sm             SageMaker
	// defaults are the options of changes that have none.
	defaults ComponentUpdateOptions
}

var (
	_ endpoint.Updater              = (*Component)(nil)
	_ endpoint.Scaler               = (*Component)(nil)
	_ endpoint.AutoscalingSuspender = (*Component)(nil)
	_ endpoint.Resolver             = (*Component)(nil)
	_ endpoint.Preflighter          = (*Component)(nil)
	_ endpoint.DurationEstimator    = (*Component)(nil)
	_ endpoint.MissedReporter       = (*Component)(nil)
	_ endpoint.OptionsHolder        = (*Component)(nil)
)

// componentName is how AWS spells inference components and the models in them.
var componentName = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$`)

// NewComponent returns an inference component of an endpoint, by the names of
// both. The clients are as for [New]. It sends nothing. An argument or option
// that is wrong is [endpoint.ErrInvalid], and the error names it.
func NewComponent(endpointName, name string, smc SageMaker, aasc AutoScaling, cwc CloudWatch, opts ...Option) (*Component, error) {
	if err := checkClients(smc, aasc, cwc); err != nil {
		return nil, err
	}
	if !entityName.MatchString(endpointName) {
		return nil, fmt.Errorf("sagemaker: endpoint name %q: %w: AWS allows 1 to 63 letters, digits and hyphens", clip(endpointName), endpoint.ErrInvalid)
	}
	if !componentName.MatchString(name) {
		return nil, fmt.Errorf("sagemaker: inference component name %q: %w: AWS allows 1 to 63 letters, digits and hyphens", clip(name), endpoint.ErrInvalid)
	}
	s, err := newChoices(opts)
	if err != nil {
		return nil, err
	}
	switch {
	case s.update != nil:
		return nil, errNoUse("WithUpdate", "an inference component")
	case s.quota != nil:
		return nil, errNoUse("WithQuota", "an inference component, which runs on the instances of its endpoint")
	}
	c := &Component{secrets: newSecrets(), endpoint: endpointName, name: name, sm: smc}
	if s.component != nil {
		if err := s.component.check(); err != nil {
			return nil, fmt.Errorf("sagemaker: WithComponentUpdate: %w", err)
		}
		c.defaults = *s.component
	}
	c.autoscaling = autoscaling{aas: aasc, cw: cwc, mode: s.mode, subject: endpointName + "/" + name, owner: c.owner}
	return c, nil
}

// NewComponentFromConfig is [NewComponent] with clients of the SDK that it makes
// from cfg, as config.LoadDefaultConfig returns it.
func NewComponentFromConfig(endpointName, name string, cfg aws.Config, opts ...Option) (*Component, error) {
	return NewComponent(endpointName, name, sm.NewFromConfig(cfg), aas.NewFromConfig(cfg), cw.NewFromConfig(cfg), opts...)
}

// Name is "sagemaker/<endpoint>/<component>".
func (c *Component) Name() string { return "sagemaker/" + c.endpoint + "/" + c.name }

// String is Name.
func (c *Component) String() string { return c.Name() }

// wrap puts the component's name to an error, once.
func (c *Component) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return endpoint.Wrap(op, c.Name(), c.secrets.known.Error(err))
}

// describe reads the component, which has to be of the endpoint.
func (c *Component) describe(ctx context.Context) (*sm.DescribeInferenceComponentOutput, error) {
	out, err := call(ctx, c.sm.DescribeInferenceComponent, &sm.DescribeInferenceComponentInput{InferenceComponentName: &c.name})
	switch {
	case err != nil:
		return nil, err
	case out.InferenceComponentName == nil || out.InferenceComponentStatus == "":
		return nil, unclear("an inference component without a name or a status")
	case *out.InferenceComponentName != c.name:
		return nil, invalid("the inference component's name is spelled %q", *out.InferenceComponentName)
	case deref(out.EndpointName) != c.endpoint:
		return nil, invalid("inference component %s is of the endpoint %q", c.name, deref(out.EndpointName))
	}
	c.secrets.learnComponent(out)
	return out, nil
}

// owner reads the component as the owner of its scalable target.
func (c *Component) owner(ctx context.Context) (owner, error) {
	out, err := c.describe(ctx)
	if err != nil {
		return owner{}, err
	}
	return ownerOfComponent(out), nil
}

func ownerOfComponent(out *sm.DescribeInferenceComponentOutput) owner {
	return owner{arn: deref(out.InferenceComponentArn), created: deref(out.CreationTime)}
}

// optionsOf are the options of a change, or else those that the component was
// made with.
func (c *Component) optionsOf(ch endpoint.Change) (ComponentUpdateOptions, error) {
	if noOptions(ch.Options) {
		return c.defaults, nil
	}
	return DecodeComponentUpdateOptions(ch.Options)
}

// ChangeOptions are the options of [WithComponentUpdate], for a rollout to write
// into its plan; nil if there are none.
func (c *Component) ChangeOptions() (json.RawMessage, error) {
	if reflect.ValueOf(c.defaults).IsZero() {
		return nil, nil
	}
	return c.defaults.Encode()
}

// Resolve completes the name of a model, which may be given as ID or as
// artifact and has to exist, with the specification that the component would
// have with it.
func (c *Component) Resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	found, err := c.resolve(ctx, r)
	return found, c.wrap("resolve", err)
}

func (c *Component) resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	model := r.ID
	switch {
	case r.Kind != "" && r.Kind != KindModel:
		return endpoint.Revision{}, invalid("revision of kind %q, want %q", r.Kind, KindModel)
	case r.ID == "" && r.Artifact == "":
		return endpoint.Revision{}, invalid("nothing is named")
	case r.ID == "":
		model = r.Artifact
	case r.Artifact != "" && r.Artifact != r.ID:
		return endpoint.Revision{}, invalid("model %s is not %s", r.ID, r.Artifact)
	}
	if !componentName.MatchString(model) {
		return endpoint.Revision{}, invalid("model name %q: AWS allows 1 to 63 letters, digits and hyphens", model)
	}
	live, err := c.describe(ctx)
	if err != nil {
		return endpoint.Revision{}, err
	}
	specs, err := specificationsOf(live)
	if err != nil {
		return endpoint.Revision{}, err
	}
	m, err := call(ctx, c.sm.DescribeModel, &sm.DescribeModelInput{ModelName: &model})
	if err != nil {
		return endpoint.Revision{}, fmt.Errorf("model %s: %w", model, err)
	}
	c.secrets.learnModel(m)
	found := revisionOf(withModel(specs, model))
	if r.Digest != "" && r.Digest != found.Digest {
		return endpoint.Revision{}, invalid("the specification of the component is another one by now: %s is not %s", found.Digest, r.Digest)
	}
	return found, nil
}

// moment is a time for people.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
