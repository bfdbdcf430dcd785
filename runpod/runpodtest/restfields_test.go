package runpodtest_test

import (
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

//go:embed testdata/rest_fields.txt
var restFields string

// published are the field names of each object, and under its name with " always"
// those that every answer has.
func published(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(restFields) {
		name, fields, ok := strings.Cut(line, ":")
		if strings.HasPrefix(line, "#") || !ok {
			continue
		}
		all[name] = strings.Fields(strings.NewReplacer("+", "", "*", "").Replace(fields))
		for field := range strings.FieldsSeq(fields) {
			if field, ok := strings.CutSuffix(field, "*"); ok {
				all[name+" always"] = append(all[name+" always"], field)
			}
		}
	}
	return all
}

// TestRESTFieldsArePublished: no answer of the fake has a field that RunPod's
// specification does not, and none lacks one that it requires.
func TestRESTFieldsArePublished(t *testing.T) {
	names := published(t)
	srv := runpodtest.New(runpodtest.WithBehaviour(runpodtest.Behaviour{PageSize: 1}))
	v1 := srv.AddTemplate(runpodtest.Template{Image: "acme/a:1", Cmd: []string{"serve"}, VolumeMountPath: "/v", Env: map[string]string{"A": "b"}})
	srv.AddImage(runpodtest.Image{Ref: "acme/a:2"})
	gpu := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: v1, WorkersMin: 2, WorkersMax: 3, GPUIDs: "ADA_24,-NVIDIA L4"})
	cpu := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: v1, WorkersMax: 1, Type: "LB", InstanceIDs: []string{"cpu3g-2-8"}, ScalerType: "REQUEST_COUNT"})
	srv.Do(func(st *runpodtest.State) { st.Build(gpu, "bld1", "acme/a:2") })

	raw := func(path string) []byte {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.runpod.io/v2/"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+runpodtest.Key)
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	decode := func(path string, b []byte) map[string]any {
		t.Helper()
		var doc map[string]any
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return doc
	}
	get := func(path string) map[string]any { t.Helper(); return decode(path, raw(path)) }
	check := func(object string, v any) {
		t.Helper()
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		doc, ok := v.(map[string]any)
		if !ok {
			t.Errorf("%s is %v", object, v)
			return
		}
		for field := range doc {
			if !slices.Contains(names[object], field) {
				t.Errorf("%s has the field %q, which is not published", object, field)
			}
		}
		for _, field := range names[object+" always"] {
			if _, ok := doc[field]; !ok {
				t.Errorf("%s lacks the field %q, which every answer has", object, field)
			}
		}
	}
	for _, id := range []string{gpu, cpu} {
		e := get("serverless/" + id)
		check("endpoint", e)
		for _, part := range []string{"workers", "scaling", "requestUrls"} {
			check("endpoint."+part, e[part])
		}
	}
	check("endpoint.gpu", get("serverless/" + gpu)["gpu"])
	check("endpoint.cpu", get("serverless/" + cpu)["cpu"])
	check("template", get("templates/"+v1))
	check("problem", get("templates/none"))
	for object, path := range map[string]string{"endpoints": "serverless", "templates": "templates", "workers": "serverless/" + gpu + "/workers", "releases": "serverless/" + gpu + "/releases"} {
		list := get(path)
		check(object, list)
		check("pagination", list["pagination"])
		if entries, _ := list[object].([]any); len(entries) != 1 {
			t.Errorf("%s has %d entries on a page of one", path, len(entries))
		}
		check(strings.TrimSuffix(object, "s"), list[object])
	}
	check("workers.summary", get("serverless/" + gpu + "/workers")["summary"])
	logs := "serverless/" + gpu + "/workers/" + srv.Workers(gpu)[0].ID + "/logs"
	_, event, _ := strings.Cut(string(raw(logs)), "data: ")
	event, _, _ = strings.Cut(event, "\n")
	check("log", decode(logs, []byte(event)))
	releases := get("serverless/" + gpu + "/releases")
	check("releases.rollout", releases["rollout"])
	check("release.diff", releases["releases"].([]any)[0].(map[string]any)["diff"])
}

// TestRESTUpdatesArePublished: a PATCH takes the fields of the specification, and
// refuses every other one by its name.
func TestRESTUpdatesArePublished(t *testing.T) {
	names := published(t)["update"]
	srv := runpodtest.New()
	id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: srv.AddTemplate(runpodtest.Template{Image: "acme/a:1"}), WorkersMax: 1})
	for _, field := range append(slices.Clone(names), "imageName", "id", "type", "createdAt", "workersMax") {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://api.runpod.io/v2/serverless/"+id, strings.NewReader(`{"`+field+`":null}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+runpodtest.Key)
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		refused := strings.Contains(string(b), "additional properties '"+field+"' not allowed")
		if refused == slices.Contains(names, field) {
			t.Errorf("%s: status %d, %s", field, res.StatusCode, b)
		}
	}
}
