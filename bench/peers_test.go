package bench

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/retry"
	"k8s.io/apimachinery/pkg/util/wait"
)

var errGaveUp = errors.New("gave up")

// awsFake is the DescribeEndpointAPIClient the SDK's waiter polls.
type awsFake struct{ probe Probe }

func (f awsFake) DescribeEndpoint(ctx context.Context, in *sagemaker.DescribeEndpointInput, _ ...func(*sagemaker.Options)) (*sagemaker.DescribeEndpointOutput, error) {
	done, err := f.probe(ctx)
	if err != nil {
		return nil, err
	}
	st := types.EndpointStatusUpdating
	if done {
		st = types.EndpointStatusInService
	}
	return &sagemaker.DescribeEndpointOutput{EndpointName: in.EndpointName, EndpointStatus: st}, nil
}

// AWSWaiter is the real aws-sdk-go-v2 waiter.
func AWSWaiter(maxWait time.Duration, opts ...func(*sagemaker.EndpointInServiceWaiterOptions)) Waiter {
	return func(ctx context.Context, probe Probe) error {
		w := sagemaker.NewEndpointInServiceWaiter(awsFake{probe}, opts...)
		return w.Wait(ctx, &sagemaker.DescribeEndpointInput{EndpointName: aws.String("e")}, maxWait)
	}
}

func awsDelays(lo, hi time.Duration) func(*sagemaker.EndpointInServiceWaiterOptions) {
	return func(o *sagemaker.EndpointInServiceWaiterOptions) { o.MinDelay, o.MaxDelay = lo, hi }
}

// Terraform is helper/retry.StateChangeConf exactly as terraform-provider-aws
// waitEndpointInService sets it: no Delay, MinTimeout or PollInterval (so
// 0, 0.2, 0.4 ... capped at 10 s) and a 60 min timeout.
func Terraform(ctx context.Context, probe Probe) error {
	sc := retry.StateChangeConf{
		Pending: []string{"Creating", "Updating", "SystemUpdating"},
		Target:  []string{"InService"},
		Timeout: 60 * time.Minute,
		Refresh: func() (any, string, error) {
			done, err := probe(ctx)
			if done {
				return true, "InService", err
			}
			return true, "Updating", err
		},
	}
	_, err := sc.WaitForStateContext(ctx)
	return err
}

// K8sPoll is apimachinery's wait.PollUntilContextCancel.
func K8sPoll(every time.Duration) Waiter {
	return func(ctx context.Context, probe Probe) error {
		return wait.PollUntilContextCancel(ctx, every, true, wait.ConditionWithContextFunc(probe))
	}
}

// Cenkalti is backoff/v4's Retry loop around a status call.
func Cenkalti(mk func() backoff.BackOff) Waiter {
	return func(ctx context.Context, probe Probe) error {
		return backoff.Retry(func() error {
			done, err := probe(ctx)
			if err != nil {
				return backoff.Permanent(err)
			}
			if !done {
				return errors.New("pending")
			}
			return nil
		}, backoff.WithContext(mk(), ctx))
	}
}

func cenkaltiExp() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.MaxElapsedTime = 0
	return b
}

// FixedPoll restates the plain loops: boto3 (call first, maxAttempts), the
// SageMaker Python SDK, hcloud-go and linodego (sleep first, no limit).
// TestParity compares it with the real code of the latter two.
func FixedPoll(every time.Duration, sleepFirst bool, maxAttempts int) Waiter {
	return func(ctx context.Context, probe Probe) error {
		for n := 1; ; n++ {
			if sleepFirst || n > 1 {
				if err := sleep(ctx, every); err != nil {
					return err
				}
			}
			if done, err := probe(ctx); done || err != nil {
				return err
			}
			if maxAttempts > 0 && n >= maxAttempts {
				return errGaveUp
			}
		}
	}
}

// RunpodFlash restates runpod-flash EndpointJob.wait: 0.25 s x1.5 up to 5 s.
func RunpodFlash(ctx context.Context, probe Probe) error {
	iv := .25
	for {
		if err := sleep(ctx, secs(iv)); err != nil {
			return err
		}
		if done, err := probe(ctx); done || err != nil {
			return err
		}
		iv = min(iv*1.5, 5)
	}
}

// awsMaxWait is the budget the caller of the AWS waiter passes: twice the
// workload's horizon (the waiter's last delays depend on it).
func awsPeer(name string, opts ...func(*sagemaker.EndpointInServiceWaiterOptions)) Peer {
	return Peer{Name: name, Kind: "real", New: func(w Workload) TargetWaiter {
		wt := AWSWaiter(2*w.Horizon, opts...)
		return func(ctx context.Context, t *Target) error { return wt(ctx, t.Probe) }
	}}
}

func heavy(p Peer) Peer { p.Heavy = true; return p }

// Peers is every peer of the table.
var Peers = []Peer{
	awsPeer("aws-sdk-go-v2 default (30 s..3600 s)"),
	Plug("aws-sdk-go-v2 default, maxWait 60 min", "real", AWSWaiter(time.Hour)),
	awsPeer("aws-sdk-go-v2 MaxDelay 120 s", awsDelays(30*time.Second, 120*time.Second)),
	awsPeer("aws-sdk-go-v2 tuned 5 s/5 s", awsDelays(5*time.Second, 5*time.Second)),
	Plug("boto3 waiter 30 s x120", "restated", FixedPoll(30*time.Second, false, 120)),
	Plug("sagemaker-python-sdk v2/v3 30 s", "restated", FixedPoll(30*time.Second, true, 0)),
	Plug("sagemaker-python-sdk v1 5 s", "restated", FixedPoll(5*time.Second, false, 0)),
	Plug("terraform-provider-aws (0.2..10 s, 60 min)", "real", Terraform),
	Plug("k8s wait.Poll 10 s", "real", K8sPoll(10*time.Second)),
	Plug("cenkalti/backoff exponential", "real", Cenkalti(cenkaltiExp)),
	Plug("cenkalti/backoff constant 5 s", "real", Cenkalti(func() backoff.BackOff { return backoff.NewConstantBackOff(5 * time.Second) })),
	Plug("runpod-flash 0.25 s x1.5..5 s", "restated", RunpodFlash),
	heavy(Plug("runpod-python 1 s", "restated", FixedPoll(time.Second, false, 0))),
	Plug("linodego 3 s", "restated", FixedPoll(3*time.Second, true, 0)),
	heavy(Plug("hcloud-go 0.5 s", "restated", FixedPoll(500*time.Millisecond, true, 0))),
}
