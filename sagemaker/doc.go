// Package sagemaker drives an Amazon SageMaker endpoint: which endpoint
// configuration it serves, how an update moves it to another, how many
// instances its variants have, and how Application Auto Scaling is kept from
// interfering and put back afterwards.
//
//	cfg, err := config.LoadDefaultConfig(ctx) // github.com/aws/aws-sdk-go-v2/config
//	if err != nil {
//		return err
//	}
//	e, err := sagemaker.New("my-endpoint", awssagemaker.NewFromConfig(cfg),
//		applicationautoscaling.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg))
//
// The clients are the caller's. An [Endpoint] is an [endpoint.Updater] with
// every optional ability but jobs: it reads and writes, and never waits for a
// rollout. Waiting is package waiter's, ordering steps is package strategy's,
// and carrying them out and rolling back is package rollout's.
//
// # What has to be known of SageMaker
//
// An endpoint configuration never changes, so a rollout goes to another one:
// an existing one by its name, or a copy of the live one with another model
// ([Endpoint.Draft]) or any edit ([Endpoint.DraftWith]).
//
// An update that fails is rolled back by SageMaker itself, and the endpoint is
// InService again, often without a reason. What is served is therefore judged
// by the configuration's name and never by the status alone. An update that
// was accepted cannot be stopped.
//
// An update has no token that would tell a repeated request from a new one. No
// write is repeated by the SDK's retryer, whatever the clients are set to, and
// an answer that did not come is resolved by reading.
//
// # Autoscaling
//
// SageMaker's page on updating endpoints with automatic scaling asks for two
// things: targets of variants whose instance type changes, or that are
// removed, have to be deregistered, and an update has to retain variant
// properties, or the counts that autoscaling chose are lost. [AutoscalingAuto]
// deregisters no more than that. Deregistering destroys policies, scheduled
// actions, tags, and the actions of alarms; [Endpoint.SnapshotAutoscaling] holds them all
// and [Endpoint.RestoreAutoscaling] makes them again, which changes ARNs and the names of
// the alarms that target-tracking policies own. Suspending loses nothing.
// [SaveAutoscaling] and [LoadAutoscaling] do the same for other programs.
//
// # Many endpoints
//
// Waits of one account and region can share a [Lister], which lists what is
// updating: then a thousand of them take 120 calls a minute, and describe their
// endpoints twice each. It needs the right to sagemaker:ListEndpoints.
//
// The module wake/eventbridge lets AWS's events wake waits instead.
//
// Journals are kept by the endpoint's name, which is its own in one account and
// region only: keep a store for each of them, or a prefix in one. A rollout that
// began on an endpoint of that name elsewhere is not resumed.
//
// # Inference components
//
// An endpoint may host inference components, each with a model of its own and a
// number of copies. A [Component] is one of them, rolled from one model to
// another while the endpoint's configuration stays as it is.
//
// # Traffic steps
//
// A strategy.CanaryByWeight puts a variant "<name>-co-canary" with the new model
// beside the variant that serves, moves the traffic to it in steps by its weight,
// and ends with a configuration of the one variant again. It is for endpoints of
// one production variant on instances. The capacity of both is paid for while it
// lasts, and each of the two updates starts a whole new fleet beside that. The
// weight and the counts of the endpoint's own variant are kept at any time.
// Metrics of the two are told apart by the dimension VariantName; a check is given
// both names.
//
// # Capacity
//
// A preflight reads what an update needs before anything is written: capacity
// reservations and training plans, instance pools, shadow variants and running
// inference experiments, and quotas where [WithQuota] lets them be read. The time
// that instances and copies are configured to be given counts as time to wait.
//
// What the package does not do: create or delete endpoints, models and inference
// components, and wait. [Endpoint.CleanUp] deletes configurations that it made,
// and nothing else is ever deleted.
package sagemaker
