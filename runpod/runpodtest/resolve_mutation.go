package runpodtest

import (
	"context"
	"time"
)

// void is the schema's Void: always null.
type void struct{}

// ImplementsGraphQLType implements the GraphQL library's decode.Unmarshaler,
// as its scalars have to.
func (*void) ImplementsGraphQLType(name string) bool { return name == "Void" }

// UnmarshalGraphQL is never called: nothing takes a Void.
func (*void) UnmarshalGraphQL(any) error { return nil }

type templateLinkInput struct{ EndpointID, TemplateID *string }

type workersInput struct {
	EndpointID  *string
	WorkerCount *int32
}

// UpdateEndpointTemplate answers Mutation.updateEndpointTemplate.
func (*rootResolver) UpdateEndpointTemplate(ctx context.Context, args struct{ Input *templateLinkInput }) (*endpointResult, error) {
	return endpointMutation(ctx, "updateEndpointTemplate", func(st *State) (*endpoint, error) {
		if args.Input == nil || args.Input.EndpointID == nil || args.Input.TemplateID == nil {
			return nil, refusal("endpointId and templateId are required")
		}
		return st.linkTemplate(*args.Input.EndpointID, *args.Input.TemplateID)
	})
}

// UpdateEndpointWorkersMin answers Mutation.updateEndpointWorkersMin.
func (*rootResolver) UpdateEndpointWorkersMin(ctx context.Context, args struct{ Input *workersInput }) (*endpointResult, error) {
	return setWorkers(ctx, "updateEndpointWorkersMin", args.Input, func(e *Endpoint, n int) { e.WorkersMin = n })
}

// UpdateEndpointWorkersMax answers Mutation.updateEndpointWorkersMax.
func (*rootResolver) UpdateEndpointWorkersMax(ctx context.Context, args struct{ Input *workersInput }) (*endpointResult, error) {
	return setWorkers(ctx, "updateEndpointWorkersMax", args.Input, func(e *Endpoint, n int) { e.WorkersMax = n })
}

func setWorkers(ctx context.Context, field string, in *workersInput, set func(*Endpoint, int)) (*endpointResult, error) {
	return endpointMutation(ctx, field, func(st *State) (*endpoint, error) {
		if in == nil || in.EndpointID == nil || in.WorkerCount == nil {
			return nil, refusal("endpointId and workerCount are required")
		}
		return st.setBounds(*in.EndpointID, func(e *Endpoint) { set(e, int(*in.WorkerCount)) })
	})
}

// DeleteEndpoint answers Mutation.deleteEndpoint.
func (*rootResolver) DeleteEndpoint(ctx context.Context, args struct{ ID string }) (*void, error) {
	err := callOf(ctx).mutate(ctx, func(st *State) error { return st.deleteEndpoint(args.ID) }, "deleteEndpoint")
	return orNull[void](nil, err)
}

// DeleteTemplate answers Mutation.deleteTemplate.
func (*rootResolver) DeleteTemplate(ctx context.Context, args struct{ TemplateName *string }) (*void, error) {
	err := callOf(ctx).mutate(ctx, func(st *State) error {
		if args.TemplateName == nil {
			return refusal("templateName is required")
		}
		return st.deleteTemplate(*args.TemplateName)
	}, "deleteTemplate")
	return orNull[void](nil, err)
}

// endpointMutation runs a write whose answer is the endpoint as written,
// however far reads lag.
func endpointMutation(ctx context.Context, field string, f func(*State) (*endpoint, error)) (*endpointResult, error) {
	var out *endpointResult
	err := callOf(ctx).mutate(ctx, func(st *State) error {
		e, err := f(st)
		if err != nil {
			return err
		}
		out = endpointOf(st, e, st.now)
		return nil
	}, field)
	return orNull(out, err)
}

type envInput struct{ Key, Value string }

func envFrom(in []*envInput) map[string]string {
	env := map[string]string{}
	for _, v := range in {
		if v != nil {
			env[v.Key] = v.Value
		}
	}
	return env
}

type templateInput struct {
	ID, ImageName, VolumeMountPath, Ports, ContainerRegistryAuthID, StartScript, Readme, Category *string

	Name, DockerArgs                                              string
	ContainerDiskInGb, VolumeInGb                                 int32
	Env                                                           []*envInput
	StartJupyter, StartSSH, IsServerless, IsPublic, AdvancedStart *bool
}

// SaveTemplate answers Mutation.saveTemplate.
func (*rootResolver) SaveTemplate(ctx context.Context, args struct{ Input *templateInput }) (*templateResult, error) {
	var out *templateResult
	err := callOf(ctx).mutate(ctx, func(st *State) error {
		if args.Input == nil {
			return refusal("input is required")
		}
		t, err := st.saveTemplate(args.Input)
		if err != nil {
			return err
		}
		out = templateOf(st, t, time.Time{}) // an answer is never blank
		return nil
	}, "saveTemplate")
	return orNull(out, err)
}

type endpointInput struct {
	ID, TemplateID, Type, GPUIDs, ScalerType, Locations, NetworkVolumeID   *string
	AllowedCudaVersions, MinCudaVersion, FlashBootType, FlashEnvironmentID *string

	Name                                               string
	GPUCount, WorkersMin, WorkersMax, WorkersPFBTarget int32
	IdleTimeout, ScalerValue                           int32
	ExecutionTimeoutMs                                 *int32
	InstanceIDs                                        *[]string
	NetworkVolumeIDs                                   *[]struct{ NetworkVolumeID string }
	Env                                                *[]*envInput
	BindEndpoint                                       bool
}

// SaveEndpoint answers Mutation.saveEndpoint.
func (*rootResolver) SaveEndpoint(ctx context.Context, args struct{ Input endpointInput }) (*endpointResult, error) {
	return endpointMutation(ctx, "saveEndpoint", func(st *State) (*endpoint, error) { return st.saveEndpoint(&args.Input) })
}
