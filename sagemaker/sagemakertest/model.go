package sagemakertest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

type model struct {
	created time.Time
	arn     string
	in      *sagemaker.CreateModelInput
	tags    map[string]string
}

func modelARN(name string) string { return arn("sagemaker", "model/"+strings.ToLower(name)) }

func (a *account) createModel(in *sagemaker.CreateModelInput) (*sagemaker.CreateModelOutput, error) {
	name := str(in.ModelName)
	if _, ok := a.models[name]; ok {
		return nil, invalid("Cannot create already existing model %q.", modelARN(name))
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	a.models[name] = &model{a.now, modelARN(name), in, tags}
	return &sagemaker.CreateModelOutput{ModelArn: ref(modelARN(name))}, nil
}

func (a *account) model(name string) (*model, error) {
	m, ok := a.models[name]
	if !ok {
		return nil, invalid("Could not find model %q.", modelARN(name))
	}
	return m, nil
}

func (a *account) describeModel(in *sagemaker.DescribeModelInput) (*sagemaker.DescribeModelOutput, error) {
	m, err := a.model(str(in.ModelName))
	if err != nil {
		return nil, err
	}
	return &sagemaker.DescribeModelOutput{
		CreationTime: &m.created, ModelArn: &m.arn, ModelName: m.in.ModelName, Containers: m.in.Containers,
		EnableNetworkIsolation: m.in.EnableNetworkIsolation, ExecutionRoleArn: m.in.ExecutionRoleArn,
		InferenceExecutionConfig: m.in.InferenceExecutionConfig, PrimaryContainer: m.in.PrimaryContainer, VpcConfig: m.in.VpcConfig,
	}, nil
}

func (a *account) deleteModel(in *sagemaker.DeleteModelInput) (*sagemaker.DeleteModelOutput, error) {
	if _, err := a.model(str(in.ModelName)); err != nil {
		return nil, err
	}
	delete(a.models, str(in.ModelName))
	return &sagemaker.DeleteModelOutput{}, nil
}

// images are what the containers of a model were resolved to at a deployment.
func (a *account) images(name string) []types.DeployedImage {
	m, ok := a.models[name]
	if !ok {
		return nil
	}
	containers := m.in.Containers
	if m.in.PrimaryContainer != nil {
		containers = []types.ContainerDefinition{*m.in.PrimaryContainer}
	}
	var out []types.DeployedImage
	for _, c := range containers {
		if c.Image == nil {
			continue
		}
		repo := *c.Image
		if i := strings.LastIndexByte(repo, ':'); i > strings.LastIndexByte(repo, '/') {
			repo = repo[:i]
		}
		out = append(out, types.DeployedImage{
			SpecifiedImage: c.Image,
			ResolvedImage:  ref(fmt.Sprintf("%s@sha256:%x", repo, sha256.Sum256([]byte(*c.Image)))),
			ResolutionTime: ref(a.now),
		})
	}
	return out
}
