package runpod

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/changeover-dev/changeover/endpoint"
)

// FuzzRESTAnswers is FuzzAnswers over REST.
func FuzzRESTAnswers(f *testing.F) {
	const key = "rpa_SECRETSECRET"
	for _, s := range []string{
		`{"id":"abc","name":"n","type":"QUEUE","image":"a/b:c","args":"x","disk":20,"ports":["80/http"],"env":{"K":"V"},"registry":null,
			"gpu":{"pools":["ADA_24"],"count":1,"allowedCudaVersions":[],"minCudaVersion":null},"workers":{"min":1,"max":2},"flashboot":"OFF"}`,
		`{"endpointVersion":8,"workers":[{"id":"w","status":"IDLE","isStale":false,"version":8,"image":"a/b:c","startedAt":"2026-08-05T21:42:31.705Z"}]}`,
		`{"id":"abc","image":"a/b:c","workers":[{"id":"w","status":"RUNNING","isStale":null,"version":null,"image":null}]}`,
		`{"endpointVersion":8,"rollout":{},"releases":[{"version":8,"diff":[{"field":"template.imageName","old":"a/b:b","new":"a/b:c"},{"field":"template.env","old":{"A":"b"},"new":null}]}]}`,
		`{"templates":[{"id":"t","image":"a/b:d","env":{"K":"V"},"serverless":true},null]}`, `{"endpoints":[{"id":"abc","workers":{"max":1}},null]}`,
		`{"title":"Unprocessable Entity","status":422,"detail":"no ` + key + `","errors":["$: additional properties 'x' not allowed"]}`,
		`{"status":409,"title":"Conflict","detail":"Endpoint is paused (max_workers=0).","code":"ENDPOINT_PAUSED"}`,
		`{"jobs":{"inProgress":-1},"workers":{"idle":1e9}}`, `{}`, `[]`, `null`, `"x"`, ``, `<html>`, `{"workers":null}`,
	} {
		for _, above200 := range []int{0, 200, 222, 229, 300} {
			f.Add(above200, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(key, WithHTTPClient(&http.Client{Transport: answerer(func(r *http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: 200 + (status%400+400)%400, Header: http.Header{}, Request: r,
					Body: io.NopCloser(strings.NewReader(string(body))),
				}, nil
			})}))
			if err != nil {
				t.Fatal(err)
			}
			ctx, e := t.Context(), c.Endpoint("abc", AllowTemplateCopy())
			to := endpoint.Revision{Kind: KindImage, Artifact: "a/b:d"}
			s, err := e.Status(ctx)
			if err == nil && (s.Settings == nil || s.Live() < 0 || s.Desired.IsZero()) {
				t.Errorf("Status = %+v", s)
			}
			errs := []error{err, e.Update(ctx, endpoint.Change{To: to}), e.Set(ctx, endpoint.WorkersMin, 1)}
			to.Digest = "0123"
			errs = append(errs, e.Update(ctx, endpoint.Change{To: to}))
			_, err = e.Resolve(ctx, endpoint.Revision{Artifact: "a/b:d"})
			errs = append(errs, err)
			_, err = e.Resolve(ctx, endpoint.Revision{ID: "t"})
			errs = append(errs, err)
			_, err = e.Preflight(ctx, endpoint.Change{To: to}, endpoint.Settings{endpoint.WorkersMax: 1})
			errs = append(errs, err)
			_, err = e.Jobs(ctx)
			errs = append(errs, err)
			for _, err := range errs {
				if err == nil {
					continue
				}
				if !errors.As(err, new(*endpoint.Error)) || strings.Contains(err.Error(), key) {
					t.Errorf("error %v", err)
				}
			}
		})
	})
}

// FuzzReleases takes histories apart: no value may get out, and what is put
// together from one has the digest that was asked for.
func FuzzReleases(f *testing.F) {
	f.Add([]byte(`{"endpointVersion":9,"releases":[{"version":9,"diff":[{"field":"template.imageName","old":"a/b:c","new":"a/b:d"},{"field":"template.env","old":{"A":"b"},"new":{"A":"c"}}]}]}`), "a/b:d")
	f.Add([]byte(`{"releases":[{"version":null,"diff":[{"field":"template.env","old":"[{\"key\":\"A\",\"value\":\"b\"}]","new":null}]},null]}`), "")
	f.Add([]byte(`{"releases":[{"version":3,"diff":[{"field":"workers.max","old":5,"new":10},{"field":"template.ports","old":["80/http"],"new":"81/tcp"}]}]}`), "x")
	f.Fuzz(func(t *testing.T, doc []byte, image string) {
		var r struct {
			Version  *float64       `json:"endpointVersion"`
			Releases []*restRelease `json:"releases"`
		}
		if json.Unmarshal(doc, &r) != nil {
			return
		}
		l := &releaseList{version: version(r.Version)}
		for _, one := range r.Releases {
			if one != nil {
				l.releases = append(l.releases, one.release())
			}
		}
		if v := l.target(image); v < 0 {
			t.Errorf("target %d", v)
		}
		now := &settings{content: content{ImageName: image, Env: []envVar{{"A", "b"}}}}
		l.shows(now, []string{"env", "args", "ports", "disk", "registry", "image"})
		l.lags(now)
		for _, want := range []*settings{now, now.with("a/b:c")} {
			if s := l.unwind(now, want.digest()); s != nil && s.digest() != want.digest() {
				t.Errorf("unwound to %s", s.revision())
			}
		}
		if len(now.Env) != 1 || now.ImageName != image {
			t.Error("the settings it began with were changed")
		}
	})
}
