package main

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// newCanary is an account with the endpoint "solo" of one variant, which alone can be
// split, and the arguments of a canary in two steps that an alarm judges.
func newCanary(t *testing.T) (a *account, args []string) {
	a = newAccount(t,
		&sm.CreateEndpointConfigInput{EndpointConfigName: aws.String("s1"), ProductionVariants: []types.ProductionVariant{variant("main", "m1", 2)}},
		&sm.CreateEndpointInput{EndpointName: aws.String("solo"), EndpointConfigName: aws.String("s1")},
	)
	return a, []string{"-endpoint", "solo", "-strategy", "canary-by-weight", "-model", "m2", "-steps", "20,50", "-soak", "100ms", "-check-alarm", "errors"}
}

func (a *account) solo(model string) {
	a.t.Helper()
	for v, s := range a.Endpoint("solo").Variants {
		if s.Model != model || s.Current != 2 {
			a.t.Errorf("variant %s has %d instances of %s, want 2 of %s", v, s.Current, s.Model, model)
		}
	}
	a.protected()
}

func TestCanaryByWeight(t *testing.T) {
	t.Parallel()
	a, args := newCanary(t)
	a.before = a.Guarded()
	r := start(t, a.command(args...)).Exits(0)
	r.Says(&r.Stdout, "succeeded")
	r.Says(&r.Stderr, "errors: ", "20%", "50%")
	a.solo("m2")
}

// The alarm rings when the target has a fifth of the traffic: it does not get more.
func TestAlarmEndsCanary(t *testing.T) {
	t.Parallel()
	a, args := newCanary(t)
	shifts := 0
	a.OnMutation(func(_ int, action string) sagemakertest.Fault {
		if action != "sagemaker:UpdateEndpointWeightsAndCapacities" {
			return sagemakertest.Fault{}
		}
		shifts++
		return sagemakertest.Fault{Applied: true, Then: func() { a.Seed(state(metrics.StateValueAlarm)) }}
	})
	r := start(t, a.command(args...)).Exits(1)
	r.Says(&r.Stdout, "rolled back")
	r.Says(&r.Stderr, "check did not pass: errors")
	if shifts > 2 {
		t.Errorf("the traffic was moved %d times", shifts)
	}
	a.solo("m1")
}

func TestAlarmIsRefused(t *testing.T) {
	t.Parallel()
	ok := []string{"-strategy", "in-place", "-config", "c2"}
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"empty name":              {with(ok, "-check-alarm", ""), "-check-alarm"},
		"two of a name":           {with(ok, "-check-alarm", "errors", "-check-alarm", "errors"), `two checks are named "errors"`},
		"with a decision":         {[]string{"-decide", "approve", "-by", "a", "-journal", "x", "-check-alarm", "errors"}, "-check-alarm means nothing for -decide"},
		"meaning without a check": {with(ok, "-check-unknown", "hold"), "-check-unknown means nothing without a check"},
		"soak without steps":      {with(ok, "-soak", "1s"), "-soak"},
		"no steps":                {[]string{"-strategy", "canary-by-weight", "-model", "m2"}, "needs -steps"},
		"falling steps":           {[]string{"-strategy", "canary-by-weight", "-model", "m2", "-steps", "50,20"}, "-steps 50,20"},
		"steps in place":          {with(ok, "-steps", "5"), "-steps has no meaning for -strategy in-place"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			before := len(a.Requests())
			r := a.run(tt.args...).Exits(2)
			r.Says(&r.Stderr, tt.says, "next: ")
			if n := len(a.Requests()) - before; n != 0 {
				t.Errorf("it sent %d requests", n)
			}
		})
	}
}
