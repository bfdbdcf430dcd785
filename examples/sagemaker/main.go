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
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/examples/internal/cli"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/strategy"
)

// credentialTime bounds the look for credentials. Where there are none, the
// SDK asks a metadata service in the end, which may not even answer.
const credentialTime = 10 * time.Second

const scaleProtected = "scale-protected"

func main() {
	fs := flag.NewFlagSet("sagemaker", flag.ContinueOnError)
	shared := cli.Register(fs)
	p := newProgram(fs)
	os.Exit(cli.Main(fs, shared, func() (cli.Rollout, error) { return p.rollout(shared) }))
}

// program is the flags that only this example has.
type program struct {
	fs              *flag.FlagSet
	endpoint        string
	component       string
	strategy        *string
	config, model   string
	protect         *string
	prescale        int
	deployment      string
	retain          bool
	excludeRetained string
}

func newProgram(fs *flag.FlagSet) *program {
	p := &program{fs: fs}
	fs.StringVar(&p.endpoint, "endpoint", "", "the endpoint's `NAME`")
	fs.StringVar(&p.component, "component", "", "move the inference component `NAME` of the endpoint, to a -model, instead of the endpoint's configuration")
	p.strategy = cli.Choice(fs, "strategy", "`in-place|scale-protected`; in-place leaves autoscaling alone", "", "in-place", scaleProtected)
	fs.StringVar(&p.config, "config", "", "move to the endpoint configuration `NAME`")
	fs.StringVar(&p.model, "model", "", "move to a copy of the live configuration with the model `NAME` in every production variant; with -component, move that to it")
	p.protect = cli.Choice(fs, "protect", "how scale-protected keeps autoscaling away: `auto|retain|suspend|deregister`; auto deregisters only what AWS's rules ask for, and suspends the rest",
		"auto", "auto", "retain", "suspend", "deregister")
	fs.IntVar(&p.prescale, "prescale", 0, "with scale-protected, at least `N` instances of each variant while the update runs, never above what autoscaling allows")
	fs.StringVar(&p.deployment, "deployment", "", "how to shift traffic: a `FILE` with the document of the AWS CLI's --deployment-config; without it, all at once")
	fs.BoolVar(&p.retain, "retain-deployment", false, "shift traffic as the endpoint's last update did")
	fs.StringVar(&p.excludeRetained, "exclude-retained", "", "take these from the new configuration instead of keeping the live ones: `DesiredInstanceCount,DesiredWeight`, one or both")
	return p
}

// rollout makes of the flags what package strategy takes. It sends nothing but
// what it takes to get credentials.
func (p *program) rollout(shared *cli.Flags) (cli.Rollout, error) {
	if err := p.check(shared); err != nil {
		return cli.Rollout{}, err
	}
	// A journal can be explained by somebody who has no access.
	if shared.Explain {
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
		Name: ep.Name(), Endpoint: ep, Strategy: strategy.InPlace{}, Target: rollout.ToRevision(p.config), Advice: p.advice,
		Options: []rollout.Option{rollout.WithChangeOptions(options)},
		Remarks: func(r *rollout.Report) []string { return missed(ep, r) },
	}
	if p.model != "" {
		r.Target = rollout.ToArtifact(p.model)
	}
	if *p.strategy == scaleProtected {
		r.Strategy = strategy.ScaleProtectedSwap{Prescale: p.prescale}
	}
	return r, nil
}

// name is what the journal is kept by.
func (p *program) name() string {
	if p.component != "" {
		return "sagemaker/" + p.endpoint + "/" + p.component
	}
	return "sagemaker/" + p.endpoint
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

// checkComponent refuses flags that mean nothing for an inference component.
func (p *program) checkComponent() error {
	switch {
	case p.component == "":
		return nil
	case p.config != "":
		return cli.Advise(errors.New("-config has no meaning for -component, which has a model"), "give -model NAME")
	case p.prescale > 0:
		return cli.Advise(errors.New("-prescale has no meaning for -component, whose copies stay as many as they are"), "leave it out")
	case *p.protect == "deregister":
		return cli.Advise(errors.New("-protect deregister has no meaning for -component, which AWS updates with its scalable target registered"), "leave it out")
	case p.retain, p.excludeRetained != "":
		return cli.Advise(errors.New("-retain-deployment and -exclude-retained have no meaning for -component"), "leave them out")
	}
	return nil
}

// check refuses combinations of flags that mean nothing.
func (p *program) check(shared *cli.Flags) error {
	given := cli.Given(p.fs)
	for _, name := range []string{"component", "config", "model", "strategy", "protect", "deployment", "exclude-retained"} {
		if given[name] && strings.TrimSpace(p.fs.Lookup(name).Value.String()) == "" {
			return cli.Advise(fmt.Errorf("-%s is empty", name), "give it a value, or leave it out")
		}
	}
	switch {
	case p.endpoint == "":
		return cli.Advise(errors.New("-endpoint is empty"), "give the endpoint's name")
	case p.config != "" && p.model != "":
		return cli.Advise(errors.New("-config and -model exclude each other"), "give one of them: -config NAME goes to a configuration that exists, -model NAME makes one")
	case p.deployment != "" && p.retain:
		return cli.Advise(errors.New("-deployment and -retain-deployment exclude each other"), "give one of them: SageMaker uses one or the other")
	case p.prescale < 0:
		return cli.Advise(fmt.Errorf("-prescale is %d", p.prescale), "give a number of instances of 1 or more, or leave it out")
	case *p.strategy == "in-place" && p.prescale > 0:
		return cli.Advise(errors.New("-prescale has no meaning for -strategy in-place, which leaves the capacity alone"), "leave it out, or choose scale-protected")
	case *p.strategy == "in-place" && (*p.protect == "suspend" || *p.protect == "deregister"):
		return cli.Advise(fmt.Errorf("-protect %s has no meaning for -strategy in-place, which leaves autoscaling alone", *p.protect), "leave it out, or choose scale-protected")
	}
	if err := p.checkComponent(); err != nil {
		return err
	}
	if shared.TargetOptional() {
		return nil
	}
	switch {
	case *p.strategy == "":
		return cli.Advise(errors.New("-strategy is not given"), "choose in-place or scale-protected")
	case p.config == "" && p.model == "":
		return cli.Advise(errors.New("nothing to move to: neither -config nor -model is given"), "give -config NAME or -model NAME")
	}
	return nil
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

// settings are AWS's, from the environment and its files, as every program of
// the SDK has them. Whether they are complete is found out here: the first
// request would tell as well, but it would be repeated, as if time could help.
func settings(interval time.Duration) (aws.Config, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), credentialTime, fmt.Errorf("none were found within %v", credentialTime))
	defer cancel()
	var opts []func(*config.LoadOptions) error
	if interval > 0 {
		opts = append(opts, config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = interval })
		}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return cfg, cli.Advise(fmt.Errorf("AWS settings: %w", err), "check the AWS_… variables and ~/.aws/config")
	}
	if cfg.Region == "" {
		return cfg, cli.Advise(errors.New("there is no AWS region"), "export AWS_REGION, or set a region in ~/.aws/config")
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return cfg, cli.Advise(fmt.Errorf("there are no AWS credentials: %w", err),
			"export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role")
	}
	return cfg, nil
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
		Stage: p.model != "" && p.component == "", Prescale: p.prescale > 0, RollbackAlarms: p.deployment != "" || p.retain,
	}
}
