// Package hfendpoint moves Hugging Face Inference Endpoints: an
// [endpoint.Updater] in one file, to be copied and changed.
//
// A revision is a model repository at a commit, "acme/sdxl@" and the 40 digits
// of the commit. The settings are the bounds of the autoscaler. The facts about
// the API are those that Hugging Face's own client library, huggingface_hub,
// relies on; where they leave a choice, this package assumes the worse.
package hfendpoint

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// URL is where Hugging Face serves the API.
const URL = "https://api.endpoints.huggingface.cloud/v2"

// The keys of the settings, and the kind of the revisions.
const (
	MinReplica = "replicas.min"
	MaxReplica = "replicas.max"
	KindModel  = "model"
)

// Endpoint is one Inference Endpoint. It is safe for concurrent use.
type Endpoint struct {
	api             *httpx.Client
	namespace, name string
}

var (
	_ endpoint.Updater  = (*Endpoint)(nil)
	_ endpoint.Scaler   = (*Endpoint)(nil)
	_ endpoint.Resolver = (*Endpoint)(nil)
)

// New returns the endpoint with this name in a user's or an organization's
// namespace. The token needs the right to write Inference Endpoints. A nil
// client is one with [httpx.DefaultTimeout], an empty base is [URL].
func New(namespace, name, token, base string, client *http.Client) (*Endpoint, error) {
	for field, value := range map[string]string{"namespace": namespace, "name": name, "token": token} {
		if value == "" || strings.ContainsAny(value, "/?# \t\r\n") {
			return nil, fmt.Errorf("huggingface: %s is empty, or has a character that it cannot have: %w", field, endpoint.ErrInvalid)
		}
	}
	if base == "" {
		base = URL
	}
	return &Endpoint{namespace: namespace, name: name, api: &httpx.Client{
		URL: base, HTTP: client, OK: []int{http.StatusOK, http.StatusAccepted},
		Authorize: func(h http.Header) { h.Set("Authorization", "Bearer "+token) },
		Explain:   httpx.ExplainJSON("error", "message"),
		Hide:      func(s string) string { return strings.ReplaceAll(s, token, "[token]") },
	}}, nil
}

// Name implements [endpoint.Updater].
func (e *Endpoint) Name() string { return "huggingface/" + e.namespace + "/" + e.name }

// document is the endpoint as the API shows it, without what is secret in it.
type document struct {
	Name  string `json:"name"`
	Model struct {
		Repository string `json:"repository"`
		Revision   string `json:"revision"`
	} `json:"model"`
	Compute struct {
		Scaling struct {
			MinReplica int `json:"minReplica"`
			MaxReplica int `json:"maxReplica"`
		} `json:"scaling"`
	} `json:"compute"`
	Status struct {
		State         string `json:"state"`
		Message       string `json:"message"`
		ReadyReplica  int    `json:"readyReplica"`
		TargetReplica int    `json:"targetReplica"`
	} `json:"status"`
}

// Status implements [endpoint.Updater]. The API counts the replicas that are
// ready, and does not say what each of them runs: while an update is in
// progress, or has failed, all of them are taken for stale, and one if none is
// counted.
func (e *Endpoint) Status(ctx context.Context) (endpoint.Status, error) {
	d, err := e.call(ctx, http.MethodGet, nil)
	if err != nil {
		return endpoint.Status{}, endpoint.Wrap("status", e.Name(), err)
	}
	scaling, s := d.Compute.Scaling, d.Status
	st := endpoint.Status{
		Desired:  revision(d.Model.Repository + "@" + d.Model.Revision),
		Settings: endpoint.Settings{MinReplica: scaling.MinReplica, MaxReplica: scaling.MaxReplica},
	}
	missing := max(0, s.TargetReplica-s.ReadyReplica)
	pool := endpoint.Pool{Stale: s.ReadyReplica}
	switch s.State {
	case "running":
		pool = endpoint.Pool{Ready: s.ReadyReplica, Starting: missing}
		if st.Phase = endpoint.PhaseReady; missing > 0 {
			st.Phase = endpoint.PhaseScaling
		}
		if s.ReadyReplica > 0 {
			st.Serving = st.Desired
		}
	case "pending", "initializing", "updating":
		pool.Starting = max(missing, 1)
		if st.Phase = endpoint.PhaseScaling; s.State == "updating" || s.ReadyReplica > 0 {
			st.Phase, pool.Stale = endpoint.PhaseUpdating, max(s.ReadyReplica, 1)
		}
	case "updateFailed", "failed":
		pool.Unhealthy = max(missing, 1)
		st.Phase, st.Reason = endpoint.PhaseFailed, httpx.Clip(s.State+": "+s.Message)
	case "paused":
		st.Phase = endpoint.PhasePaused
	case "scaledToZero":
		st.Phase = endpoint.PhaseReady // on nothing, until a request comes
	}
	st.Pools = []endpoint.Pool{pool}
	return st, nil
}

// Update implements [endpoint.Updater]. It has no options.
func (e *Endpoint) Update(ctx context.Context, c endpoint.Change) error {
	op := "update to " + c.To.ID
	repository, commit, err := parse(c.To)
	if err == nil && len(c.Options) > 0 && string(c.Options) != "null" {
		err = fmt.Errorf("update options, of which there are none: %w", endpoint.ErrInvalid)
	}
	if err == nil {
		_, err = e.call(ctx, http.MethodPut, map[string]any{"model": map[string]string{"repository": repository, "revision": commit}})
	}
	return endpoint.Wrap(op, e.Name(), err)
}

// Set implements [endpoint.Scaler] for [MinReplica] and [MaxReplica]. It sends
// that bound alone.
func (e *Endpoint) Set(ctx context.Context, key string, value int) error {
	op := fmt.Sprintf("set %s=%d", key, value)
	field, ok := map[string]string{MinReplica: "minReplica", MaxReplica: "maxReplica"}[key]
	if !ok || value < 0 {
		return endpoint.Wrap(op, e.Name(), fmt.Errorf("want %s or %s, and 0 or more: %w", MinReplica, MaxReplica, endpoint.ErrInvalid))
	}
	_, err := e.call(ctx, http.MethodPut, map[string]any{"compute": map[string]any{"scaling": map[string]int{field: value}}})
	return endpoint.Wrap(op, e.Name(), err)
}

// Resolve implements [endpoint.Resolver]. A branch or a tag is
// [endpoint.ErrMutable].
func (e *Endpoint) Resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	if r.ID == "" {
		r.ID = r.Artifact
	}
	err := httpx.ContextError(ctx)
	if err == nil {
		_, _, err = parse(r)
	}
	if err != nil {
		return endpoint.Revision{}, endpoint.Wrap("resolve", e.Name(), err)
	}
	return revision(r.ID), nil
}

func revision(id string) endpoint.Revision {
	return endpoint.Revision{Kind: KindModel, ID: id, Artifact: id}
}

var commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// parse takes a revision's ID apart.
func parse(r endpoint.Revision) (repository, commit string, err error) {
	repository, commit, ok := strings.Cut(r.ID, "@")
	switch {
	case !ok || repository == "" || commit == "" || r.Kind != "" && r.Kind != KindModel:
		return "", "", fmt.Errorf("revision %q, want a repository, @ and a commit: %w", r.ID, endpoint.ErrInvalid)
	case !commitHash.MatchString(commit):
		return "", "", fmt.Errorf("revision %q of %s, want a commit of 40 hexadecimal digits: %w", commit, repository, endpoint.ErrMutable)
	}
	return repository, commit, nil
}

// call sends one request and returns the endpoint that was answered.
func (e *Endpoint) call(ctx context.Context, method string, in any) (d document, err error) {
	err = e.api.Do(ctx, method, "endpoint/"+url.PathEscape(e.namespace)+"/"+url.PathEscape(e.name), in, &d)
	if err == nil && (d.Name != e.name || d.Model.Repository == "" || d.Status.State == "") {
		err = httpx.Unclear("an answer that is not the endpoint %s", e.name)
	}
	return d, err
}
