package runpodtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestFaults(t *testing.T) {
	const done = `{"data":{"updateEndpointWorkersMax":{"workersMin":0,"workersMax":5}}}`
	tests := []struct {
		name    string
		fault   runpodtest.Fault
		want    answer
		took    time.Duration
		applied bool
	}{
		{name: "none", want: answer{Status: 200, Body: done}, applied: true},
		{name: "dropped before", fault: runpodtest.Dropped(false), want: answer{Err: io.ErrUnexpectedEOF}},
		{name: "dropped after", fault: runpodtest.Dropped(true), want: answer{Err: io.ErrUnexpectedEOF}, applied: true},
		{
			name: "proxy error", fault: runpodtest.HTTPStatus(502),
			want: answer{Status: 502, Body: "<html><head><title>502 Bad Gateway</title></head><body></body></html>"},
		},
		{name: "server error after", fault: runpodtest.Fault{Status: 500, Applied: true}, want: answer{Status: 500}, applied: true},
		{
			name: "business error", fault: runpodtest.Refused("Something went wrong. Please try again later."),
			want: answer{Status: 200, Body: `{"errors":[{"message":"Something went wrong. Please try again later.","path":["updateEndpointWorkersMax"],"extensions":{"code":"RUNPOD"}}],"data":{"updateEndpointWorkersMax":null}}`},
		},
		{name: "null", fault: runpodtest.Fault{Null: true}, want: answer{Status: 200, Body: `{"data":{"updateEndpointWorkersMax":null}}`}},
		{name: "HTML with 200", fault: runpodtest.Fault{Body: "<html>"}, want: answer{Status: 200, Body: "<html>"}},
		{
			name: "truncated", fault: runpodtest.Fault{Truncate: true},
			want: answer{Status: 200, Body: (done + "\n")[:(len(done)+1)/2], Err: io.ErrUnexpectedEOF}, applied: true,
		},
		{name: "forgotten", fault: runpodtest.Fault{Forgotten: true}, want: answer{Status: 200, Body: done}},
		{name: "oversized", fault: runpodtest.Fault{Pad: 1 << 20}, want: answer{Status: 200, Body: done}, applied: true},
		{name: "slow", fault: runpodtest.Fault{Delay: time.Minute}, want: answer{Status: 200, Body: done}, took: time.Minute, applied: true},
		{
			name: "slow, then dropped", fault: runpodtest.Fault{Delay: time.Minute, Drop: true},
			want: answer{Err: io.ErrUnexpectedEOF}, took: time.Minute,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
				a.Fail(runpodtest.Call{Field: "updateEndpointWorkersMax", Nth: 2}, tt.fault)
				a.setMax("4")
				a.setMin("0")
				start := time.Now()
				got := a.setMax("5")
				if diff := cmp.Diff(tt.want, got, cmpopts.EquateErrors()); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				wantMax := map[bool]int{false: 4, true: 5}[tt.applied]
				last := a.Mutations()[2]
				if got := a.Endpoint(a.id).WorkersMax; got != wantMax || last.Applied != tt.applied || last.Status != tt.want.Status {
					t.Errorf("maximum %d, logged %+v; want %d, applied %t", got, last, wantMax, tt.applied)
				}
				if got := a.setMax("5"); got.Body != done {
					t.Errorf("the call after: %+v", got)
				}
			})
		})
	}
}

func TestFaultsOfReads(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
	a.Fail(runpodtest.Call{Field: "endpoint", Times: 2}, runpodtest.HTTPStatus(503))
	a.Fail(runpodtest.Call{Field: "health", Plane: runpodtest.JobPlane}, runpodtest.RateLimited(12*time.Second))
	a.Fail(runpodtest.Call{Op: runpodtest.Query, Field: "podTemplate", Times: -1}, runpodtest.Fault{Null: true})
	a.Fail(runpodtest.Call{Field: "run"}, runpodtest.Refused("boom"))
	one, all := `{myself{endpoint(id:"`+a.id+`"){id}}}`, `{myself{endpoints{id}}}`
	var got []int
	for _, q := range []string{all, one, one, one} {
		got = append(got, gql(t, a.Server, q).Status)
	}
	if diff := cmp.Diff([]int{200, 503, 503, 200}, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	for range 3 {
		if got := gql(t, a.Server, `{podTemplate(id:"`+a.v1+`"){id}}`); got.Body != `{"data":{"podTemplate":null}}` {
			t.Errorf("always null: %+v", got)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, jobURL+a.id+"/health", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", runpodtest.Key)
	res, err := a.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "12" {
		t.Errorf("health: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	if got := a.run(); got.Status != 500 || got.Body != `{"error":"boom"}` {
		t.Errorf("run: %+v", got)
	}
}

// A request that is stuck on the way lands when nobody expects it any more.
func TestLandsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
		a.Fail(runpodtest.Call{}, runpodtest.Fault{LandsAfter: time.Hour})
		if got := a.setMax("0"); !errors.Is(got.Err, io.ErrUnexpectedEOF) {
			t.Fatalf("got %+v", got)
		}
		wait(time.Hour - 1)
		if got := a.Endpoint(a.id).WorkersMax; got != 3 || a.Mutations()[0].Applied {
			t.Errorf("maximum %d before it lands", got)
		}
		wait(1)
		if got := a.Endpoint(a.id).WorkersMax; got != 0 || !a.Mutations()[0].Applied {
			t.Errorf("maximum %d after it landed", got)
		}
	})
}

func TestCallerGivesUp(t *testing.T) {
	for _, applied := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
			a.Fail(runpodtest.Call{}, runpodtest.Fault{Delay: time.Minute, Applied: applied})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			body := `{"query":"mutation{updateEndpointWorkersMax(input:{endpointId:\"` + a.id + `\",workerCount:0}){id}}"}`
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, graphqlURL, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"Authorization": {"Bearer " + runpodtest.Key}, "Content-Type": {"application/json"}}
			start := time.Now()
			res, err := a.Client().Do(req)
			if err == nil {
				_ = res.Body.Close()
			}
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			wait(time.Hour)
			if got := a.Endpoint(a.id).WorkersMax == 0; got != applied {
				t.Errorf("applied: %t, want %t", got, applied)
			}
		})
	}
}

func TestOnMutation(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
	type seen struct {
		N     int
		Field string
	}
	var got []seen
	a.OnMutation(func(n int, field string) runpodtest.Fault {
		got = append(got, seen{n, field})
		if n != 2 {
			return runpodtest.Fault{}
		}
		before := a.Endpoint(a.id).TemplateID
		return runpodtest.Fault{Drop: true, Applied: true, Then: func() {
			if after := a.Endpoint(a.id).TemplateID; before != a.v1 || after != a.v2 {
				t.Errorf("hook saw %s before and %s after", before, after)
			}
			a.Do(func(st *runpodtest.State) {
				st.EditEndpoint(a.id, func(e *runpodtest.Endpoint) { e.WorkersMax = 7 })
			})
		}}
	})
	a.setMax("2")
	gql(t, a.Server, `{myself{id}}`)
	if got := a.link(a.v2); !errors.Is(got.Err, io.ErrUnexpectedEOF) {
		t.Errorf("second mutation: %+v", got)
	}
	if diff := cmp.Diff([]seen{{1, "updateEndpointWorkersMax"}, {2, "updateEndpointTemplate"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := a.Endpoint(a.id).WorkersMax; got != 7 {
		t.Errorf("maximum %d, want the other writer's 7", got)
	}
}

// A document with several mutations stops at the one that goes wrong.
func TestSeveralMutations(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 3})
	a.Fail(runpodtest.Call{Field: "updateEndpointTemplate"}, runpodtest.Dropped(false))
	got := gql(t, a.Server, `mutation{a:updateEndpointWorkersMin(input:{endpointId:"`+a.id+`",workerCount:0}){id}
		b:updateEndpointTemplate(input:{endpointId:"`+a.id+`",templateId:"`+a.v2+`"}){id}
		c:updateEndpointWorkersMax(input:{endpointId:"`+a.id+`",workerCount:0}){id}}`)
	e := a.Endpoint(a.id)
	if !errors.Is(got.Err, io.ErrUnexpectedEOF) || e.WorkersMin != 0 || e.TemplateID != a.v1 || e.WorkersMax != 3 {
		t.Errorf("%+v, endpoint %+v", got, e)
	}
}

// A mistake in a test's own hook must not come out as an answer of the service.
func TestPanicInHook(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
	a.OnMutation(func(int, string) runpodtest.Fault { panic("mistake") })
	defer func() {
		if v := recover(); v != "mistake" {
			t.Errorf("recovered %v, want the hook's own panic", v)
		}
		a.OnMutation(nil)
		if got := a.setMax("1"); got.Status != 200 {
			t.Errorf("afterwards: %+v", got)
		}
	}()
	a.setMax("0")
}
