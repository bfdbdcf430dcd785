package sagemaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/endpoint"
)

// KindEndpointConfig is the [endpoint.Revision.Kind] of every revision of this
// package: its ID is the name of an endpoint configuration.
const KindEndpointConfig = "endpoint-config"

// Endpoint is one SageMaker endpoint, safe for concurrent use. Get it from [New].
//
// Every error is an [*endpoint.Error]; what AWS answered is in it as an
// [*APIError]. No write is repeated by the SDK, whatever retryer its client
// has: a request whose answer does not come, or does not tell what happened,
// is [endpoint.ErrUnavailable], and only reading tells what became of it.
// [Endpoint.SuspendAutoscaling] and [Endpoint.RestoreAutoscaling] repeat writes that mean the same
// when they are made twice.
type Endpoint struct {
	autoscaling

	secrets *secrets
	name    string
	sm      SageMaker
	quota   func(ctx context.Context, name string) (int, error)
	// defaults are the options of changes that have none.
	defaults UpdateOptions

	mu sync.Mutex
	// artifacts remembers what the models of endpoint configurations are: a
	// configuration never changes.
	artifacts map[string]string
}

var (
	_ endpoint.Updater              = (*Endpoint)(nil)
	_ endpoint.Scaler               = (*Endpoint)(nil)
	_ endpoint.Stager               = (*Endpoint)(nil)
	_ endpoint.AutoscalingSuspender = (*Endpoint)(nil)
	_ endpoint.Resolver             = (*Endpoint)(nil)
	_ endpoint.Preflighter          = (*Endpoint)(nil)
	_ endpoint.DurationEstimator    = (*Endpoint)(nil)
	_ endpoint.Refresher            = (*Endpoint)(nil)
	_ endpoint.MissedReporter       = (*Endpoint)(nil)
	_ endpoint.OptionsHolder        = (*Endpoint)(nil)
)

// entityName is how AWS spells endpoints, endpoint configurations, variants
// and models.
var entityName = regexp.MustCompile(`^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$`)

// New returns the endpoint of that name. The clients are the caller's own: a
// *sagemaker.Client, an *applicationautoscaling.Client and a
// *cloudwatch.Client of the AWS SDK, all of the endpoint's account and region.
// New sends nothing. An argument or option that is wrong is
// [endpoint.ErrInvalid], and the error names it.
func New(name string, smc SageMaker, aasc AutoScaling, cwc CloudWatch, opts ...Option) (*Endpoint, error) {
	if err := checkClients(smc, aasc, cwc); err != nil {
		return nil, err
	}
	if !entityName.MatchString(name) {
		return nil, fmt.Errorf("sagemaker: endpoint name %q: %w: AWS allows 1 to 63 letters, digits and hyphens", clip(name), endpoint.ErrInvalid)
	}
	s, err := newChoices(opts)
	if err != nil {
		return nil, err
	}
	if s.component != nil {
		return nil, errNoUse("WithComponentUpdate", "an endpoint")
	}
	e := &Endpoint{secrets: newSecrets(), name: name, sm: smc, quota: s.quota, artifacts: map[string]string{}}
	if s.update != nil {
		if err := s.update.check(); err != nil {
			return nil, fmt.Errorf("sagemaker: WithUpdate: %w", err)
		}
		e.defaults = *s.update
	}
	e.autoscaling = autoscaling{aas: aasc, cw: cwc, mode: s.mode, subject: name, owner: e.owner}
	return e, nil
}

// NewFromConfig is [New] with clients of the SDK that it makes from cfg, as
// config.LoadDefaultConfig returns it.
func NewFromConfig(name string, cfg aws.Config, opts ...Option) (*Endpoint, error) {
	return New(name, sm.NewFromConfig(cfg), aas.NewFromConfig(cfg), cw.NewFromConfig(cfg), opts...)
}

// owner reads the endpoint as the owner of its scalable targets.
func (e *Endpoint) owner(ctx context.Context) (owner, error) {
	live, err := e.describe(ctx)
	if err != nil {
		return owner{}, err
	}
	return ownerOf(live), nil
}

// optionsOf are the options of a change, or else those that the endpoint was
// made with.
func (e *Endpoint) optionsOf(c endpoint.Change) (UpdateOptions, error) {
	if noOptions(c.Options) {
		return e.defaults, nil
	}
	return DecodeUpdateOptions(c.Options)
}

// ChangeOptions are the options of [WithUpdate], for a rollout to write into its
// plan; nil if there are none.
func (e *Endpoint) ChangeOptions() (json.RawMessage, error) {
	if reflect.ValueOf(e.defaults).IsZero() {
		return nil, nil
	}
	return e.defaults.Encode()
}

// Name is "sagemaker/<name>".
func (e *Endpoint) Name() string { return "sagemaker/" + e.name }

// String is Name.
func (e *Endpoint) String() string { return e.Name() }

// wrap puts the endpoint's name to an error, once.
func (e *Endpoint) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return endpoint.Wrap(op, e.Name(), e.secrets.known.Error(err))
}

// describe reads the endpoint. AWS finds it whatever the case of its name, and
// journals are kept by the name: another spelling is refused.
func (e *Endpoint) describe(ctx context.Context) (*sm.DescribeEndpointOutput, error) {
	out, err := call(ctx, e.sm.DescribeEndpoint, &sm.DescribeEndpointInput{EndpointName: &e.name})
	if err != nil {
		return nil, err
	}
	if out.EndpointName == nil || out.EndpointStatus == "" {
		return nil, unclear("an endpoint without a name or a status")
	}
	if *out.EndpointName != e.name {
		return nil, invalid("the endpoint's name is spelled %q", *out.EndpointName)
	}
	return out, nil
}

// describeConfig reads an endpoint configuration.
func (e *Endpoint) describeConfig(ctx context.Context, name string) (*sm.DescribeEndpointConfigOutput, error) {
	if !entityName.MatchString(name) {
		return nil, invalid("endpoint configuration name %q", name)
	}
	return call(ctx, e.sm.DescribeEndpointConfig, &sm.DescribeEndpointConfigInput{EndpointConfigName: &name})
}

// revision completes the name of an endpoint configuration with its models.
// The artifact of one that is gone is not known.
func (e *Endpoint) revision(ctx context.Context, name *string) (endpoint.Revision, error) {
	if name == nil || *name == "" {
		return endpoint.Revision{}, nil
	}
	r := endpoint.Revision{Kind: KindEndpointConfig, ID: *name}
	e.mu.Lock()
	artifact, known := e.artifacts[*name]
	e.mu.Unlock()
	if !known {
		out, err := e.describeConfig(ctx, *name)
		switch {
		case errors.Is(err, endpoint.ErrNotFound):
			return r, nil
		case err != nil:
			return r, err
		}
		artifact = artifactOf(out.ProductionVariants, out.ShadowProductionVariants)
		e.mu.Lock()
		if len(e.artifacts) >= 64 { // a controller may live for years
			for _, old := range slices.Sorted(maps.Keys(e.artifacts))[:32] {
				delete(e.artifacts, old)
			}
		}
		e.artifacts[*name] = artifact
		e.mu.Unlock()
	}
	r.Artifact = artifact
	return r, nil
}

// Resolve completes the name of an endpoint configuration, which has to exist.
// A model has to be staged first: [errors.ErrUnsupported].
func (e *Endpoint) Resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	found, err := e.resolve(ctx, r)
	return found, e.wrap("resolve", err)
}

func (e *Endpoint) resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	switch {
	case r.Kind != "" && r.Kind != KindEndpointConfig:
		return endpoint.Revision{}, invalid("revision of kind %q, want %q", r.Kind, KindEndpointConfig)
	case r.ID == "" && r.Artifact == "":
		return endpoint.Revision{}, invalid("nothing is named")
	case r.ID == "":
		return endpoint.Revision{}, fmt.Errorf("model %s needs an endpoint configuration first: %w", clip(r.Artifact), errors.ErrUnsupported)
	}
	out, err := e.describeConfig(ctx, r.ID)
	if err != nil {
		return endpoint.Revision{}, err
	}
	found := endpoint.Revision{Kind: KindEndpointConfig, ID: r.ID, Artifact: artifactOf(out.ProductionVariants, out.ShadowProductionVariants)}
	if r.Artifact != "" && r.Artifact != found.Artifact {
		return endpoint.Revision{}, invalid("endpoint configuration %s runs %s, not %s", r.ID, found.Artifact, r.Artifact)
	}
	return found, nil
}
