package runpodtest_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// linked reads which template the endpoint is linked to.
func (a account) linked() string {
	a.t.Helper()
	var body struct {
		Data struct {
			Myself struct{ Endpoint struct{ TemplateID string } }
		}
	}
	if err := json.Unmarshal([]byte(gql(a.t, a.Server, `{myself{endpoint(id:"`+a.id+`"){templateId}}}`).Body), &body); err != nil {
		a.t.Fatal(err)
	}
	return body.Data.Myself.Endpoint.TemplateID
}

func TestStaleReads(t *testing.T) {
	const lag = 10 * time.Second
	for _, flaps := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3}, runpodtest.WithBehaviour(runpodtest.Behaviour{ReadLag: lag, ReadFlaps: flaps}))
			if got := a.link(a.v2); got.Body != `{"data":{"updateEndpointTemplate":{"id":"i02xupws21hp6i","templateId":"bbbbbbbbbb","version":2}}}` {
				t.Errorf("the write's own answer: %+v", got)
			}
			var got []string
			for range 3 {
				got = append(got, a.linked())
			}
			wait(lag - 1)
			got = append(got, a.linked())
			wait(1)
			got = append(got, a.linked())
			want := []string{a.v1, a.v1, a.v1, a.v1, a.v2}
			if flaps {
				want = []string{a.v1, a.v2, a.v1, a.v2, a.v2}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("flaps %t: reads (-want +got):\n%s", flaps, diff)
			}
			if a.Endpoint(a.id).TemplateID != a.v2 {
				t.Error("inspection lags")
			}
		})
	}
}

func TestBlankDockerArgs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3}, runpodtest.WithBehaviour(runpodtest.Behaviour{BlankDockerArgs: 2 * time.Second}))
		read := func() string { return gql(t, a.Server, `{podTemplate(id:"`+a.v2+`"){dockerArgs}}`).Body }
		const full, blank = `{"data":{"podTemplate":{"dockerArgs":"serve"}}}`, `{"data":{"podTemplate":{"dockerArgs":""}}}`
		got := []string{read()}
		gql(t, a.Server, `mutation{saveTemplate(input:{id:"`+a.v2+`",name:"two",imageName:"x",dockerArgs:"serve",containerDiskInGb:5,volumeInGb:0,env:[]}){id}}`)
		got = append(got, read())
		wait(2 * time.Second)
		got = append(got, read())
		if diff := cmp.Diff([]string{full, blank, full}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestIdleScaleDown(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		name string
		off  bool
		act  func(account)
		want []int // the maximum after 3 days, after 7, after 10
	}{
		{name: "forgotten", want: []int{2, 0, 0}},
		{name: "switched off", off: true, want: []int{5, 5, 5}},
		{name: "a request on the second day", want: []int{5, 2, 0}, act: func(a account) {
			a.At(time.Now().Add(2*day), func(st *runpodtest.State) { st.AddJobs(a.id, time.Second) })
		}},
		{name: "someone puts it back", want: []int{5, 2, 2}, act: func(a account) {
			a.At(time.Now().Add(3*day), func(st *runpodtest.State) {
				st.EditEndpoint(a.id, func(e *runpodtest.Endpoint) { e.WorkersMax = 5 })
			})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAccount(t, runpodtest.Endpoint{WorkersMin: 3, WorkersMax: 5}, runpodtest.WithBehaviour(runpodtest.Behaviour{NoIdleScaleDown: tt.off}))
				if tt.act != nil {
					tt.act(a)
				}
				start := time.Now()
				var got []int
				for _, d := range []time.Duration{3 * day, 7 * day, 10*day - 1} {
					wait(d - time.Since(start))
					e := a.Endpoint(a.id)
					got = append(got, e.WorkersMax)
					if e.WorkersMin > e.WorkersMax {
						t.Errorf("minimum %d above maximum %d", e.WorkersMin, e.WorkersMax)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("maximum (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Somebody takes the slots while the endpoint is flushed.
func TestQuotaTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMax: 4}, runpodtest.WithQuota(4))
		a.At(time.Now().Add(time.Minute), func(st *runpodtest.State) {
			st.AddEndpoint(runpodtest.Endpoint{TemplateID: a.v1, WorkersMax: 3})
		})
		a.setMax("0")
		wait(time.Minute)
		if got := a.setMax("4"); a.Endpoint(a.id).WorkersMax != 0 {
			t.Errorf("raised over the quota: %+v", got)
		}
		if got := a.setMax("1"); a.Endpoint(a.id).WorkersMax != 1 {
			t.Errorf("not raised within the quota: %+v", got)
		}
		a.Do(func(st *runpodtest.State) { st.Quota = 1 })
		if a.setMax("0"); a.Endpoint(a.id).WorkersMax != 0 {
			t.Error("lowering was refused")
		}
	})
}

func TestVersions(t *testing.T) {
	tests := []struct {
		name      string
		behaviour runpodtest.Behaviour
		edit      func(*runpodtest.Endpoint)
		template  func(*runpodtest.Template)
		want      int
	}{
		{name: "bounds", edit: func(e *runpodtest.Endpoint) { e.WorkersMax, e.IdleTimeout, e.ScalerValue = 1, 9, 9 }, want: 1},
		{name: "same template", edit: func(e *runpodtest.Endpoint) { e.TemplateID = "aaaaaaaaaa" }, want: 1},
		{name: "other template", edit: func(e *runpodtest.Endpoint) { e.TemplateID = "bbbbbbbbbb" }, want: 2},
		{name: "other template, same image", edit: func(e *runpodtest.Endpoint) { e.TemplateID = "cccccccccc" }, want: 2},
		{
			name: "same image is no release", behaviour: runpodtest.Behaviour{SameImageNoRelease: true},
			edit: func(e *runpodtest.Endpoint) { e.TemplateID = "cccccccccc" }, want: 1,
		},
		{name: "GPUs", edit: func(e *runpodtest.Endpoint) { e.GPUIDs = "AMPERE_80" }, want: 2},
		{name: "template's environment", template: func(t *runpodtest.Template) { t.Env = map[string]string{"A": "1"} }, want: 2},
		{name: "template's name", template: func(t *runpodtest.Template) { t.Name, t.Public = "x", true }, want: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(t, runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 3}, runpodtest.WithBehaviour(tt.behaviour))
			a.AddTemplate(runpodtest.Template{ID: "cccccccccc", Image: "acme/sdxl:v1"})
			a.Do(func(st *runpodtest.State) {
				if tt.edit != nil {
					st.EditEndpoint(a.id, tt.edit)
				}
				if tt.template != nil {
					st.EditTemplate(a.v1, tt.template)
				}
			})
			if got := a.Endpoint(a.id).Version; got != tt.want {
				t.Errorf("version %d, want %d", got, tt.want)
			}
		})
	}
}

// A crash loop is told from a healthy worker by its last status change only.
func TestCrashLoopMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 1})
		look := func() string {
			return gql(t, a.Server, `{myself{endpoint(id:"`+a.id+`"){pods{desiredStatus lastStatusChange}}}}`).Body
		}
		healthy := look()
		wait(time.Hour)
		if got := look(); got != healthy {
			t.Errorf("a healthy worker changed: %s", got)
		}
		a.AddImage(runpodtest.Image{Ref: "acme/sdxl:v2", Fault: runpodtest.CrashLoops})
		a.link(a.v2)
		wait(55 * time.Second)
		const pod = `{"data":{"myself":{"endpoint":{"pods":[{"desiredStatus":"RUNNING","lastStatusChange":"Rented by User: Sat Jan 01 2000 01:0`
		for _, want := range []string{`0:55`, `0:55`, `1:15`} {
			if diff := cmp.Diff(pod+want+` GMT+0000 (UTC)"}]}}}}`, look()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			wait(19 * time.Second)
		}
	})
}
