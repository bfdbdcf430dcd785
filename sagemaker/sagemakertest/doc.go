// Package sagemakertest is Amazon SageMaker in a box: endpoints, their configs
// and deployments, with Application Auto Scaling and the alarms of CloudWatch,
// as an [http.Handler] that the real clients of aws-sdk-go-v2 talk to without a
// socket. Deployments, capacity changes, an autoscaler and scheduled actions
// are a state machine on the clock of package time, so that a test in a
// testing/synctest bubble sees exact durations and a day passes in no time.
//
// A test of one's own program, whose Deploy takes the SDK's clients, an
// endpoint and the config to move it to:
//
//	func TestDeploy(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			srv := sagemakertest.New()
//			srv.Seed( // the SDK's own inputs
//				&sagemaker.CreateModelInput{…}, &sagemaker.CreateEndpointConfigInput{…}, &sagemaker.CreateEndpointInput{…},
//				&applicationautoscaling.RegisterScalableTargetInput{…}, &applicationautoscaling.PutScalingPolicyInput{…},
//			)
//			before := srv.Guarded()
//			srv.SetOutcome("model-v2", sagemakertest.RollsBack, "") // without a reason
//			if err := Deploy(t.Context(), sagemaker.NewFromConfig(srv.Config()), "sdxl", "config-v2"); err == nil {
//				t.Error("a silent rollback was taken for success")
//			}
//			if diff := cmp.Diff(before, srv.Guarded()); diff != "" {
//				t.Error(diff)
//			}
//		})
//	}
//
// httptest.NewServer(srv) serves a program that runs in another process,
// with AWS_ENDPOINT_URL set to its URL.
//
// What a test can do beside seeding:
//
//   - [Server.Fail] and [Server.OnMutation] let calls go wrong: refused,
//     throttled, slow, lost before or after they took effect, or landing late.
//   - [Server.SetOutcome] says which models and configs work, and how the
//     others fail.
//   - [Behaviour] switches what the real services do only sometimes: reads
//     that lag, configs and targets that are not found yet, an autoscaler that
//     acts in between; and what is not known of them.
//   - [Server.Do] and [Server.At] make calls as another person would, such as
//     an alarm going off; [Server.Maintain] is AWS itself.
//   - [Server.Endpoint] and [Server.Guarded] tell what is true,
//     [Server.Requests] and [Server.Mutations] what was asked.
//
// It is at least as strict as the services. Requests are decoded from what was
// sent, in the protocol that each client speaks, and checked against the
// lengths, ranges, patterns and enumerations of AWS's service models first,
// then against the rules that the documentation states: those between the
// members of a deployment config, one change at a time, quotas, what
// registration as a scalable target forbids.
//
// What it does not do: inference, metrics (an alarm changes its state when it
// is told to), composite alarms, IAM (a signature is checked for its form),
// service events, and how target tracking weighs a metric.
package sagemakertest
