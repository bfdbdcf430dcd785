// Package eventbridge wakes waits on Amazon SageMaker endpoints when AWS says
// that something happened to them, instead of having them poll again and again:
// EventBridge puts SageMaker's events into an SQS queue, and one [Queue] reads
// them for any number of waits.
//
//	queue, err := eventbridge.New(sqs.NewFromConfig(cfg), queueURL)
//	if err != nil {
//		return err
//	}
//	wake, stop := queue.Watch(ctx, "my-endpoint")
//	defer stop()
//	report, err := rollout.Run(ctx, store, endpoint, strategy.InPlace{}, target,
//		rollout.WithWake(wake), rollout.WithSchedule(eventbridge.SafetyNet(0)))
//
// waiter.WithWake and waiter.WithSchedule are the same for a wait without a
// rollout.
//
// An event only makes a wait poll. What has become of the endpoint is read from
// SageMaker; an event that lies costs one poll, and one that is late, comes
// twice or does not come at all no more than the [SafetyNet], which polls every
// five minutes. AWS delivers events at best effort, and several for one change.
//
// # What has to be there
//
// A queue, a rule on the default event bus, a policy that lets the rule send to
// the queue, and the rights to read it. template.json beside this file makes
// them with AWS CloudFormation:
//
//	aws cloudformation deploy --stack-name changeover-events --template-file template.json --capabilities CAPABILITY_IAM
//
// By hand: the rule's pattern is
//
//	{"source": ["aws.sagemaker"], "detail-type": ["SageMaker Endpoint State Change"]}
//
// and its target the queue, with no input transformer. The queue is a standard
// one; its policy allows events.amazonaws.com sqs:SendMessage where
// aws:SourceArn is the rule's ARN; it keeps messages for some minutes at most,
// since nobody wants old news. The program needs sqs:ReceiveMessage and
// sqs:DeleteMessage on the queue.
//
// With the detail type "SageMaker Endpoint Deployment State Change" as well
// (the template's parameter Stages), a wait polls at every stage of a
// deployment too: a display is up to date then, for a call per stage. Without
// it a wait is woken when the endpoint comes to rest.
//
// # Who reads the queue
//
// A message is deleted once it has woken a wait of this process. One that is
// for no wait of it, or cannot be understood, is left alone: it is for another
// process that shares the queue, and seen again after two seconds, or for
// nobody, and gone when the queue forgets it. Processes that wait for the same
// endpoint need a queue each, or one of them takes the other's events; for
// others a queue of their own saves the two seconds, more than once with bad luck.
//
// The queue is read while somebody watches, and only then, by one request at a
// time that is answered as soon as there is a message, and after 20 seconds
// otherwise: three requests a minute when nothing happens. Errors are waited
// out, and never end a wait: see [Queue.Err].
package eventbridge
