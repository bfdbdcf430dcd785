package runpod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// rest is control over RunPod's REST API, version 2. It ignores every field of
// an answer that it does not know.
type rest struct {
	url     string
	send    func(*http.Request) (*http.Response, error)
	limits  *limits
	secrets secrets
}

var (
	_ control = (*rest)(nil)
	_ patcher = (*rest)(nil)
	_ watcher = (*rest)(nil)
	_ control = (*graphQL)(nil)
	_ linker  = (*graphQL)(nil)
)

// get reads path into out.
func (r *rest) get(ctx context.Context, out any, path ...string) error {
	return r.do(ctx, http.MethodGet, nil, out, path...)
}

func (r *rest) do(ctx context.Context, method string, in, out any, path ...string) error {
	if err := contextError(ctx); err != nil {
		return err
	}
	for i, p := range path {
		path[i] = url.PathEscape(p)
	}
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%w: %w", endpoint.ErrInvalid, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url+"/"+strings.Join(path, "/"), body)
	if err != nil {
		return fmt.Errorf("%w: %w", endpoint.ErrInvalid, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
		// A request that may have arrived is never sent again by itself.
		req.GetBody = nil
	}
	res, err := r.send(req)
	if err != nil {
		return restError(sendError(ctx, err))
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		// The decoder's error repeats parts of the answer, which may be anything.
		return unclear("answer in another shape than was asked for")
	}
	return nil
}

// restError adds what can be done about a key that was refused.
func restError(err error) error {
	if errors.Is(err, endpoint.ErrUnauthorized) {
		return fmt.Errorf("the management key (RUNPOD_API_KEY) is wrong, revoked, or may not read and write the REST API: %w", err)
	}
	return err
}

// restContainer are the container settings that endpoints and templates share.
type restContainer struct {
	Image    *string           `json:"image"`
	Args     string            `json:"args"`
	Disk     int               `json:"disk"`
	Ports    []string          `json:"ports"`
	Env      map[string]string `json:"env"`
	Registry *string           `json:"registry"`
}

func (c *restContainer) content(id, name string) content {
	ports := strings.Join(c.Ports, ",")
	return content{
		ID: id, Name: name, ImageName: text(c.Image), DockerArgs: c.Args, Env: envList(c.Env), Ports: &ports,
		ContainerDiskInGb: c.Disk, ContainerRegistryAuthID: c.Registry,
	}
}

func splitPorts(s string) []string {
	if s == "" {
		return []string{}
	}
	return strings.Split(s, ",")
}

type restEndpoint struct {
	restContainer
	ID      string `json:"id"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Workers *struct {
		Min *int `json:"min"`
		Max *int `json:"max"`
	} `json:"workers"`

	GPU *struct {
		Pools    []string `json:"pools"`
		Excluded []string `json:"excludedTypes"`
		Count    int      `json:"count"`
		Allowed  []string `json:"allowedCudaVersions"`
		Minimum  *string  `json:"minCudaVersion"`
	} `json:"gpu"`
	CPU            []any    `json:"cpu"`
	DataCenterIDs  []string `json:"dataCenterIds"`
	NetworkVolumes []string `json:"networkVolumes"`
	FlashBoot      string   `json:"flashboot"`
}

// state refuses to guess what the answer leaves out: a missing bound that is
// taken for 0 would be "paused", and might be restored as such.
func (e *restEndpoint) state() (*state, error) {
	switch {
	case e.Workers == nil || e.Workers.Min == nil || e.Workers.Max == nil:
		return nil, unclear("answer without worker bounds")
	case text(e.Image) == "":
		return nil, unclear("answer without an image")
	}
	return &state{
		id: e.ID, name: e.Name, kind: e.Type, workers: bounds{*e.Workers.Min, *e.Workers.Max},
		own: &settings{content: e.content("", ""), hardware: e.hardware()},
	}, nil
}

// hardware is a document that is the same for the same hardware.
func (e *restEndpoint) hardware() string {
	inOrder := func(s []string) []string {
		s = append([]string(nil), s...) // nil if there is none
		slices.Sort(s)
		return s
	}
	doc := []any{e.CPU, inOrder(e.DataCenterIDs), inOrder(e.NetworkVolumes), e.FlashBoot}
	if g := e.GPU; g != nil {
		doc = append(doc, inOrder(g.Pools), inOrder(g.Excluded), g.Count, inOrder(g.Allowed), text(g.Minimum))
	}
	b, _ := json.Marshal(doc) // what was decoded from JSON always marshals
	return string(b)
}

func (r *rest) endpoint(ctx context.Context, id string) (*state, error) {
	var e restEndpoint
	if err := r.get(ctx, &e, "serverless", id); err != nil {
		return nil, absent(err, "no endpoint with this id in the account of the management key")
	}
	return r.state(&e)
}

// state keeps what may be secret in an answer.
func (r *rest) state(e *restEndpoint) (*state, error) {
	s, err := e.state()
	if err == nil {
		r.secrets.keepContent(&s.own.content)
	}
	return s, err
}

// absent says what was not found, where RunPod only says that something was not.
func absent(err error, what string) error {
	if errors.Is(err, endpoint.ErrNotFound) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return err
}

type restTemplate struct {
	restContainer
	ID         string `json:"id"`
	Name       string `json:"name"`
	Serverless *bool  `json:"serverless"`
}

func (t *restTemplate) template() *template {
	c := t.content(t.ID, t.Name)
	c.IsServerless = t.Serverless
	return &template{whole: whole{content: c}}
}

func (r *rest) template(ctx context.Context, id string) (*template, error) {
	var t restTemplate
	if err := r.get(ctx, &t, "templates", id); err != nil {
		if errors.Is(err, endpoint.ErrNotFound) {
			return found(nil, id)
		}
		return nil, err
	}
	read := t.template()
	r.secrets.keepTemplate(read)
	return read, nil
}

func (r *rest) templates(ctx context.Context) ([]*template, error) {
	var list struct {
		Templates []*restTemplate `json:"templates"`
	}
	if err := r.get(ctx, &list, "templates"); err != nil {
		return nil, err
	}
	if list.Templates == nil {
		return nil, unclear("answer without templates")
	}
	var all []*template
	for _, t := range list.Templates {
		if t != nil && t.ID != "" {
			read := t.template()
			r.secrets.keepTemplate(read)
			all = append(all, read)
		}
	}
	return all, nil
}

// account does not know which template an endpoint is linked to: REST does not
// tell.
func (r *rest) account(ctx context.Context) (*account, error) {
	var list struct {
		Endpoints []*restEndpoint `json:"endpoints"`
	}
	if err := r.get(ctx, &list, "serverless"); err != nil {
		return nil, err
	}
	if list.Endpoints == nil {
		return nil, unclear("answer without endpoints")
	}
	a := &account{}
	for _, e := range list.Endpoints {
		if e != nil && e.Workers != nil && e.Workers.Max != nil {
			a.endpoints = append(a.endpoints, accountEndpoint{id: e.ID, name: e.Name, max: *e.Workers.Max})
		}
	}
	return a, nil
}

// workerQuota is told by no REST answer but a refusal.
func (*rest) workerQuota(context.Context) (int, error) { return 0, nil }

func (r *rest) setWorkers(ctx context.Context, id string, b bound, n int) (bounds, error) {
	if n > math.MaxInt32 {
		return bounds{}, fmt.Errorf("%d is no worker count: %w", n, endpoint.ErrInvalid)
	}
	var w patchBounds
	switch b {
	case minWorkers:
		w.Min = &n
	case maxWorkers:
		w.Max = &n
	}
	s, err := r.patch(ctx, id, patch{Workers: &w})
	if err != nil {
		return bounds{}, err
	}
	if have := [...]int{s.workers.min, s.workers.max}[b]; have != n {
		return bounds{}, unclear("answer shows %d workers where %d were written", have, n)
	}
	return s.workers, nil
}

func (r *rest) patch(ctx context.Context, id string, p patch) (*state, error) {
	r.secrets.keep(p.secrets()...)
	var e restEndpoint
	if err := r.do(ctx, http.MethodPatch, p, &e, "serverless", id); err != nil {
		return nil, absent(err, "no such endpoint or template in the account of the management key")
	}
	s, err := r.state(&e)
	if err == nil && s.id != id {
		err = unclear("answer for endpoint %q", s.id)
	}
	return s, err
}

func (r *rest) turn() time.Duration { return r.limits.turn(time.Now()) }
