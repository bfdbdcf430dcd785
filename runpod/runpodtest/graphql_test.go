package runpodtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestAnswers(t *testing.T) {
	const id = "i02xupws21hp6i"
	refused := func(field, message string) string {
		return `{"errors":[{"message":"` + message + `","path":["` + field + `"],"extensions":{"code":"RUNPOD"}}],"data":{"` + field + `":null}}`
	}
	link := func(template string) string {
		return `mutation{updateEndpointTemplate(input:{endpointId:"` + id + `",templateId:"` + template + `"}){id templateId}}`
	}
	save := func(fields string) string {
		return `mutation{saveTemplate(input:{name:"two",dockerArgs:"",containerDiskInGb:20,volumeInGb:0,env:[]` + fields + `}){id imageName}}`
	}
	tests := []struct {
		name, query string
		want        answer
	}{
		{
			"one endpoint", `{myself{endpoint(id:"` + id + `"){name templateId version workersMin template{imageName dockerArgs} pods{imageName desiredStatus slsVersion}}}}`,
			answer{Status: 200, Body: `{"data":{"myself":{"endpoint":{"name":"sdxl-prod","templateId":"aaaaaaaaaa","version":1,"workersMin":1,` +
				`"template":{"imageName":"acme/sdxl:v1","dockerArgs":"serve"},"pods":[{"imageName":"acme/sdxl:v1","desiredStatus":"RUNNING","slsVersion":1}]}}}}`},
		},
		{
			"lists", `{myself{endpoints{id} podTemplates{id isServerless}}}`,
			answer{Status: 200, Body: `{"data":{"myself":{"endpoints":[{"id":"` + id + `"},{"id":"otherotherothe"}],` +
				`"podTemplates":[{"id":"aaaaaaaaaa","isServerless":true},{"id":"bbbbbbbbbb","isServerless":true},{"id":"podpodpodp","isServerless":false}]}}}`},
		},
		{"no endpoint", `{myself{endpoint(id:"nope"){id}}}`, answer{Status: 200, Body: `{"data":{"myself":{"endpoint":null}}}`}},
		{"no template", `{podTemplate(id:"nope"){id}}`, answer{Status: 200, Body: `{"data":{"podTemplate":null}}`}},
		{"foreign template", `{podTemplate(id:"foreignfor"){id}}`, answer{Status: 200, Body: `{"data":{"podTemplate":null}}`}},
		{"catalogue", `{podTemplates(input:{isRunpod:false}){id}}`, answer{Status: 200, Body: `{"data":{"podTemplates":[{"id":"publicpubl"}]}}`}},
		{"link", link("bbbbbbbbbb"), answer{Status: 200, Body: `{"data":{"updateEndpointTemplate":{"id":"` + id + `","templateId":"bbbbbbbbbb"}}}`}},
		{"link unknown", link("nope"), answer{Status: 200, Body: refused("updateEndpointTemplate", "Template not found")}},
		{"link foreign", link("publicpubl"), answer{Status: 200, Body: refused("updateEndpointTemplate", "Template not found")}},
		{"link pod template", link("podpodpodp"), answer{Status: 200, Body: refused("updateEndpointTemplate", "Template pods is not a serverless template")}},
		{
			"link of no endpoint", `mutation{updateEndpointTemplate(input:{endpointId:"nope",templateId:"bbbbbbbbbb"}){id}}`,
			answer{Status: 200, Body: `{"data":{"updateEndpointTemplate":null}}`},
		},
		{
			"quota", `mutation{updateEndpointWorkersMax(input:{endpointId:"` + id + `",workerCount:8}){id}}`,
			answer{Status: 200, Body: refused("updateEndpointWorkersMax", "Max workers across all endpoints must not exceed your workers quota (10). "+
				"Reduce the max workers for other endpoints or lower the max worker count for this endpoint to at most 4.")},
		},
		{
			"up to the quota", `mutation{updateEndpointWorkersMax(input:{endpointId:"` + id + `",workerCount:4}){workersMax}}`,
			answer{Status: 200, Body: `{"data":{"updateEndpointWorkersMax":{"workersMax":4}}}`},
		},
		{
			"min above max", `mutation{updateEndpointWorkersMin(input:{endpointId:"` + id + `",workerCount:4}){id}}`,
			answer{Status: 200, Body: refused("updateEndpointWorkersMin", "Min workers must not exceed max workers")},
		},
		{
			"negative", `mutation{updateEndpointWorkersMax(input:{endpointId:"` + id + `",workerCount:-1}){id}}`,
			answer{Status: 200, Body: refused("updateEndpointWorkersMax", "Worker count must not be negative")},
		},
		{"edit template", save(`,id:"bbbbbbbbbb",imageName:"acme/sdxl:v3"`), answer{Status: 200, Body: `{"data":{"saveTemplate":{"id":"bbbbbbbbbb","imageName":"acme/sdxl:v3"}}}`}},
		{"duplicate template name", save(`,imageName:"acme/sdxl:v3"`), answer{Status: 200, Body: refused("saveTemplate", "Template name must be unique")}},
		{"edit without image", save(`,id:"bbbbbbbbbb"`), answer{Status: 200, Body: refused("saveTemplate", "imageName is required")}},
		{"edit of another's template", save(`,id:"publicpubl",imageName:"x"`), answer{Status: 200, Body: `{"data":{"saveTemplate":null}}`}},
		{"delete template in use", `mutation{deleteTemplate(templateName:"one")}`, answer{Status: 200, Body: refused("deleteTemplate", "Template one is in use by a pod or serverless endpoint")}},
		{"delete template", `mutation{deleteTemplate(templateName:"two")}`, answer{Status: 200, Body: `{"data":{"deleteTemplate":null}}`}},
		{"delete endpoint in use", `mutation{deleteEndpoint(id:"` + id + `")}`, answer{Status: 200, Body: refused("deleteEndpoint", "Min and max workers must be 0 to delete an endpoint")}},
		{
			"business error of a non-null field", `mutation{saveEndpoint(input:{name:"x"}){id}}`,
			answer{Status: 200, Body: `{"errors":[{"message":"Endpoint name must have at least 3 characters","path":["saveEndpoint"],"extensions":{"code":"RUNPOD"}}],"data":null}`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(t, runpodtest.Endpoint{Name: "sdxl-prod", WorkersMin: 1, WorkersMax: 3})
			a.AddEndpoint(runpodtest.Endpoint{ID: "otherotherothe", TemplateID: a.v1, WorkersMax: 6})
			a.AddTemplate(runpodtest.Template{ID: "podpodpodp", Name: "pods", Image: "acme/pod:1", Pod: true})
			a.AddTemplate(runpodtest.Template{ID: "foreignfor", Image: "acme/sdxl:v9", Foreign: true})
			a.AddTemplate(runpodtest.Template{ID: "publicpubl", Image: "acme/sdxl:v9", Foreign: true, Public: true})
			if diff := cmp.Diff(tt.want, gql(t, a.Server, tt.query)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestsThatAreRefusedBeforeExecution(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
	tests := []struct {
		name, query, code string
	}{
		{"syntax", `{myself`, "GRAPHQL_PARSE_FAILED"},
		{"unknown field", `{myself{endpoint(id:"x"){nope}}}`, "GRAPHQL_VALIDATION_FAILED"},
		{"quota is on no field", `{myself{maxServerlessConcurrency}}`, "GRAPHQL_VALIDATION_FAILED"},
		{"no selection", `{myself}`, "GRAPHQL_VALIDATION_FAILED"},
		{"missing non-null field", `mutation{saveTemplate(input:{name:"x",imageName:"x"}){id}}`, "GRAPHQL_VALIDATION_FAILED"},
		{"unknown input field", `mutation{updateEndpointWorkersMin(input:{endpointId:"x",workersMin:1}){id}}`, "GRAPHQL_VALIDATION_FAILED"},
		{"wrong type", `mutation{updateEndpointWorkersMin(input:{endpointId:"x",workerCount:"1"}){id}}`, "GRAPHQL_VALIDATION_FAILED"},
		{"guessed input type", `mutation($i:UpdateEndpointWorkersMinInput!){updateEndpointWorkersMin(input:$i){id}}`, "GRAPHQL_VALIDATION_FAILED"},
		{"introspection", `{__schema{types{name}}}`, "INTROSPECTION_DISABLED"},
		{"type introspection", `{__type(name:"User"){name}}`, "INTROSPECTION_DISABLED"},
		{"two operations", `query a{myself{id}} query b{myself{id}}`, "BAD_USER_INPUT"},
		{"null for a default", `mutation{saveEndpoint(input:{name:"xxx",workersMax:null}){id}}`, "BAD_USER_INPUT"},
		{"nothing", ``, "BAD_REQUEST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := gql(t, a.Server, tt.query)
			var body struct {
				Data   json.RawMessage
				Errors []struct{ Extensions struct{ Code string } }
			}
			if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
				t.Fatalf("%s: %v", got.Body, err)
			}
			if got.Status != http.StatusBadRequest || len(body.Data) > 0 || len(body.Errors) == 0 || body.Errors[0].Extensions.Code != tt.code {
				t.Errorf("got %d %s, want 400 and %s", got.Status, got.Body, tt.code)
			}
		})
	}
	if got := a.Mutations(); len(got) != 0 {
		t.Errorf("mutations %+v, want none", got)
	}
	if got := gql(t, a.Server, `{__typename myself{__typename}}`); got.Status != 200 {
		t.Errorf("__typename: %+v", got)
	}
}

// The documents are those that the client of package runpod writes: scalar
// variables in an inline input.
func TestVariables(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3}, runpodtest.WithBehaviour(runpodtest.Behaviour{QuotaField: true}))
	for _, tt := range []struct {
		query     string
		variables map[string]any
		want      string
	}{
		{
			`mutation($id:String!$n:Int!){updateEndpointWorkersMax(input: {endpointId: $id, workerCount: $n}){id,workersMax}}`,
			map[string]any{"id": a.id, "n": 0},
			`{"data":{"updateEndpointWorkersMax":{"id":"i02xupws21hp6i","workersMax":0}}}`,
		},
		{
			`query($id:String!){myself{maxServerlessConcurrency,endpoint(id: $id){workersMin,workersMax}}}`,
			map[string]any{"id": a.id},
			`{"data":{"myself":{"maxServerlessConcurrency":10,"endpoint":{"workersMin":0,"workersMax":0}}}}`,
		},
	} {
		body, err := json.Marshal(map[string]any{"query": tt.query, "variables": tt.variables})
		if err != nil {
			t.Fatal(err)
		}
		got := send(t, a.Server, http.MethodPost, graphqlURL, "Bearer "+runpodtest.Key, string(body))
		if diff := cmp.Diff(answer{Status: 200, Body: tt.want}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	want := []runpodtest.Request{{
		Plane: runpodtest.Management, Method: "POST", Path: "/graphql", Fields: []string{"updateEndpointWorkersMax"},
		Args:     map[string]any{"input": map[string]any{"endpointId": a.id, "workerCount": 0.0}},
		Mutation: true, Applied: true, Status: 200,
	}}
	got := a.Mutations()
	for i := range got {
		got[i].At, got[i].Query, got[i].Variables = time.Time{}, "", nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mutations (-want +got):\n%s", diff)
	}
	if got := a.Requests()[1].Fields; !cmp.Equal(got, []string{"myself", "endpoint"}) {
		t.Errorf("fields of the query: %q", got)
	}
}

func TestTemplateWrites(t *testing.T) {
	const head = `mutation{saveTemplate(input:{id:"aaaaaaaaaa",name:"one",containerDiskInGb:20,volumeInGb:0,`
	tests := []struct {
		name, fields string
		behaviour    runpodtest.Behaviour
		version      int // of the endpoint, afterwards
		want         runpodtest.Template
	}{
		{
			"what is omitted is reset, env is replaced", `imageName:"acme/sdxl:v3",dockerArgs:"",env:[{key:"B",value:"2"}]`,
			runpodtest.Behaviour{},
			2,
			runpodtest.Template{Image: "acme/sdxl:v3", Env: map[string]string{"B": "2"}, Pod: true},
		},
		{
			"what is omitted is kept", `imageName:"acme/sdxl:v3",dockerArgs:"serve",env:[]`,
			runpodtest.Behaviour{SaveTemplateKeepsOmitted: true},
			2,
			runpodtest.Template{Image: "acme/sdxl:v3", DockerArgs: "serve", Env: map[string]string{}, Ports: "8000/http", RegistryAuthID: "reg"},
		},
		{
			"a note in the margin is no release", `imageName:"acme/sdxl:v1",dockerArgs:"serve",env:[{key:"A",value:"1"}],ports:"8000/http",` +
				`containerRegistryAuthId:"reg",isServerless:true,readme:"hello"`,
			runpodtest.Behaviour{},
			1,
			runpodtest.Template{Image: "acme/sdxl:v1", DockerArgs: "serve", Env: map[string]string{"A": "1"}, Ports: "8000/http", RegistryAuthID: "reg", Readme: "hello"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3}, runpodtest.WithBehaviour(tt.behaviour))
			a.Do(func(st *runpodtest.State) {
				st.EditTemplate(a.v1, func(tm *runpodtest.Template) {
					tm.Env, tm.Ports, tm.RegistryAuthID = map[string]string{"A": "1"}, "8000/http", "reg"
				})
				st.EditEndpoint(a.id, func(*runpodtest.Endpoint) {})
			})
			before := a.Endpoint(a.id).Version
			if got := gql(t, a.Server, head+tt.fields+`}){id}}`); strings.Contains(got.Body, "errors") {
				t.Fatal(got)
			}
			tt.want.ID, tt.want.Name, tt.want.ContainerDiskInGb = a.v1, "one", 20
			if diff := cmp.Diff(tt.want, a.Template(a.v1)); diff != "" {
				t.Errorf("template (-want +got):\n%s", diff)
			}
			if got := a.Endpoint(a.id).Version - before + 1; got != tt.version {
				t.Errorf("version went from 1 to %d, want %d", got, tt.version)
			}
		})
	}
}

func TestSaveEndpointResets(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		a := newAccount(t, runpodtest.Endpoint{
			Name: "sdxl-prod", WorkersMin: 2, WorkersMax: 7, IdleTimeout: 42, ScalerValue: 9, GPUCount: 2, Env: map[string]string{"A": "1"},
		}, runpodtest.WithBehaviour(runpodtest.Behaviour{SaveEndpointKeepsEnv: keeps}))
		want := a.Endpoint(a.id)
		want.WorkersMin, want.WorkersMax, want.IdleTimeout, want.ScalerValue, want.GPUCount, want.Version = 0, 3, 10, 4, 1, 2
		want.Env = map[string]string{}
		if keeps {
			want.Env = map[string]string{"A": "1"}
		}
		if got := gql(t, a.Server, `mutation{saveEndpoint(input:{id:"`+a.id+`",name:"sdxl-prod"}){id}}`); got.Body != `{"data":{"saveEndpoint":{"id":"`+a.id+`"}}}` {
			t.Fatal(got)
		}
		if diff := cmp.Diff(want, a.Endpoint(a.id)); diff != "" {
			t.Errorf("endpoint (-want +got):\n%s", diff)
		}
	}
}

func TestCreateAndDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
		got := gql(t, a.Server, `mutation{saveEndpoint(input:{name:"new-one",templateId:"bbbbbbbbbb",gpuIds:"AMPERE_24",workersMin:1,flashBootType:FLASHBOOT}){name version workersMin workersMax workersStandby flashBootType pods{id}}}`)
		if want := `{"data":{"saveEndpoint":{"name":"new-one","version":1,"workersMin":1,"workersMax":3,"workersStandby":3,"flashBootType":"FLASHBOOT","pods":[]}}}`; got.Body != want {
			t.Fatalf("create: %+v, want %s", got, want)
		}
		wait(40 * time.Second)
		if diff := cmp.Diff([]string{"bbbbbbbbbb"}, templatesOf(a)); diff != "" {
			t.Errorf("templates of the endpoints' workers (-want +got):\n%s", diff)
		}
		a.setMax("0")
		if got := gql(t, a.Server, `mutation{deleteEndpoint(id:"`+a.id+`")}`); got.Body != `{"data":{"deleteEndpoint":null}}` {
			t.Fatalf("delete endpoint: %+v", got)
		}
		if got := a.Endpoint(a.id); got.ID != "" {
			t.Errorf("still there: %+v", got)
		}
		for _, after := range []time.Duration{0, 2*time.Minute - 1} {
			wait(after)
			if got := gql(t, a.Server, `mutation{deleteTemplate(templateName:"one")}`); !strings.Contains(got.Body, "in use") {
				t.Errorf("delete template just freed: %+v", got)
			}
		}
		wait(1)
		if got := gql(t, a.Server, `mutation{deleteTemplate(templateName:"one")}`); got.Body != `{"data":{"deleteTemplate":null}}` {
			t.Errorf("delete template: %+v", got)
		}
	})
}

// templatesOf lists what the workers of all endpoints run, as pods show it.
func templatesOf(a account) []string {
	a.t.Helper()
	var body struct {
		Data struct {
			Myself struct {
				Endpoints []struct {
					Pods []struct{ TemplateID, DesiredStatus string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(gql(a.t, a.Server, `{myself{endpoints{pods{templateId desiredStatus}}}}`).Body), &body); err != nil {
		a.t.Fatal(err)
	}
	var out []string
	for _, e := range body.Data.Myself.Endpoints {
		for _, p := range e.Pods {
			if p.DesiredStatus == "RUNNING" {
				out = append(out, p.TemplateID)
			}
		}
	}
	return out
}
