package runpod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync/atomic"

	"github.com/shurcooL/graphql"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// graphQL is control over RunPod's GraphQL API. Queries ask for the fields
// that they use, no more: the server refuses a query for one it does not know.
type graphQL struct {
	ask, tell func(ctx context.Context, q any, vars map[string]any) error
	// api is for what the GraphQL client takes too long to decode.
	api *httpx.Client
	// noPortsConfig is true once the server refused that field of a template.
	noPortsConfig atomic.Bool
	secrets       secrets
}

func newGraphQL(api *httpx.Client, s secrets) *graphQL {
	api.Judge = judgeGraphQL
	api.Classify = classifyGraphQL
	client := graphql.NewClient(api.URL, &http.Client{Transport: roundTripper{api}})
	return &graphQL{ask: client.Query, tell: client.Mutate, api: api, secrets: s}
}

// roundTripper lets a client of another package send by c: it sees good answers
// alone, and no key.
type roundTripper struct{ c *httpx.Client }

func (t roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	body, h, err := t.c.Send(req)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: h, Body: io.NopCloser(bytes.NewReader(body)), Request: req}, nil
}

func (g *graphQL) query(ctx context.Context, q any, vars map[string]any) error {
	if err := httpx.ContextError(ctx); err != nil {
		return err
	}
	return managementError(ctx, g.ask(ctx, q, vars))
}

func (g *graphQL) mutate(ctx context.Context, m any, vars map[string]any) error {
	if err := httpx.ContextError(ctx); err != nil {
		return err
	}
	return managementError(ctx, g.tell(context.WithValue(ctx, writing{}, true), m, vars))
}

// managementError adds what can be done about a key that was refused.
func managementError(ctx context.Context, err error) error {
	err = sendError(ctx, err)
	if errors.Is(err, endpoint.ErrUnauthorized) {
		return fmt.Errorf("the management key (RUNPOD_API_KEY) is wrong, revoked, or may not read and write GraphQL: %w", err)
	}
	return err
}

type gqlPod struct {
	ID               string
	ImageName        string
	DesiredStatus    string
	SlsVersion       *float64
	LastStatusChange *string
}

type gqlEndpoint struct {
	ID         string
	Name       string
	TemplateID string
	WorkersMin *int
	WorkersMax *int
	Type       string
	Version    *float64
	GPUIDs     *string `graphql:"gpuIds"`
	Locations  *string
	Template   *content
	Pods       []gqlPod
}

func (g *graphQL) endpoint(ctx context.Context, id string) (*state, error) {
	var q struct {
		Myself *struct {
			Endpoint *gqlEndpoint `graphql:"endpoint(id:$id)"`
		}
	}
	if err := g.query(ctx, &q, map[string]any{"id": graphql.String(id)}); err != nil {
		return nil, err
	}
	switch {
	case q.Myself == nil:
		return nil, unclear("answer without an account")
	case q.Myself.Endpoint == nil:
		return nil, fmt.Errorf("no endpoint with this id in the account of the management key: %w", endpoint.ErrNotFound)
	}
	e := q.Myself.Endpoint
	g.secrets.keepContent(e.Template)
	for _, p := range e.Pods { // what became of a worker is in words
		if p.LastStatusChange != nil {
			*p.LastStatusChange = g.secrets.Hide(*p.LastStatusChange)
		}
	}
	return e.state()
}

// state refuses to guess what the answer leaves out: a missing bound that is
// taken for 0 would be "paused", and might be restored as such.
func (e *gqlEndpoint) state() (*state, error) {
	if e.WorkersMin == nil || e.WorkersMax == nil {
		return nil, unclear("answer without worker bounds")
	}
	s := &state{
		id: e.ID, name: e.Name, kind: e.Type, templateID: e.TemplateID, template: e.Template,
		workers: bounds{*e.WorkersMin, *e.WorkersMax}, version: version(e.Version),
		hardware: hardware(splitList(text(e.GPUIDs)), splitList(text(e.Locations))),
	}
	for _, p := range e.Pods {
		if p.ID != "" {
			s.pods = append(s.pods, &pod{
				id: p.ID, image: p.ImageName, status: p.DesiredStatus,
				changed: text(p.LastStatusChange), version: version(p.SlsVersion),
			})
		}
	}
	return s, nil
}

func (g *graphQL) template(ctx context.Context, id string) (*template, error) {
	var q struct {
		PodTemplate *template `graphql:"podTemplate(id:$id)"`
	}
	vars := map[string]any{"id": graphql.String(id)}
	if !g.noPortsConfig.Load() {
		err := g.query(ctx, &q, vars)
		var api *APIError
		switch {
		case err == nil:
			return g.found(q.PodTemplate, id)
		case !errors.As(err, &api), !errors.Is(err, endpoint.ErrInvalid), !api.noPorts:
			return nil, err
		}
		// The names of ports are not in every schema that RunPod has shown.
		g.noPortsConfig.Store(true)
	}
	var plain struct {
		PodTemplate *whole `graphql:"podTemplate(id:$id)"`
	}
	if err := g.query(ctx, &plain, vars); err != nil {
		return nil, err
	}
	if plain.PodTemplate == nil {
		return found(nil, id)
	}
	return g.found(&template{whole: *plain.PodTemplate}, id)
}

// found keeps what may be secret in an answer.
func (g *graphQL) found(t *template, id string) (*template, error) {
	if t != nil {
		g.secrets.keepTemplate(t)
	}
	return found(t, id)
}

func found(t *template, id string) (*template, error) {
	if t == nil {
		return nil, noTemplate(id)
	}
	return t, nil
}

func (g *graphQL) account(ctx context.Context) (*account, error) {
	var q struct {
		Myself *struct {
			Endpoints []struct {
				ID         string
				Name       string
				TemplateID string
				WorkersMax int
			}
			PodTemplates []struct{ ID string }
		}
	}
	if err := g.query(ctx, &q, nil); err != nil {
		return nil, err
	}
	if q.Myself == nil {
		return nil, unclear("answer without an account")
	}
	a := &account{}
	for _, e := range q.Myself.Endpoints {
		a.endpoints = append(a.endpoints, accountEndpoint{id: e.ID, name: e.Name, templateID: e.TemplateID, max: e.WorkersMax})
	}
	for _, t := range q.Myself.PodTemplates {
		a.templates = append(a.templates, t.ID)
	}
	return a, nil
}

// workerQuota asks by itself: the field is not in the published schema, and
// one unknown field fails a whole query.
func (g *graphQL) workerQuota(ctx context.Context) (int, error) {
	var q struct {
		Myself *struct {
			MaxServerlessConcurrency *int
		}
	}
	err := g.query(ctx, &q, nil)
	if httpx.ContextError(ctx) != nil || endpoint.Transient(err) {
		return 0, err
	}
	if err != nil || q.Myself == nil || q.Myself.MaxServerlessConcurrency == nil {
		return 0, nil //nolint:nilerr // a refusal of the field is the answer that it is not told
	}
	return max(0, *q.Myself.MaxServerlessConcurrency), nil
}

func (g *graphQL) link(ctx context.Context, id, templateID string) error {
	var m struct {
		UpdateEndpointTemplate *struct {
			ID         string
			TemplateID string
		} `graphql:"updateEndpointTemplate(input:{endpointId:$endpointId,templateId:$templateId})"`
	}
	if err := g.mutate(ctx, &m, map[string]any{
		"endpointId": graphql.String(id), "templateId": graphql.String(templateID),
	}); err != nil {
		return err
	}
	switch got := m.UpdateEndpointTemplate; {
	case got == nil:
		return unclear("updateEndpointTemplate answered null")
	case got.ID != id || got.TemplateID != templateID:
		return unclear("updateEndpointTemplate answered endpoint %q with template %q", got.ID, got.TemplateID)
	}
	return nil
}

type gqlWorkers struct {
	ID         string
	WorkersMin *int
	WorkersMax *int
}

func (g *graphQL) setWorkers(ctx context.Context, id string, b bound, n int) (bounds, error) {
	if n > math.MaxInt32 {
		return bounds{}, fmt.Errorf("%d is no worker count: %w", n, endpoint.ErrInvalid)
	}
	vars := map[string]any{"endpointId": graphql.String(id), "workerCount": graphql.Int(n)}
	var got *gqlWorkers
	var err error
	switch b {
	case minWorkers:
		var m struct {
			Answer *gqlWorkers `graphql:"updateEndpointWorkersMin(input:{endpointId:$endpointId,workerCount:$workerCount})"`
		}
		err = g.mutate(ctx, &m, vars)
		got = m.Answer
	case maxWorkers:
		var m struct {
			Answer *gqlWorkers `graphql:"updateEndpointWorkersMax(input:{endpointId:$endpointId,workerCount:$workerCount})"`
		}
		err = g.mutate(ctx, &m, vars)
		got = m.Answer
	}
	switch {
	case err != nil:
		return bounds{}, err
	case got == nil || got.WorkersMin == nil || got.WorkersMax == nil:
		return bounds{}, unclear("answer without worker bounds")
	case got.ID != id:
		return bounds{}, unclear("answer for endpoint %q", got.ID)
	}
	now := bounds{*got.WorkersMin, *got.WorkersMax}
	if have := [...]int{now.min, now.max}[b]; have != n {
		return bounds{}, clamped(b, n, have)
	}
	return now, nil
}

func (g *graphQL) saveTemplate(ctx context.Context, t *template) (*template, error) {
	// The client takes the type of a variable from the Go type's name.
	type SaveTemplateInput struct {
		ID                      string       `json:"id"`
		Name                    string       `json:"name"`
		ImageName               string       `json:"imageName"`
		DockerArgs              string       `json:"dockerArgs"`
		Env                     []envVar     `json:"env"`
		ContainerDiskInGb       int          `json:"containerDiskInGb"`
		VolumeInGb              int          `json:"volumeInGb"`
		Ports                   *string      `json:"ports,omitempty"`
		PortsConfig             []portConfig `json:"portsConfig,omitempty"`
		VolumeMountPath         *string      `json:"volumeMountPath,omitempty"`
		ContainerRegistryAuthID *string      `json:"containerRegistryAuthId,omitempty"`
		StartJupyter            *bool        `json:"startJupyter,omitempty"`
		StartSSH                *bool        `json:"startSsh,omitempty"`
		StartScript             *string      `json:"startScript,omitempty"`
		IsServerless            *bool        `json:"isServerless,omitempty"`
		IsPublic                *bool        `json:"isPublic,omitempty"`
		Readme                  *string      `json:"readme,omitempty"`
		AdvancedStart           *bool        `json:"advancedStart,omitempty"`
		Category                *string      `json:"category,omitempty"`
	}
	in := SaveTemplateInput{
		ID: t.ID, Name: t.Name, ImageName: t.ImageName, DockerArgs: t.DockerArgs,
		Env:               append([]envVar{}, t.env()...), // never null: the list is required
		ContainerDiskInGb: t.ContainerDiskInGb, VolumeInGb: t.VolumeInGb,
		Ports: t.Ports, PortsConfig: t.PortsConfig, VolumeMountPath: t.VolumeMountPath,
		ContainerRegistryAuthID: t.ContainerRegistryAuthID, StartJupyter: t.StartJupyter, StartSSH: t.StartSSH,
		StartScript: t.StartScript, IsServerless: t.IsServerless, IsPublic: t.IsPublic, Readme: t.Readme,
		AdvancedStart: t.AdvancedStart, Category: t.Category,
	}
	g.secrets.keepTemplate(t)
	var m struct {
		SaveTemplate *whole `graphql:"saveTemplate(input:$input)"`
	}
	if err := g.mutate(ctx, &m, map[string]any{"input": in}); err != nil {
		return nil, err
	}
	if m.SaveTemplate == nil {
		return nil, unclear("saveTemplate answered null")
	}
	return &template{whole: *m.SaveTemplate, PortsConfig: t.PortsConfig}, nil
}
