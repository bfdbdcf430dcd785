// Package hftest is a fake of Hugging Face Inference Endpoints, for the tests of
// package hfendpoint. Where the API's documentation leaves a choice, [Behaviour]
// switches it.
package hftest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

// What the fake knows: one endpoint, and three commits of one repository.
const (
	Namespace  = "acme"
	Name       = "prod"
	Token      = "hf_NeverShowThisToken"
	Secret     = "sk-in-the-environment-of-the-model"
	Repository = "acme/sdxl"
	V1         = Repository + "@1111111111111111111111111111111111111111"
	V2         = Repository + "@2222222222222222222222222222222222222222"
	V3         = Repository + "@3333333333333333333333333333333333333333"
)

// Behaviour switches what is not known of the service for certain.
type Behaviour struct {
	// Start is how long a replica takes to come up, or to fail; 90 s if zero.
	Start time.Duration
	// CountsNew: while an update is in progress readyReplica counts the
	// replicas of the new revision instead of those that serve.
	CountsNew bool
	// Initializes: an update shows as "initializing" instead of "updating".
	Initializes bool
	// Busy: an endpoint that is updating refuses another update.
	Busy bool
	// Checks: a commit that does not exist is refused instead of failing later.
	Checks bool
	// Vague: an update that failed has no message.
	Vague bool
}

// Fake is the service with one endpoint, "acme/prod", which has served [V1] with
// two to four replicas for a while. It moves when it is called. It is safe for
// concurrent use.
type Fake struct {
	mu sync.Mutex
	b  Behaviour
	state
}

// state is plain data, so that a copy shares nothing.
type state struct {
	Desired, Serving string
	Min, Max         int
	Replicas         int       // that serve Serving
	More             time.Time // when the replicas that are missing are up
	Until            time.Time // when the update in progress ends; zero without one
	UpdateFailed     bool
	Paused           bool
	Empty            bool // scaled to zero
	Strange          bool
	Broken           string // the commit that does not come up
}

// New returns a fake of that behaviour.
func New(b Behaviour) *Fake {
	b.Start = cmp.Or(b.Start, 90*time.Second)
	return &Fake{b: b, state: state{Desired: V1, Serving: V1, Min: 2, Max: 4, Replicas: 2}}
}

// Wire returns a connection to the fake.
func (f *Fake) Wire() *endpointtest.Wire {
	return &endpointtest.Wire{
		Service: f,
		Copy: func() http.Handler {
			f.mu.Lock()
			defer f.mu.Unlock()
			return &Fake{b: f.b, state: f.state}
		},
		Write: func(r *http.Request, body []byte) string {
			if r.Method == http.MethodGet {
				return ""
			}
			return r.Method + " " + r.URL.Path + " " + string(body)
		},
	}
}

// Do changes the endpoint past the API, as a third party or the service does.
func (f *Fake) Do(edit func(s *State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	s := &State{Desired: f.Desired, Min: f.Min, Max: f.Max}
	edit(s)
	if s.Desired != f.Desired {
		f.update(s.Desired)
	}
	f.scale(s.Min, s.Max)
	f.Paused, f.Empty = f.Paused || s.Pause, f.Empty || s.Empty
	if s.Fails != "" {
		f.Broken = s.Fails
	}
	f.Strange = f.Strange || s.Strange
	if f.Paused || f.Empty {
		f.Replicas, f.Until, f.More = 0, time.Time{}, time.Time{}
	}
}

// State is what [Fake.Do] can change.
type State struct {
	Desired  string
	Min, Max int
	Pause    bool   // pause the endpoint
	Empty    bool   // scale it to zero
	Strange  bool   // report a state that does not exist
	Fails    string // this revision does not come up from now on
}

// Live returns the revision that the endpoint was last told to serve.
func (f *Fake) Live() string { return f.now().Desired }

// Bounds returns the bounds of the replicas.
func (f *Fake) Bounds() [2]int {
	s := f.now()
	return [2]int{s.Min, s.Max}
}

func (f *Fake) now() state {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	return f.state
}

// Actual is what the endpoint really is.
func (f *Fake) Actual() endpointtest.Actual {
	s := f.now()
	revision := func(id string) endpoint.Revision { return endpoint.Revision{Kind: "model", ID: id, Artifact: id} }
	a := endpointtest.Actual{Desired: revision(s.Desired), Updating: !s.Until.IsZero(), Paused: s.Paused, Failed: s.UpdateFailed}
	for range s.Replicas {
		a.Units = append(a.Units, endpointtest.Unit{Runs: revision(s.Serving), Up: true, Serves: true})
	}
	switch {
	case s.UpdateFailed:
		a.Units = append(a.Units, endpointtest.Unit{Runs: revision(s.Desired), Failed: true})
		a.Reason = "updateFailed"
	case a.Updating:
		a.Units = append(a.Units, endpointtest.Unit{Runs: revision(s.Desired)})
	}
	return a
}

// advance brings the endpoint up to the present.
func (f *Fake) advance() {
	now := time.Now()
	if !f.Until.IsZero() && !now.Before(f.Until) {
		f.Until = time.Time{}
		if f.Desired == f.Broken || !known(f.Desired) {
			f.UpdateFailed = true
		} else {
			f.Serving, f.Replicas, f.More = f.Desired, f.Min, time.Time{}
		}
	}
	if !f.More.IsZero() && !now.Before(f.More) {
		f.More, f.Replicas = time.Time{}, max(f.Replicas, f.Min)
	}
}

func known(revision string) bool { return slices.Contains([]string{V1, V2, V3}, revision) }

// update begins an update. One that goes back to what is served still replaces it.
func (f *Fake) update(to string) {
	f.Desired, f.UpdateFailed = to, false
	if !f.Paused {
		f.Until = time.Now().Add(f.b.Start)
	}
}

// scale sets the bounds.
func (f *Fake) scale(low, high int) {
	f.Min, f.Max = low, high
	if f.Paused || f.Empty || f.UpdateFailed {
		return
	}
	f.Replicas = min(f.Replicas, high)
	if f.Replicas < low && f.More.IsZero() {
		f.More = time.Now().Add(f.b.Start)
	}
}

// ServeHTTP implements [http.Handler].
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/endpoint/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+Token {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "Invalid credentials in Authorization header"})
		return
	}
	if path != Namespace+"/"+Name {
		answer(w, http.StatusNotFound, map[string]string{"error": "Endpoint not found"})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	switch r.Method {
	case http.MethodGet:
	case http.MethodPut:
		if status, problem := f.put(r); problem != "" {
			answer(w, status, map[string]string{"error": problem})
			return
		}
	default:
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "Method not allowed"})
		return
	}
	answer(w, http.StatusOK, f.document())
}

// put changes what the body names, and nothing else.
func (f *Fake) put(r *http.Request) (status int, problem string) {
	var in struct {
		Model   *struct{ Repository, Revision string }
		Compute *struct {
			Scaling struct{ MinReplica, MaxReplica *int }
		}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return http.StatusUnprocessableEntity, err.Error()
	}
	if m := in.Model; m != nil {
		to := m.Repository + "@" + m.Revision
		switch {
		case f.b.Checks && !known(to):
			return http.StatusBadRequest, "Revision not found: " + to
		case f.b.Busy && !f.Until.IsZero():
			return http.StatusConflict, "Endpoint is updating"
		}
		if to != f.Desired || f.UpdateFailed {
			f.update(to)
		}
	}
	if c := in.Compute; c != nil {
		low, high := f.Min, f.Max
		if v := c.Scaling.MinReplica; v != nil {
			low = *v
		}
		if v := c.Scaling.MaxReplica; v != nil {
			high = *v
		}
		if low < 0 || high < 1 || low > high {
			return http.StatusBadRequest, "minReplica must be at most maxReplica, and that at least 1"
		}
		f.scale(low, high)
	}
	return 0, ""
}

// document is the endpoint as the API shows it.
func (f *Fake) document() map[string]any {
	state, message, ready, target := "running", "Endpoint is ready", f.Replicas, max(f.Replicas, f.Min)
	switch {
	case f.Strange:
		state, message = "migrating", "Endpoint is being moved"
	case f.Paused:
		state, message, ready, target = "paused", "Endpoint is paused", 0, 0
	case !f.Until.IsZero():
		if state, message = "updating", "Endpoint waiting for the update"; f.b.Initializes {
			state, message = "initializing", "Endpoint is initializing"
		}
		if f.b.CountsNew {
			ready = 0
		}
	case f.UpdateFailed:
		if state, message = "updateFailed", "Endpoint failed to update: container exited with 1"; f.b.Vague {
			message = ""
		}
		target++
	case f.Empty:
		state, message, ready, target = "scaledToZero", "Endpoint is scaled to zero", 0, 0
	case f.Replicas == 0:
		state, message = "initializing", "Endpoint is initializing"
	}
	repository, commit, _ := strings.Cut(f.Desired, "@")
	return map[string]any{
		"name": Name, "type": "protected", "healthRoute": "/health",
		"provider": map[string]any{"vendor": "aws", "region": "us-east-1"},
		"compute": map[string]any{
			"accelerator": "gpu", "instanceType": "nvidia-l4", "instanceSize": "x1",
			"scaling": map[string]any{"minReplica": f.Min, "maxReplica": f.Max, "scaleToZeroTimeout": 15},
		},
		"model": map[string]any{
			"repository": repository, "revision": commit, "task": "text-to-image", "framework": "pytorch",
			"image": map[string]any{"huggingface": map[string]any{}}, "secrets": map[string]string{"HF_TOKEN": Secret},
		},
		"status": map[string]any{
			"state": state, "message": message, "readyReplica": ready, "targetReplica": target,
			"url": "https://abc.us-east-1.aws.endpoints.huggingface.cloud",
		},
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
