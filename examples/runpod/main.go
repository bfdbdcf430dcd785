// Command runpod moves a live RunPod Serverless endpoint to another template
// or image, by one of three strategies, and leaves it whole however that ends.
// It shows what a deploy job is made of: a client, a store for the journal, a
// strategy, a target, and what to do about signals.
//
//	export RUNPOD_API_KEY=…          # and RUNPOD_JOB_KEY, if the job plane has a key of its own
//	runpod -endpoint ID -strategy in-place      -image REF
//	runpod -endpoint ID -strategy flush-to-zero -image REF
//
// Moving to a template needs RunPod's GraphQL API, which retires in early 2027:
//
//	runpod -api graphql -endpoint ID -strategy in-place|flush-to-zero -template ID
//	runpod -api graphql -endpoint ID -strategy alternating-template   -templates A,B -image REF
//
// Add -plan to see first what it would do, and -journal DIR so that a rollout
// that was killed can be finished with the same command line and -resume, and
// so that the next one knows how long this one waited.
// -h lists the flags; package cli beside it says what is printed where.
//
// Exit statuses: 0 it serves the target, or there was nothing to do; 1 it was
// rolled back, or cancelled, and is as before; 2 refused before anything was
// changed; 3 incomplete or detached, and stderr says what remains and how to
// resume. The first SIGINT, SIGTERM, SIGHUP or SIGQUIT cancels, the second stops at once.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/examples/internal/cli"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/strategy"
)

// proofs are the values of -prove.
var proofs = map[string]strategy.Proof{"config": strategy.ProofConfiguration, "boot": strategy.ProofWorkers}

func main() {
	fs := flag.NewFlagSet("runpod", flag.ContinueOnError)
	shared := cli.Register(fs)
	p := newProgram(fs, shared)
	os.Exit(cli.Main(shared, help, func() (cli.Rollout, error) { return p.rollout(shared) }))
}

// program is the flags that only this example has.
type program struct {
	fs                         *flag.FlagSet
	endpoint                   string
	strategy                   *string
	template, image, templates string
	api                        *string
	restURL                    string
	graphQLURL, jobURL         string
	prove                      *string
	allowPaused                bool
	allowMutable, allowShared  bool
	drain                      time.Duration
}

// help is what -h says beside the flags.
var help = cli.Help{
	Summary: "Moves a live RunPod Serverless endpoint to another image or template, and leaves it whole however that ends.",
	Environment: [][2]string{
		{"RUNPOD_API_KEY", "the management key; needed for everything but -explain, -decide, -abandon, -version and -h"},
		{"RUNPOD_JOB_KEY", "the key of the job plane, if it has one of its own"},
	},
	Examples: [][2]string{
		{"-endpoint ID -strategy in-place -image acme/sdxl:v2 -journal journal", "roll out"},
		{"-endpoint ID -strategy in-place -image acme/sdxl:v2 -journal journal -resume -then", "in CI: first finish what a run before left, then roll out"},
		{"-endpoint ID -strategy in-place -image acme/sdxl:v2 -plan -json > plan.json", "make a plan, to be applied with -apply plan.json once it is approved"},
		{"-endpoint ID -journal journal -decide approve -by alice", "approve a rollout that waits for it"},
	},
}

func newProgram(fs *flag.FlagSet, shared *cli.Flags) *program {
	p := &program{fs: fs}
	shared.Group("where", p.where)
	shared.Group("the rollout", p.what)
	return p
}

// where adds the flags that say where the endpoint is.
func (p *program) where(fs *flag.FlagSet) {
	fs.StringVar(&p.endpoint, "endpoint", "", "the endpoint's `ID`")
	p.api = cli.Choice(fs, "api", "the management API: `rest|graphql`; graphql links templates, and retires in early 2027", "rest", "rest", "graphql")
	fs.StringVar(&p.restURL, "rest-url", runpod.DefaultRESTURL, "`URL` of the REST API")
	fs.StringVar(&p.graphQLURL, "graphql-url", runpod.DefaultGraphQLURL, "`URL` of the GraphQL API")
	fs.StringVar(&p.jobURL, "job-url", runpod.DefaultJobURL, "`URL` of the job plane")
}

// what adds the flags that say where to go, and how.
func (p *program) what(fs *flag.FlagSet) {
	p.strategy = cli.Choice(fs, "strategy", "`in-place|flush-to-zero|alternating-template`", "", "in-place", "flush-to-zero", "alternating-template")
	fs.StringVar(&p.template, "template", "", "move to the template `ID`")
	fs.StringVar(&p.image, "image", "", "move to the image `REF`: by replacing the live template's, or by staging it into the idle one of -templates")
	fs.StringVar(&p.templates, "templates", "", "the two templates `A,B` to swap between")
	p.prove = cli.Choice(fs, "prove", "an endpoint with no live worker: take it by its configuration, or boot one worker on the new revision: `config|boot`", "config", "config", "boot")
	fs.BoolVar(&p.allowPaused, "allow-paused", false, "agree that the endpoint is paused, and is left paused")
	fs.BoolVar(&p.allowMutable, "allow-mutable-tag", false, "allow an image without a tag, or with the tag latest")
	fs.BoolVar(&p.allowShared, "allow-shared-template", false, "allow a template that other endpoints use")
	cli.Duration(fs, &p.drain, "drain", 0, "before a flush to zero, wait up to `D` for the jobs at hand; 0 does not wait")
}

// rollout makes of the flags what package rollout takes. It sends nothing.
func (p *program) rollout(shared *cli.Flags) (cli.Rollout, error) {
	if err := p.check(shared); err != nil {
		return cli.Rollout{}, err
	}
	// A journal can be read, and decided about, without a key.
	if shared.Offline() {
		return cli.Rollout{Name: "runpod/" + p.endpoint}, nil
	}
	key := os.Getenv("RUNPOD_API_KEY")
	if strings.TrimSpace(key) == "" {
		return cli.Rollout{}, cli.Advise(errors.New("RUNPOD_API_KEY is empty"), "export a RunPod API key that may read and write the chosen API")
	}
	transport := runpod.REST
	if *p.api == "graphql" {
		transport = runpod.GraphQL
	}
	client, err := runpod.New(key, runpod.WithTransport(transport), runpod.WithJobKey(os.Getenv("RUNPOD_JOB_KEY")),
		runpod.WithRESTURL(p.restURL), runpod.WithGraphQLURL(p.graphQLURL), runpod.WithJobURL(p.jobURL))
	if err != nil {
		return cli.Rollout{}, cli.Advise(err, "check RUNPOD_API_KEY, RUNPOD_JOB_KEY, -rest-url, -graphql-url and -job-url")
	}
	var opts []runpod.EndpointOption
	if p.allowMutable {
		opts = append(opts, runpod.AllowMutableTag())
	}
	if p.allowShared {
		opts = append(opts, runpod.AllowSharedTemplate())
	}
	ep := client.Endpoint(p.endpoint, opts...)
	r := cli.Rollout{
		Name: ep.Name(), Endpoint: ep, Target: rollout.ToRevision(p.template), Advice: advice, Agrees: p.agrees,
		Options: []rollout.Option{rollout.WithProof(proofs[*p.prove])},
	}
	if p.template == "" {
		r.Target = rollout.Target{} // what is served, with -refresh
	}
	if p.image != "" {
		r.Target = rollout.ToArtifact(p.image)
	}
	if p.allowPaused {
		r.Options = append(r.Options, rollout.AllowPaused())
	}
	switch *p.strategy {
	case "in-place":
		r.Strategy = strategy.InPlace{}
	case "flush-to-zero":
		r.Strategy = strategy.FlushToZero{Drain: p.drain}
	case "alternating-template":
		a, b, _ := strings.Cut(p.templates, ",")
		r.Strategy = strategy.AlternatingTemplate{Templates: [2]string{strings.TrimSpace(a), strings.TrimSpace(b)}}
	}
	return r, nil
}

// agrees refuses flags that say something else than a plan that is made.
func (p *program) agrees(plan *strategy.Plan) error {
	if p.template != "" && p.template != plan.Target.ID {
		return fmt.Errorf("-template %s is not what the plan says: %s", p.template, plan.Target)
	}
	if p.image != "" && p.image != plan.Target.Artifact {
		return fmt.Errorf("-image %s is not what the plan says: %s", p.image, plan.Target)
	}
	return nil
}

// check refuses combinations of flags that mean nothing.
func (p *program) check(shared *cli.Flags) error {
	given := cli.Given(p.fs)
	for _, name := range []string{"template", "image", "templates", "strategy"} {
		if given[name] && p.fs.Lookup(name).Value.String() == "" {
			return cli.Advise(fmt.Errorf("-%s is empty", name), "give it a value, or leave it out")
		}
	}
	pair := *p.strategy == "alternating-template"
	linked := cmp.Or(p.template, p.templates) != "" || pair
	switch {
	case p.endpoint == "":
		return cli.Advise(errors.New("-endpoint is empty"), "give the endpoint's id, such as i02xupws21hp6i")
	case p.template != "" && p.image != "":
		return cli.Advise(errors.New("-template and -image exclude each other"), "give one of them")
	case p.template != "" && p.templates != "":
		return cli.Advise(errors.New("-template and -templates exclude each other"), "give -templates A,B with -image REF for alternating-template, and -template ID for the others")
	case p.templates != "" && *p.strategy != "" && !pair:
		return cli.Advise(fmt.Errorf("-templates has no meaning for -strategy %s", *p.strategy), "leave it out, or choose alternating-template")
	case p.template != "" && pair:
		return cli.Advise(errors.New("-template has no meaning for -strategy alternating-template"), "give the two templates with -templates A,B and the image to stage with -image REF")
	case p.drain > 0 && *p.strategy != "" && *p.strategy != "flush-to-zero":
		return cli.Advise(fmt.Errorf("-drain has no meaning for -strategy %s, which lets each worker finish its job", *p.strategy), "leave it out")
	case p.templates != "":
		if err := checkPair(p.templates); err != nil {
			return err
		}
	}
	if linked && *p.api == "rest" && !shared.Offline() {
		return cli.Advise(errors.New("templates are not linked over -api rest"), "name the image with -image and choose in-place or flush-to-zero, or add -api graphql, which works until early 2027")
	}
	if shared.TargetOptional() {
		return nil
	}
	switch {
	case *p.strategy == "":
		return cli.Advise(errors.New("-strategy is not given"), "choose in-place, flush-to-zero (which has downtime) or alternating-template")
	case pair && (p.templates == "" || p.image == ""):
		return cli.Advise(errors.New("-strategy alternating-template needs -templates and -image"), "give the two templates with -templates A,B and the image to stage with -image REF")
	case p.template == "" && p.image == "" && shared.Refresh == "":
		return cli.Advise(errors.New("nothing to move to: neither -template nor -image is given"), "give -template ID or -image REF")
	}
	return nil
}

func checkPair(templates string) error {
	ids := strings.Split(templates, ",")
	for i := range ids {
		ids[i] = strings.TrimSpace(ids[i])
	}
	if len(ids) != 2 || ids[0] == "" || ids[1] == "" || ids[0] == ids[1] {
		return cli.Advise(fmt.Errorf("-templates %s does not name two different templates", cmp.Or(templates, `""`)), "give two ids with a comma between them")
	}
	return nil
}

// advice says what to do about a refusal, in terms of this program's flags.
func advice(err error) string {
	for _, known := range []struct {
		err  error
		next string
	}{
		{endpoint.ErrUnauthorized, "check RUNPOD_API_KEY and RUNPOD_JOB_KEY, and what they may do"},
		{endpoint.ErrNotFound, "check the ids: the endpoint and its templates have to be in the account of RUNPOD_API_KEY"},
		{endpoint.ErrSameArtifact, "push the new image under a tag of its own, and move to that"},
		{endpoint.ErrMutable, "name the image by a version or digest, or add -allow-mutable-tag"},
		{endpoint.ErrShared, "use a template that is this endpoint's alone, or add -allow-shared-template"},
		{endpoint.ErrPaused, "raise the endpoint's maximum of workers, or add -allow-paused to leave it paused"},
		{endpoint.ErrQuota, "lower the maximum of workers of other endpoints, or ask RunPod for more"},
		{endpoint.ErrDrift, "somebody edits the template: see who, and try again"},
		{errors.ErrUnsupported, "name an image with -image, or add -api graphql, which works until early 2027"},
		{endpoint.ErrInvalid, "correct what the message names, and try again"},
	} {
		if errors.Is(err, known.err) {
			return known.next
		}
	}
	return ""
}
