package sagemakertest

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// Reservation is reserved capacity, by a training plan for endpoints.
type Reservation struct {
	InstanceType types.ReservedCapacityInstanceType
	// Instances is how many there are, and Others how many of them are used by
	// others than the account's endpoints.
	Instances, Others int32
	// Status is Active if it is empty.
	Status types.TrainingPlanStatus
}

// reservationARN is the ARN of the training plan of that name.
func reservationARN(name string) string { return arn("sagemaker", "training-plan/"+name) }

// SetReservation makes a training plan of that name, or changes it, and returns
// its ARN, for the CapacityReservationConfig of a variant.
func (s *Server) SetReservation(name string, r Reservation) (arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	if r.Status == "" {
		r.Status = types.TrainingPlanStatusActive
	}
	s.account.reserved[reservationARN(name)] = r
	return reservationARN(name)
}

// SetExperiment lets an inference experiment of that name run on an endpoint;
// with no endpoint it is completed.
func (s *Server) SetExperiment(name, endpoint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	s.account.experiments[name] = endpoint
}

// reservation is what a variant gets its instances from; empty if it is not a
// reservation.
func reservation(v types.ProductionVariant) string {
	if v.CapacityReservationConfig == nil {
		return ""
	}
	return str(v.CapacityReservationConfig.MlReservationArn)
}

// uses is how many instances of a reservation an endpoint has, or is getting.
func (e *endpoint) uses(arn string) int32 {
	var n int32
	for _, v := range e.all() {
		if reservation(v.spec) == arn {
			n += max(v.current, v.desired)
		}
	}
	if j := e.job; j != nil && j.kind == deployment {
		for _, v := range j.all() {
			if reservation(v.spec) == arn {
				n += v.current
			}
		}
	}
	return n
}

// available is how many instances of a reservation are left.
func (a *account) available(arn string) int32 {
	r := a.reserved[arn]
	n := r.Instances - r.Others
	for _, e := range a.endpoints {
		n -= e.uses(arn)
	}
	return max(0, n)
}

// lacksReserved reports whether a deployment wants more instances of a
// reservation than are left: those fail to launch.
func (a *account) lacksReserved(j *job) bool {
	part := 1.0
	if j.rolling {
		part = j.batch
	}
	wants := map[string]int32{}
	for _, v := range j.all() {
		if at := reservation(v.spec); at != "" {
			wants[at] += count(part, v.desired)
		}
	}
	for at, n := range wants {
		if r, ok := a.reserved[at]; !ok || r.Status != types.TrainingPlanStatusActive || n > a.available(at) {
			return true
		}
	}
	return false
}

// reservationSummary is what DescribeEndpoint shows of a variant's reservation.
func (a *account) reservationSummary(e *endpoint, v *variant) *types.ProductionVariantCapacityReservationSummary {
	at := reservation(v.spec)
	if at == "" {
		return nil
	}
	r := a.reserved[at]
	return &types.ProductionVariantCapacityReservationSummary{
		MlReservationArn: &at, CapacityReservationPreference: v.spec.CapacityReservationConfig.CapacityReservationPreference,
		TotalInstanceCount: &r.Instances, AvailableInstanceCount: ref(a.available(at)), UsedByCurrentEndpoint: ref(e.uses(at)),
	}
}

func (a *account) describeTrainingPlan(in *sagemaker.DescribeTrainingPlanInput) (*sagemaker.DescribeTrainingPlanOutput, error) {
	at := reservationARN(str(in.TrainingPlanName))
	r, ok := a.reserved[at]
	if !ok {
		return nil, refuse("ResourceNotFound", "Could not find training plan %q.", at)
	}
	return &sagemaker.DescribeTrainingPlanOutput{
		TrainingPlanArn: &at, TrainingPlanName: in.TrainingPlanName, Status: r.Status, TotalInstanceCount: &r.Instances, AvailableInstanceCount: ref(a.available(at)),
		ReservedCapacitySummaries: []types.ReservedCapacitySummary{{
			InstanceType: r.InstanceType, Status: types.ReservedCapacityStatusActive, TotalInstanceCount: &r.Instances,
			ReservedCapacityArn: ref(strings.Replace(at, "training-plan", "reserved-capacity", 1)),
		}},
		TargetResources: []types.SageMakerResourceName{types.SageMakerResourceNameEndpoint},
	}, nil
}

// experimentStatus is running as long as the experiment has an endpoint.
func experimentStatus(endpoint string) types.InferenceExperimentStatus {
	if endpoint == "" {
		return types.InferenceExperimentStatusCompleted
	}
	return types.InferenceExperimentStatusRunning
}

func (a *account) describeInferenceExperiment(in *sagemaker.DescribeInferenceExperimentInput) (*sagemaker.DescribeInferenceExperimentOutput, error) {
	on, ok := a.experiments[str(in.Name)]
	if !ok {
		return nil, refuse("ResourceNotFound", "Could not find inference experiment %q.", arn("sagemaker", "inference-experiment/"+str(in.Name)))
	}
	out := &sagemaker.DescribeInferenceExperimentOutput{
		Arn: ref(arn("sagemaker", "inference-experiment/"+*in.Name)), Name: in.Name, Status: experimentStatus(on), Type: types.InferenceExperimentTypeShadowMode,
		RoleArn: ref("arn:aws:iam::" + Account + ":role/experiments"), ModelVariants: []types.ModelVariantConfigSummary{},
	}
	if on != "" {
		out.EndpointMetadata = &types.EndpointMetadata{EndpointName: &on}
	}
	return out, nil
}

func (a *account) listInferenceExperiments(in *sagemaker.ListInferenceExperimentsInput) (*sagemaker.ListInferenceExperimentsOutput, error) {
	var all []types.InferenceExperimentSummary
	for name, on := range a.experiments {
		if s := experimentStatus(on); (in.StatusEquals == "" || in.StatusEquals == s) && contains(name, in.NameContains) {
			all = append(all, types.InferenceExperimentSummary{Name: &name, Status: s, Type: types.InferenceExperimentTypeShadowMode, CreationTime: &a.born, LastModifiedTime: &a.born})
		}
	}
	ordered(all, false, func(x types.InferenceExperimentSummary) time.Time { return *x.CreationTime }, true, func(x types.InferenceExperimentSummary) string { return *x.Name })
	asked := *in
	asked.NextToken, asked.MaxResults = nil, nil
	items, next, err := page(all, "experiments "+flat(&asked), in.NextToken, size(in.MaxResults, 10), errToken)
	return &sagemaker.ListInferenceExperimentsOutput{InferenceExperiments: items, NextToken: next}, err
}
