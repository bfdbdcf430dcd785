package eventbridge_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/wake/eventbridge"
)

// A rollout over SageMaker, forward and back, that events wake: what it says is
// read from SageMaker all the same, and not from them.
func TestRollout(t *testing.T) {
	over := 6*time.Minute + 10*time.Second // launch, shift, terminate
	for _, tt := range []struct {
		name    string
		fails   bool
		ends    time.Duration // of the update, from its beginning
		outcome rollout.Outcome
		is      error
	}{
		{"succeeds", false, over, rollout.OutcomeSucceeded, nil},
		{"is rolled back", true, 6 * time.Minute, rollout.OutcomeRolledBack, rollout.ErrRolledBack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			looks := func(pushed bool) int {
				n := 0
				synctest.Test(t, func(t *testing.T) {
					srv := account()
					if tt.fails {
						srv.SetOutcome("model-2", sagemakertest.RollsBack, "it does not start")
					}
					cfg := srv.Config()
					e, err := sagemaker.New("sdxl", sm.NewFromConfig(cfg), aas.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg))
					if err != nil {
						t.Fatal(err)
					}
					var opts []rollout.Option
					s := newService()
					if pushed {
						wake, stop := s.queue(t).Watch(t.Context(), e.Name())
						defer stop()
						opts = append(opts, rollout.WithWake(wake), rollout.WithSchedule(eventbridge.SafetyNet(0)))
					}
					srv.OnMutation(func(_ int, action string) sagemakertest.Fault {
						if action == "sagemaker:UpdateEndpoint" {
							s.send(time.Second, stateChange("sdxl", "UPDATING"))
							s.send(tt.ends+time.Second, stateChange("sdxl", "IN_SERVICE"))
						}
						return sagemakertest.Fault{}
					})
					r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.InPlace{}, rollout.ToRevision("c2"), opts...)
					if r == nil || r.Outcome != tt.outcome || !errors.Is(err, tt.is) {
						t.Errorf("pushed %v: Run = %+v, %v", pushed, r, err)
					}
					if took := time.Since(r.Began); pushed && took > 8*time.Minute {
						t.Errorf("took %v", took)
					}
					for _, c := range srv.Requests() {
						if c.Operation == "DescribeEndpoint" {
							n++
						}
					}
				})
				return n
			}
			polled, pushed := looks(false), looks(true)
			t.Logf("%d looks by the default schedule, %d with events", polled, pushed)
			if pushed > polled/2 {
				t.Errorf("%d looks by the default schedule, and %d with events", polled, pushed)
			}
		})
	}
}

// account has the endpoint "sdxl", which serves c1, and a config c2.
func account() *sagemakertest.Server {
	srv := sagemakertest.New()
	for _, n := range []string{"1", "2"} {
		srv.Seed(
			&sm.CreateModelInput{
				ModelName: aws.String("model-" + n), ExecutionRoleArn: aws.String("arn:aws:iam::111122223333:role/models"),
				PrimaryContainer: &types.ContainerDefinition{Image: aws.String("111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme:" + n)},
			},
			&sm.CreateEndpointConfigInput{EndpointConfigName: aws.String("c" + n), ProductionVariants: []types.ProductionVariant{{
				VariantName: aws.String("main"), ModelName: aws.String("model-" + n), InitialInstanceCount: aws.Int32(2),
				InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge, InitialVariantWeight: aws.Float32(1),
			}}},
		)
	}
	srv.Seed(&sm.CreateEndpointInput{EndpointName: aws.String("sdxl"), EndpointConfigName: aws.String("c1")})
	return srv
}
