package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// routing is a blue/green document with this traffic routing.
func routing(text string) string {
	return `{"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {` + text + `}}}`
}

func alarms(n int) string {
	return `{"AutoRollbackConfiguration": {"Alarms": [` + strings.TrimSuffix(strings.Repeat(`{"AlarmName": "errors"},`, n), ",") + `]}}`
}

const rolling = `{"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": 0}}`

func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inPlace := []string{"-strategy", "in-place", "-config", "c2"}
	otherType := variant("main", "m2", 3)
	otherType.InstanceType = types.ProductionVariantInstanceTypeMlG52xlarge
	for _, tt := range []struct {
		name       string
		args       []string
		deployment string // the document
		seeds      []any
		setup      func(*account)
		env        []string
		says       []string
	}{
		{name: "unknown endpoint", args: with(swap, "-endpoint", "nosuch"), says: []string{"sagemaker/nosuch", "Could not find endpoint", "check the names"}},
		{name: "impossible endpoint", args: with(swap, "-endpoint", "a/b"), says: []string{"a/b", "letters, digits and hyphens"}},
		{name: "empty endpoint", args: with(swap, "-endpoint", ""), says: []string{"-endpoint is empty"}},
		{name: "unknown config", args: with(swap, "-config", "nosuch"), says: []string{"nosuch", "Could not find endpoint configuration", "check the names"}},
		{name: "unknown model", args: []string{"-strategy", "scale-protected", "-model", "nosuch"}, says: []string{"nosuch", "Could not find model", "check the names"}},
		{name: "unknown variant", args: []string{"-strategy", "in-place", "-model", "other=m2"}, says: []string{"no variant other"}},
		{name: "same model", args: []string{"-strategy", "in-place", "-model", "m1"}, says: []string{"same artifact", "differs"}},
		{name: "same content", args: with(inPlace, "-config", "c1-again"), says: []string{"same artifact"}, seeds: []any{
			&sm.CreateEndpointConfigInput{EndpointConfigName: aws.String("c1-again"), ProductionVariants: []types.ProductionVariant{variant("main", "m1", 1), variant("side", "m1", 1)}},
		}},
		{name: "instance type of a target", args: with(inPlace, "-config", "other"), says: []string{"scalable target", "-strategy scale-protected"}, seeds: []any{
			&sm.CreateEndpointConfigInput{EndpointConfigName: aws.String("other"), ProductionVariants: []types.ProductionVariant{otherType, variant("side", "m2", 2)}},
		}},
		{name: "wrong credentials", args: swap, says: []string{"security token", "check the AWS credentials", "sagemaker:UpdateEndpoint"}, setup: func(a *account) {
			a.Fail(sagemakertest.Call{Times: -1}, sagemakertest.Refused("UnrecognizedClientException", "The security token included in the request is invalid."))
		}},
		{name: "not in service", args: with(swap, "-timeout", "200ms"), says: []string{"not ready", "-timeout"}, setup: func(a *account) {
			a.Maintain(name, time.Now(), time.Hour)
		}},
		{name: "failed", args: swap, says: []string{"Failed", "deleted and made again"}, setup: func(a *account) {
			if _, err := a.Do(&sm.UpdateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("cdead")}); err != nil {
				a.t.Fatal(err)
			}
			for a.Endpoint(name).Status == types.EndpointStatusUpdating {
				time.Sleep(time.Millisecond)
			}
		}},

		{name: "alarm that rings", args: swap, deployment: canary(0), seeds: []any{state(metrics.StateValueAlarm)}, says: []string{"errors", "unhealthy", "see why the alarm rings"}},
		{name: "alarm that is missing", args: swap, deployment: strings.Replace(canary(0), "errors", "nosuch", 1), says: []string{"nosuch"}},
		{name: "rolling on two variants", args: swap, deployment: rolling, says: []string{"RollingUpdatePolicy", "variant"}},
		{name: "canary above half", args: swap, deployment: routing(`"Type": "CANARY", "WaitIntervalInSeconds": 0, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 60}`), says: []string{"CanarySize", "60 %", "1 to 50 %"}},
		{name: "canary above half, in instances", args: swap, deployment: routing(`"Type": "CANARY", "WaitIntervalInSeconds": 0, "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 2}`), says: []string{"CanarySize", "2 instances"}},
		{name: "canary without a size", args: swap, deployment: routing(`"Type": "CANARY", "WaitIntervalInSeconds": 0`), says: []string{"CanarySize is missing"}},
		{name: "linear below a tenth", args: swap, deployment: routing(`"Type": "LINEAR", "WaitIntervalInSeconds": 0, "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 9}`), says: []string{"LinearStepSize", "10 to 50 %"}},
		{name: "no type", args: swap, deployment: routing(`"WaitIntervalInSeconds": 0`), says: []string{"Type"}},
		{name: "no wait", args: swap, deployment: routing(`"Type": "ALL_AT_ONCE"`), says: []string{"WaitIntervalInSeconds is missing"}},
		{name: "long wait", args: swap, deployment: routing(`"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 3601`), says: []string{"3601", "0 to 3600"}},
		{
			name: "timeout below its waits", args: swap, says: []string{"MaximumExecutionTimeoutInSeconds"},
			deployment: strings.Replace(canary(900), `"TerminationWait`, `"MaximumExecutionTimeoutInSeconds": 600, "TerminationWait`, 1),
		},
		{name: "two policies", args: swap, deployment: `{"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}, ` + rolling[1:], says: []string{"BlueGreenUpdatePolicy and RollingUpdatePolicy"}},
		{name: "eleven alarms", args: swap, deployment: alarms(11), says: []string{"11 entries", "1 to 10"}},
		{name: "no alarms", args: swap, deployment: alarms(0), says: []string{"0 entries"}},
		{name: "misspelt", args: swap, deployment: `{"BlueGreenPolicy": {}}`, says: []string{"BlueGreenPolicy", "correct the file"}},
		{name: "not JSON", args: swap, deployment: `{"BlueGreen`, says: []string{"deployment.json", "correct the file"}},
		{name: "empty document", args: swap, deployment: " ", says: []string{"deployment.json", "correct the file"}},
		{name: "list", args: swap, deployment: "[]", says: []string{"deployment.json", "correct the file"}},
		{name: "no file", args: with(swap, "-deployment", filepath.Join(dir, "nosuch.json")), says: []string{"nosuch.json", "name a file"}},
		{name: "directory", args: with(swap, "-deployment", dir), says: []string{dir, "name a file"}},
		{name: "empty file name", args: with(swap, "-deployment", ""), says: []string{"-deployment is empty"}},
		{name: "deployment and retained", args: with(swap, "-retain-deployment"), deployment: canary(0), says: []string{"-deployment and -retain-deployment"}},
		{name: "nothing to retain", args: with(swap, "-retain-deployment"), says: []string{"RetainDeploymentConfig"}},
		{name: "unknown property", args: with(swap, "-exclude-retained", "DesiredWeight,Colour"), says: []string{"-exclude-retained", "Colour", "DesiredInstanceCount"}},
		{name: "property that AWS does not support", args: with(swap, "-exclude-retained", "DataCaptureConfig"), says: []string{"DataCaptureConfig"}},
		{name: "property twice", args: with(swap, "-exclude-retained", "DesiredWeight,DesiredWeight"), says: []string{"again"}},
		{name: "half a list", args: with(swap, "-exclude-retained", "DesiredWeight,"), says: []string{"-exclude-retained DesiredWeight,"}},

		{name: "no region", args: swap, env: []string{"AWS_REGION=", "AWS_DEFAULT_REGION="}, says: []string{"no AWS region", "export AWS_REGION"}},
		{name: "no credentials", args: swap, env: []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, says: []string{"no AWS credentials", "export AWS_ACCESS_KEY_ID"}},
		{name: "nobody answers", args: with(swap, "-timeout", "200ms"), env: []string{"AWS_ENDPOINT_URL=http://127.0.0.1:1"}, says: []string{"127.0.0.1:1"}},
		{name: "unknown profile", args: swap, env: []string{"AWS_PROFILE=nosuch"}, says: []string{"AWS settings", "nosuch"}},

		{name: "no strategy", args: []string{"-config", "c2"}, says: []string{"-strategy is not given"}},
		{name: "unknown strategy", args: with(swap, "-strategy", "flush-to-zero"), says: []string{"flush-to-zero", "in-place or scale-protected"}},
		{name: "unknown level", args: with(swap, "-protect", "hope"), says: []string{"hope", "retain or suspend"}},
		{name: "no target", args: []string{"-strategy", "in-place"}, says: []string{"neither -config nor -model"}},
		{name: "empty target", args: []string{"-strategy", "in-place", "-config", ""}, says: []string{"-config is empty"}},
		{name: "two targets", args: with(swap, "-model", "m2"), says: []string{"-config and -model"}},
		{name: "level in place", args: with(inPlace, "-protect", "deregister"), says: []string{"-protect deregister has no meaning"}},
		{name: "deployment of null", args: swap, deployment: `null`, says: []string{"-deployment", "says nothing"}},
		{name: "deployment with a null policy", args: swap, deployment: `{"BlueGreenUpdatePolicy": null}`, says: []string{"BlueGreenUpdatePolicy is null"}},
		{name: "prescale in place", args: with(inPlace, "-prescale", "3"), says: []string{"-prescale has no meaning"}},
		{name: "negative prescale", args: with(swap, "-prescale", "-1"), says: []string{"-prescale is -1"}},
		{name: "no number", args: with(swap, "-prescale", "many"), says: []string{"-prescale"}},
		{name: "unknown flag", args: with(swap, "-nosuchflag"), says: []string{"-nosuchflag", "-h lists the flags"}},
		{name: "extra argument", args: with(swap, "surplus"), says: []string{`"surplus"`}},
		{name: "resume without journal", args: with(swap, "-resume"), says: []string{"-journal"}},
		{name: "journal that is a file", args: with(swap, "-journal", file), says: []string{file, "name a directory"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, tt.seeds...)
			if tt.setup != nil {
				tt.setup(a)
			}
			args := with([]string{"-endpoint", name}, tt.args...)
			if tt.deployment != "" {
				args = append(args, "-deployment", a.file(tt.deployment))
			}
			cmd := a.command(args...)
			cmd.Env = append(cmd.Env, tt.env...)
			cmd.Dir = t.TempDir()
			at := time.Now()
			r := start(t, cmd).Exits(2)
			if took := time.Since(at); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			r.Says(&r.Stderr, tt.says...)
			r.Says(&r.Stderr, "sagemaker: refused", "next: ")
			if out := r.Stdout.String(); out != "" {
				t.Errorf("stdout: %s", out)
			}
			a.untouched()
		})
	}
}

// A rollout that another process drives is refused with the name of that one.
func TestBusy(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	dir := t.TempDir()
	first := a.run(with(swap, "-bake", "10s", "-journal", dir)...)
	first.Until("] bake: ")
	r := a.run(with(swap, "-journal", dir)...).Exits(2)
	r.Says(&r.Stderr, "held by", fmt.Sprintf("process %d", first.Cmd.Process.Pid), "wait until")
	first.Signal(os.Interrupt)
	first.Exits(1)
	a.is("c1", "m1")
}
