package sagemakertest

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

type config struct {
	name, arn string
	created   time.Time
	ready     time.Time // when endpoints can be updated to it
	detailed  bool      // whether detailed observability is on
	in        *sagemaker.CreateEndpointConfigInput
	tags      map[string]string
}

func configARN(name string) string {
	return arn("sagemaker", "endpoint-config/"+strings.ToLower(name))
}

// variants are all of them, the shadows last.
func (c *config) variants() []types.ProductionVariant {
	return slices.Concat(c.in.ProductionVariants, c.in.ShadowProductionVariants)
}

func (c *config) variant(name string) (types.ProductionVariant, bool) {
	all := c.variants()
	i := slices.IndexFunc(all, func(v types.ProductionVariant) bool { return str(v.VariantName) == name })
	if i < 0 {
		return types.ProductionVariant{}, false
	}
	return all[i], true
}

func serverless(v types.ProductionVariant) bool { return v.ServerlessConfig != nil }

func (a *account) config(name string) (*config, error) {
	c, ok := a.configs[name]
	if !ok {
		return nil, invalid("Could not find endpoint configuration %q.", configARN(name))
	}
	return c, nil
}

// usable is the config if an endpoint can be deployed with it now.
func (a *account) usable(name string) (*config, error) {
	c, err := a.config(name)
	if err == nil && a.now.Before(c.ready) {
		err = invalid("Could not find endpoint configuration %q.", configARN(name))
	}
	if err != nil {
		return nil, err
	}
	return c, a.modelsExist(c)
}

func (a *account) modelsExist(c *config) error {
	for _, v := range c.variants() {
		names := []*string{v.ModelName}
		for _, p := range v.InstancePools {
			names = append(names, p.ModelNameOverride)
		}
		for _, n := range names {
			if n == nil {
				continue
			}
			if _, err := a.model(*n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *account) createEndpointConfig(in *sagemaker.CreateEndpointConfigInput) (*sagemaker.CreateEndpointConfigOutput, error) {
	name := str(in.EndpointConfigName)
	if _, ok := a.configs[name]; ok {
		return nil, invalid("Cannot create already existing endpoint configuration %q.", configARN(name))
	}
	c := &config{name: name, arn: configARN(name), created: a.now, ready: a.now.Add(a.behaviour.ConfigLag), in: in}
	c.detailed = a.behaviour.NewDefaults
	if m := in.MetricsConfig; m != nil && m.EnableDetailedObservability != nil {
		c.detailed = *m.EnableDetailedObservability
	}
	var err error
	if c.tags, err = newTags(in.Tags); err != nil {
		return nil, err
	}
	if err := checkConfig(c); err != nil {
		return nil, err
	}
	if err := a.modelsExist(c); err != nil {
		return nil, err
	}
	a.configs[name] = c
	return &sagemaker.CreateEndpointConfigOutput{EndpointConfigArn: &c.arn}, nil
}

// checkConfig holds the rules between the members of a config.
func checkConfig(c *config) error {
	in := c.in
	if len(in.ShadowProductionVariants) > 0 && (len(in.ProductionVariants) != 1 || len(in.ShadowProductionVariants) != 1) {
		return invalid("With ShadowProductionVariants, exactly one production variant and one shadow variant can be specified.")
	}
	seen := map[string]bool{}
	for _, v := range c.variants() {
		name := str(v.VariantName)
		if seen[name] {
			return invalid("Variant names must be unique: %q.", name)
		}
		seen[name] = true
		if err := checkVariant(in, v); err != nil {
			return err
		}
	}
	return nil
}

func checkVariant(in *sagemaker.CreateEndpointConfigInput, v types.ProductionVariant) error {
	name := str(v.VariantName)
	components := v.ModelName == nil
	switch {
	case components && in.ExecutionRoleArn == nil:
		return invalid("ModelName of variant %q is required unless ExecutionRoleArn is set for inference components.", name)
	case components && v.InitialVariantWeight != nil:
		return invalid("InitialVariantWeight of variant %q is not supported for inference component endpoints.", name)
	case v.AcceleratorType != "":
		return invalid("Elastic Inference is no longer available.")
	case v.ManagedInstanceScaling != nil && !components:
		return invalid("ManagedInstanceScaling is only supported for inference component endpoints.")
	case serverless(v):
		return checkServerless(in, v)
	case v.InstanceType == "" && len(v.InstancePools) == 0:
		return invalid("InstanceType of variant %q is required for a variant that is not serverless.", name)
	case v.InstanceType != "" && len(v.InstancePools) > 0:
		return invalid("InstanceType and InstancePools of variant %q cannot be specified together.", name)
	case len(v.InstancePools) > 0 && (v.RoutingConfig == nil || v.RoutingConfig.RoutingStrategy != types.RoutingStrategyLeastOutstandingRequests):
		return invalid("InstancePools of variant %q require the routing strategy LEAST_OUTSTANDING_REQUESTS.", name)
	case v.InitialInstanceCount == nil:
		return invalid("InitialInstanceCount of variant %q is required for a variant that is not serverless.", name)
	}
	if m := v.ManagedInstanceScaling; m != nil && m.MinInstanceCount != nil && m.MaxInstanceCount != nil && *m.MinInstanceCount > *m.MaxInstanceCount {
		return invalid("MinInstanceCount of variant %q cannot be greater than MaxInstanceCount.", name)
	}
	return nil
}

func checkServerless(in *sagemaker.CreateEndpointConfigInput, v types.ProductionVariant) error {
	name, s := str(v.VariantName), v.ServerlessConfig
	switch {
	case v.InstanceType != "" || v.InitialInstanceCount != nil || len(v.InstancePools) > 0:
		return invalid("Variant %q cannot have both a ServerlessConfig and instances.", name)
	case in.AsyncInferenceConfig != nil:
		return invalid("One or more endpoint features are not supported using this configuration.")
	case num(s.MemorySizeInMB)%1024 != 0:
		return invalid("MemorySizeInMB of variant %q must be a multiple of 1024.", name)
	case s.ProvisionedConcurrency != nil && *s.ProvisionedConcurrency > num(s.MaxConcurrency):
		return invalid("ProvisionedConcurrency of variant %q cannot be greater than MaxConcurrency.", name)
	}
	return nil
}

func (a *account) describeEndpointConfig(in *sagemaker.DescribeEndpointConfigInput) (*sagemaker.DescribeEndpointConfigOutput, error) {
	c, err := a.config(str(in.EndpointConfigName))
	if err != nil {
		return nil, err
	}
	metrics := c.in.MetricsConfig
	if a.behaviour.HideDefaultMetrics && metrics != nil && metrics.EnableEnhancedMetrics == nil && c.detailed == a.behaviour.NewDefaults {
		metrics = nil
	}
	return &sagemaker.DescribeEndpointConfigOutput{
		CreationTime: &c.created, EndpointConfigArn: &c.arn, EndpointConfigName: &c.name,
		ProductionVariants: a.shown(c.in.ProductionVariants), ShadowProductionVariants: a.shown(c.in.ShadowProductionVariants),
		AsyncInferenceConfig: c.in.AsyncInferenceConfig, DataCaptureConfig: c.in.DataCaptureConfig,
		EnableNetworkIsolation: c.in.EnableNetworkIsolation, ExecutionRoleArn: c.in.ExecutionRoleArn,
		ExplainerConfig: c.in.ExplainerConfig, KmsKeyId: c.in.KmsKeyId, MetricsConfig: metrics, VpcConfig: c.in.VpcConfig,
	}, nil
}

// shown are variants as they are described.
func (a *account) shown(vs []types.ProductionVariant) []types.ProductionVariant {
	if !a.behaviour.ShowDefaultWeights {
		return vs
	}
	vs = slices.Clone(vs)
	for i, v := range vs {
		if v.InitialVariantWeight == nil && v.ModelName != nil {
			vs[i].InitialVariantWeight = ref(float32(1))
		}
	}
	return vs
}

// deleteEndpointConfig deletes a config that is in use as well: AWS only says
// that one must not do that.
func (a *account) deleteEndpointConfig(in *sagemaker.DeleteEndpointConfigInput) (*sagemaker.DeleteEndpointConfigOutput, error) {
	c, err := a.config(str(in.EndpointConfigName))
	if err != nil {
		return nil, err
	}
	delete(a.configs, c.name)
	return &sagemaker.DeleteEndpointConfigOutput{}, nil
}
