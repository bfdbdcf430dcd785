package runpod

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// rest is RunPod's REST API, version 2. It decodes what decides, and leaves alone
// every field of an answer that does not.
type rest struct {
	api     *httpx.Client
	secrets secrets
}

// get reads path into out.
func (r *rest) get(ctx context.Context, out any, path ...string) error {
	return r.do(ctx, http.MethodGet, nil, out, path...)
}

func (r *rest) do(ctx context.Context, method string, in, out any, path ...string) error {
	return restError(r.api.Do(ctx, method, joined(path), in, out))
}

func joined(path []string) string {
	escaped := make([]string, len(path))
	for i, p := range path {
		escaped[i] = url.PathEscape(p)
	}
	return strings.Join(escaped, "/")
}

// restError adds what can be done about a key that was refused.
func restError(err error) error {
	if errors.Is(err, endpoint.ErrUnauthorized) {
		return fmt.Errorf("the management key (RUNPOD_API_KEY) is wrong, revoked, or may not read and write the REST API: %w", err)
	}
	return err
}

// absent says what was not found, where RunPod only says that something was not.
func absent(err error, what string) error {
	if errors.Is(err, endpoint.ErrNotFound) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return err
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
		r.secrets.AddCommand(s.own.cmd...)
	}
	return s, err
}

// account does not know which template an endpoint is linked to: REST does not
// tell. The shape of another endpoint stops nothing.
func (r *rest) account(ctx context.Context) (*account, error) {
	a := &account{}
	err := r.pages(ctx, "endpoints", []string{"serverless"}, nil, func(i int, item []byte) error {
		var e struct {
			ID      string `json:"id"`
			Name    any    `json:"name"`
			Workers any    `json:"workers"`
		}
		if err := shape(fmt.Sprintf("endpoints[%d]", i), item, &e); err != nil {
			return err
		}
		name, _ := e.Name.(string)
		one := accountEndpoint{id: e.ID, name: name}
		workers, _ := e.Workers.(map[string]any)
		if n, ok := workers["max"].(float64); ok && n == math.Trunc(n) && math.Abs(n) <= math.MaxInt32 {
			one.max = int(n)
		} else {
			one.noMax = true
		}
		a.endpoints = append(a.endpoints, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

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
		return bounds{}, clamped(b, n, have)
	}
	return s.workers, nil
}

func (r *rest) patch(ctx context.Context, id string, p patch) (*state, error) {
	p.keep(r.secrets)
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
