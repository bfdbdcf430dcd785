// Command sagemaker moves a live Amazon SageMaker endpoint to another endpoint
// configuration or model, with its autoscaling kept from interfering, and
// leaves it whole however that ends.
// It shows what a deploy job is made of: the SDK's clients, a store for the
// journal, a strategy, a target, and what to do about signals.
//
//	export AWS_REGION=…   # and credentials, in any of the ways that the AWS SDK knows
//	sagemaker -endpoint NAME -strategy in-place         -config NAME
//	sagemaker -endpoint NAME -strategy scale-protected  -model NAME -deployment canary.json
//	sagemaker -endpoint NAME -strategy scale-protected  -model NAME -protect deregister -prescale 4
//	sagemaker -endpoint NAME -component NAME -strategy scale-protected  -model NAME -deployment rolling.json
//
// -model makes a copy of the live configuration with that model in every
// production variant, or with "main=model-b,canary=model-c" in single ones.
// The third line is AWS's procedure "Update Endpoints that Use Automatic
// Scaling", in a safer order. The last line moves one inference component of the
// endpoint to another model, and leaves the endpoint's configuration alone.
//
// Add -plan to see first what it would do, and -journal DIR so that a rollout
// that was killed can be finished with the same command line and -resume, and
// so that the next one knows how long this one waited.
// -h lists the flags; package cli beside it says what is printed where.
//
// Exit statuses: 0 it serves the target, or there was nothing to do; 1 it was
// rolled back, or cancelled, and is as before; 2 refused before anything was
// changed; 3 incomplete or detached, and stderr says what remains and how to
// resume. The first SIGINT, SIGTERM, SIGHUP or SIGQUIT cancels, the second stops at once. An
// update that SageMaker has accepted cannot be stopped: what is cancelled goes
// back when that has ended.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	checks "github.com/changeover-dev/changeover/check/cloudwatch"
	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/examples/internal/cli"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/strategy"
)

// Strategies, as -strategy names them.
const (
	scaleProtected = "scale-protected"
	byWeight       = "canary-by-weight"
)

func main() {
	fs := flag.NewFlagSet("sagemaker", flag.ContinueOnError)
	shared := cli.Register(fs)
	p := newProgram(fs, shared)
	os.Exit(cli.Main(shared, help, func() (cli.Rollout, error) { return p.rollout(shared) }))
}

// program is the flags that only this example has.
type program struct {
	fs              *flag.FlagSet
	endpoint        string
	component       string
	policy          string
	strategy        *string
	config, model   string
	protect         *string
	prescale        int
	deployment      string
	retain          bool
	excludeRetained string
	steps           string
	soak            time.Duration
	alarms          []string
}

// help is what -h says beside the flags.
var help = cli.Help{
	Summary: "Moves a live Amazon SageMaker endpoint, or an inference component on one, to another endpoint configuration or model, and leaves it whole however that ends.",
	Environment: [][2]string{
		{"AWS_…", "the SDK's own: region, credentials, profile; AWS_ENDPOINT_URL sends every request elsewhere. Not needed for -explain, -decide, -abandon, -version and -h"},
	},
	Examples: [][2]string{
		{"-endpoint NAME -strategy scale-protected -model NAME -journal journal", "roll out"},
		{"-endpoint NAME -strategy scale-protected -model NAME -journal journal -resume -then", "in CI: first finish what a run before left, then roll out"},
		{"-endpoint NAME -strategy canary-by-weight -model NAME -steps 5,25,50 -soak 10m -approve go", "a canary that a person approves"},
		{"-endpoint NAME -component NAME -strategy in-place -model NAME", "an inference component"},
	},
}

func newProgram(fs *flag.FlagSet, shared *cli.Flags) *program {
	p := &program{fs: fs}
	shared.Group("where", func(fs *flag.FlagSet) {
		fs.StringVar(&p.endpoint, "endpoint", "", "the endpoint's `NAME`")
		fs.StringVar(&p.component, "component", "", "the inference component `NAME` on it, instead of the endpoint's configuration")
	})
	shared.Group("rights", func(fs *flag.FlagSet) {
		fs.StringVar(&p.policy, "policy", "", "print the IAM policy with the least rights for these flags in `REGION/ACCOUNT`, do nothing")
	})
	shared.Group("the rollout", p.what)
	shared.Group("capacity and traffic", p.how)
	shared.Group("alarms", func(fs *flag.FlagSet) {
		fs.Func("check-alarm", "judge the new revision by the CloudWatch alarm `NAME` while it has traffic; may be repeated", func(s string) error {
			if s == "" {
				return errors.New("is empty")
			}
			p.alarms = append(p.alarms, s)
			return nil
		})
	})
	return p
}

// what adds the flags that say where to go.
func (p *program) what(fs *flag.FlagSet) {
	p.strategy = cli.Choice(fs, "strategy", "`in-place|scale-protected|canary-by-weight`; in-place leaves autoscaling alone", "", "in-place", scaleProtected, byWeight)
	fs.StringVar(&p.config, "config", "", "move to the endpoint configuration `NAME`")
	fs.StringVar(&p.model, "model", "", "move to a copy of the live configuration with the model `NAME` in every production variant; with -component, move that to it")
}

// how adds the flags that say how capacity and traffic are moved.
func (p *program) how(fs *flag.FlagSet) {
	p.protect = cli.Choice(fs, "protect", "how scale-protected keeps autoscaling away: `auto|retain|suspend|deregister`; auto deregisters only what AWS's rules ask for, and suspends the rest",
		"auto", "auto", "retain", "suspend", "deregister")
	fs.IntVar(&p.prescale, "prescale", 0, "with scale-protected, at least `N` instances of each variant while the update runs, never above what autoscaling allows")
	fs.StringVar(&p.deployment, "deployment", "", "how to shift traffic: a `FILE` with the document of the AWS CLI's --deployment-config; without it, all at once")
	fs.BoolVar(&p.retain, "retain-deployment", false, "shift traffic as the endpoint's last update did")
	fs.StringVar(&p.excludeRetained, "exclude-retained", "", "take these from the new configuration instead of keeping the live ones: `DesiredInstanceCount,DesiredWeight`, one or both")
	fs.StringVar(&p.steps, "steps", "", "with canary-by-weight, the shares of the traffic in percent, such as `5,25,50`")
	cli.Duration(fs, &p.soak, "soak", 0, "how long each of -steps is watched: `D`")
}

// rollout makes of the flags what package rollout takes. It sends nothing but
// what it takes to get credentials.
func (p *program) rollout(shared *cli.Flags) (cli.Rollout, error) {
	if err := p.check(shared); err != nil {
		return cli.Rollout{}, err
	}
	if region, account, ok := strings.Cut(p.policy, "/"); p.policy != "" {
		if !ok || region == "" || account == "" {
			return cli.Rollout{}, cli.Advise(fmt.Errorf("-policy %s names no region and account", p.policy), "give them as eu-west-1/111122223333")
		}
		doc, err := p.access().Policy("aws", region, account, p.endpoint)
		return cli.Rollout{Print: string(doc)}, err
	}
	// A journal can be read, and decided about, without access.
	if shared.Offline() {
		return cli.Rollout{Name: p.name()}, nil
	}
	options, err := p.options(shared)
	if err != nil {
		return cli.Rollout{}, err
	}
	mode, err := sagemaker.ParseAutoscalingMode(*p.protect)
	if err != nil {
		return cli.Rollout{}, err
	}
	cfg, err := settings(shared.Interval)
	if err != nil {
		return cli.Rollout{}, err
	}
	ep, err := p.updater(cfg, mode)
	if err != nil {
		return cli.Rollout{}, cli.Advise(err, "give names, without their ARNs")
	}
	r := cli.Rollout{
		Name: ep.Name(), Endpoint: ep, Strategy: strategy.InPlace{}, Target: rollout.ToRevision(p.config), Advice: p.advice, Agrees: p.agrees,
		Options: []rollout.Option{rollout.WithChangeOptions(options)},
		Remarks: func(r *rollout.Report) []string { return missed(ep, r) },
	}
	if p.config == "" {
		r.Target = rollout.Target{} // what is served, with -refresh
	}
	if p.model != "" {
		r.Target = rollout.ToArtifact(p.model)
	}
	for _, name := range p.alarms {
		c, err := checks.Alarm(cloudwatch.NewFromConfig(cfg), name)
		if err != nil {
			return cli.Rollout{}, cli.Advise(err, "give the alarm's name, without its ARN")
		}
		r.Checks = append(r.Checks, cli.Check{Name: name, Check: c})
	}
	switch *p.strategy {
	case scaleProtected:
		r.Strategy = strategy.ScaleProtectedSwap{Prescale: p.prescale}
	case byWeight:
		if r.Strategy, err = p.canary(); err != nil {
			return cli.Rollout{}, err
		}
	}
	return r, nil
}

// name is the endpoint's, or the component's, as the journal has it.
func (p *program) name() string {
	if p.component != "" {
		return "sagemaker/" + p.endpoint + "/" + p.component
	}
	return "sagemaker/" + p.endpoint
}

// canary is the strategy that -steps and -soak describe.
func (p *program) canary() (strategy.Strategy, error) {
	var s strategy.CanaryByWeight
	for text := range strings.SplitSeq(p.steps, ",") {
		percent, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || percent < 1 || percent > 99 || len(s.Steps) > 0 && percent <= s.Steps[len(s.Steps)-1].Percent {
			return nil, cli.Advise(fmt.Errorf("-steps %s: %q is no share from 1 to 99 that is above the one before", p.steps, text), "give rising percentages, such as 5,25,50")
		}
		s.Steps = append(s.Steps, strategy.TrafficStep{Percent: percent, Soak: p.soak})
	}
	return s, nil
}

// agrees refuses flags that say something else than a plan that is made.
func (p *program) agrees(plan *strategy.Plan) error {
	if p.config != "" && p.config != plan.Target.ID {
		return fmt.Errorf("-config %s is not what the plan says: %s", p.config, plan.Target)
	}
	if p.model != "" && p.model != plan.Target.Artifact {
		return fmt.Errorf("-model %s is not what the plan says: %s", p.model, plan.Target)
	}
	return nil
}

// target is an endpoint or an inference component.
type target interface {
	endpoint.Updater
	endpoint.MissedReporter
}

func (p *program) updater(cfg aws.Config, mode sagemaker.AutoscalingMode) (target, error) {
	if p.component != "" {
		return sagemaker.NewComponentFromConfig(p.endpoint, p.component, cfg, sagemaker.WithAutoscalingMode(mode))
	}
	return sagemaker.NewFromConfig(p.endpoint, cfg, sagemaker.WithAutoscalingMode(mode))
}

// options are SageMaker's own of the update. A rollout that is resumed has
// them in its journal: whether a file of then is still there does not matter.
func (p *program) options(shared *cli.Flags) (json.RawMessage, error) {
	if shared.TargetOptional() {
		return nil, nil
	}
	if p.component != "" {
		return p.componentOptions()
	}
	o := sagemaker.UpdateOptions{RetainDeploymentConfig: p.retain}
	if p.excludeRetained != "" {
		for name := range strings.SplitSeq(p.excludeRetained, ",") {
			o.ExcludeRetainedVariantProperties = append(o.ExcludeRetainedVariantProperties, types.VariantPropertyType(strings.TrimSpace(name)))
		}
	}
	if p.deployment != "" {
		raw, err := os.ReadFile(p.deployment)
		if err != nil {
			return nil, cli.Advise(fmt.Errorf("-deployment: %w", err), "name a file that this user may read")
		}
		if o.DeploymentConfig, err = sagemaker.DecodeDeploymentConfig(raw); err != nil {
			return nil, cli.Advise(fmt.Errorf("-deployment %s: %w", p.deployment, err), "correct the file; it is the document of the AWS CLI's --deployment-config, in JSON")
		}
	}
	raw, err := o.Encode()
	if err != nil {
		return nil, cli.Advise(fmt.Errorf("-exclude-retained %s: %w", p.excludeRetained, err), "give DesiredInstanceCount, DesiredWeight, or both with a comma between them")
	}
	return raw, nil
}

// missed are the scheduled actions that were due while autoscaling was
// suspended: AWS does not make up for them.
func missed(ep endpoint.MissedReporter, r *rollout.Report) []string {
	if r.Plan == nil || r.Plan.Autoscaling == nil {
		return nil
	}
	all, err := ep.Missed(*r.Plan.Autoscaling, r.Began, r.Finished)
	if err != nil {
		return []string{fmt.Sprintf("whether scheduled actions were due in the meantime is not known: %v", err)}
	}
	return all
}

// advice says what to do about a refusal, in terms of this program's flags.
func (p *program) advice(err error) string {
	for _, known := range []struct {
		err  error
		next string
	}{
		{endpoint.ErrUnauthorized, "check the AWS credentials; they need " + strings.Join(p.access().Actions(), ", ")},
		{endpoint.ErrNotFound, "check the names, AWS_REGION, and that the credentials are of the endpoint's account"},
		{endpoint.ErrSameArtifact, "name a model or a configuration that differs from the one in service"},
		{endpoint.ErrFailed, "an update to a configuration that works gets an endpoint out of UpdateRollbackFailed; one that is Failed has to be deleted and made again"},
		{endpoint.ErrUnhealthy, "see why the alarm rings; a deployment that has it would be rolled back at once"},
		{sagemaker.ErrScalableTarget, "choose -strategy scale-protected with -protect auto or deregister"},
		{endpoint.ErrQuota, "delete what is not needed, or ask AWS for a higher quota"},
		{endpoint.ErrDrift, "somebody changes the endpoint: see who, and try again"},
		{errors.ErrUnsupported, "choose another -strategy, which the endpoint can be moved by"},
		{endpoint.ErrInvalid, "correct what the message names, and try again"},
	} {
		if errors.Is(err, known.err) {
			return known.next
		}
	}
	return ""
}

// access is what this command line needs to be allowed.
func (p *program) access() sagemaker.Access {
	return sagemaker.Access{
		Component: p.component,
		Suspend:   *p.strategy == scaleProtected, Mode: sagemaker.AutoscalingMode(*p.protect),
		Stage: p.model != "" && p.component == "", Prescale: p.prescale > 0, RollbackAlarms: p.deployment != "" || p.retain || len(p.alarms) > 0,
	}
}

// componentOptions are those of an update of an inference component.
func (p *program) componentOptions() (json.RawMessage, error) {
	if p.deployment == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(p.deployment)
	if err != nil {
		return nil, cli.Advise(fmt.Errorf("-deployment: %w", err), "name a file that this user may read")
	}
	c, err := sagemaker.DecodeComponentDeploymentConfig(raw)
	if err != nil {
		return nil, cli.Advise(fmt.Errorf("-deployment %s: %w", p.deployment, err),
			"correct the file; it is the document of --deployment-config of the AWS CLI's update-inference-component, in JSON")
	}
	return sagemaker.ComponentUpdateOptions{DeploymentConfig: c}.Encode()
}
