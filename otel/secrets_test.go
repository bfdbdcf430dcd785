package otel_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/page"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// environment is a secret that a container was given.
const environment = "hf_k3y<of>&the\"model+0123456789"

// spellings are the ways in which a provider was seen to repeat a secret.
func spellings(s string) map[string]string {
	var unicode strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&unicode, "\\u%04x", c)
	}
	return map[string]string{
		"clear": s, "a prefix": s[:10] + "...", "with a newline": s + "\n", "query": url.QueryEscape(s), "path": url.PathEscape(s), "HTML": html.EscapeString(s),
		"\\u": unicode.String(), "base64": base64.StdEncoding.EncodeToString([]byte(s)), "in a shell": "sh: HF_TOKEN=" + s + ": not found",
	}
}

// refusing are endpoints whose providers refuse every update with the text.
func refusing(t *testing.T) map[string]func(text string) endpoint.Updater {
	return map[string]func(string) endpoint.Updater{
		"runpod": func(text string) endpoint.Updater {
			srv := runpodtest.New()
			tpl := srv.AddTemplate(runpodtest.Template{Image: "acme/sdxl:v1", Env: map[string]string{"HF_TOKEN": environment}})
			srv.AddImage(runpodtest.Image{Ref: "acme/sdxl:v2"})
			id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: tpl, WorkersMin: 1, WorkersMax: 3})
			srv.OnMutation(func(int, string) runpodtest.Fault { return runpodtest.Refused("no: " + text) })
			client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(srv.Client()))
			if err != nil {
				t.Fatal(err)
			}
			return client.Endpoint(id)
		},
		"sagemaker": func(text string) endpoint.Updater {
			srv := sagemakertest.New()
			for _, id := range []string{"1", "2"} {
				srv.Seed(
					&sm.CreateModelInput{
						ModelName: aws.String("m" + id), ExecutionRoleArn: aws.String("arn:aws:iam::111122223333:role/models"),
						PrimaryContainer: &types.ContainerDefinition{
							Image:       aws.String("111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme:" + id),
							Environment: map[string]string{"HF_TOKEN": environment},
						},
					},
					&sm.CreateEndpointConfigInput{EndpointConfigName: aws.String("c" + id), ProductionVariants: []types.ProductionVariant{{
						VariantName: aws.String("main"), ModelName: aws.String("m" + id), InitialInstanceCount: aws.Int32(1),
						InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge, InitialVariantWeight: aws.Float32(1),
					}}},
				)
			}
			srv.Seed(&sm.CreateEndpointInput{EndpointName: aws.String("sdxl"), EndpointConfigName: aws.String("c1")})
			srv.Fail(sagemakertest.Call{Action: "sagemaker:UpdateEndpoint", Times: -1}, sagemakertest.Refused("ValidationException", "no: "+text))
			ep, err := sagemaker.NewFromConfig("sdxl", srv.Config())
			if err != nil {
				t.Fatal(err)
			}
			return ep
		},
	}
}

// What a container was given shows in no output of a rollout, however the provider
// spells it: errors, reports, events, journal, plan, explanation, page, summary, log,
// traces and metrics.
func TestNoOutputHasASecret(t *testing.T) {
	targets := map[string]rollout.Target{"runpod": rollout.ToArtifact("acme/sdxl:v2"), "sagemaker": rollout.ToArtifact("m2")}
	for provider, open := range refusing(t) {
		for spelled, text := range spellings(environment) {
			t.Run(provider+", "+spelled, func(t *testing.T) {
				t.Parallel()
				outputs := outputsOf(t, open(text), targets[provider])
				for name, out := range outputs {
					if len(out) == 0 {
						t.Errorf("%s is empty", name)
					}
					for _, never := range []string{strings.TrimSpace(text), environment, environment[:6], url.QueryEscape(environment), base64.StdEncoding.EncodeToString([]byte(environment))} {
						if strings.Contains(out, never) {
							t.Errorf("%s has %q:\n%s", name, never, out)
						}
					}
				}
				if !strings.Contains(outputs["error"], "no: ") {
					t.Errorf("the error has none of the provider's own words: %s", outputs["error"])
				}
			})
		}
	}
}

// outputsOf runs a rollout that its provider refuses, and returns all that is made of it.
func outputsOf(t *testing.T, u endpoint.Updater, target rollout.Target) map[string]string {
	t.Helper()
	c := newCollector(t)
	tel, flush := c.telemetry()
	store := journal.NewMemory()
	run := tel.Start(t.Context(), store, u)
	var mu sync.Mutex
	var log, events bytes.Buffer
	opts := append(run.Options(), fast...)
	opts = append(opts, rollout.WithStartTimeout(20*time.Second),
		rollout.WithObserver(rollout.Slog(slog.New(slog.NewJSONHandler(&locked{mu: &mu, b: &log}, &slog.HandlerOptions{Level: slog.LevelDebug})))),
		rollout.WithObserver(func(_ context.Context, e rollout.Event) {
			mu.Lock()
			defer mu.Unlock()
			b, err := json.Marshal(e)
			fmt.Fprintln(&events, e.String(), string(b), err)
		}))
	report, err := rollout.Run(run.Context(), store, run.Updater(), strategy.InPlace{}, target, opts...)
	run.End(report, err)
	flush()
	if err == nil || report.Plan == nil {
		t.Fatalf("Run = %v, %v", report, err)
	}
	records, lerr := store.Load(t.Context(), u.Name())
	document, jerr := json.Marshal(records)
	reported, rerr := json.Marshal(report)
	explained, eerr := rollout.Explain(t.Context(), store, u.Name())
	timeline, perr := page.Load(t.Context(), store, u.Name())
	for _, err := range []error{lerr, jerr, rerr, eerr, perr} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var shown, summary bytes.Buffer
	if err := timeline.WriteHTML(&shown); err != nil {
		t.Fatal(err)
	}
	if err := timeline.WriteMarkdown(&summary); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return map[string]string{
		"error": err.Error(), "error, in full": fmt.Sprintf("%+v %#v", err, err), "report": string(reported), "journal": string(document),
		"plan": report.Plan.String(), "explanation": explained, "page": shown.String(), "summary": summary.String(), "events": events.String(), "log": log.String(),
		"traces": fmt.Sprint(c.spans), "metrics": fmt.Sprint(c.metrics),
	}
}

// locked is a buffer that an observer writes to.
type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
