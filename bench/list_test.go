package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/shurcooL/graphql"

	"github.com/changeover-dev/changeover/runpod"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// canned answers with a RunPod account of n endpoints with two workers each.
func canned(n int) *http.Client {
	var b bytes.Buffer
	b.WriteString(`{"data":{"myself":{"endpoints":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"ab12cd34ef%04d","templateId":"tpl%05d","type":"QB","workersMin":1,"workersMax":5,"version":17,`+
			`"template":{"id":"tpl%05d","imageName":"acme/sdxl:v%d"},`+
			`"pods":[{"id":"pod%05da","imageName":"acme/sdxl:v1","desiredStatus":"RUNNING","slsVersion":17,"lastStatusChange":"Rented by User"},`+
			`{"id":"pod%05db","imageName":"acme/sdxl:v1","desiredStatus":"EXITED","slsVersion":16,"lastStatusChange":"Exited by Runpod"}]}`, i, i, i, i, i, i)
	}
	b.WriteString(`]}}}`)
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b.Bytes())), Request: r}, nil
	})}
}

// The same answer in the types of the GraphQL client, and of encoding/json.
type (
	account100 struct {
		Myself struct{ Endpoints []serverlessEndpoint }
	}
	serverlessEndpoint struct {
		ID         string `graphql:"id"`
		TemplateID string `graphql:"templateId"`
		Type       string
		WorkersMin int
		WorkersMax int
		Version    int
		Template   struct {
			ID        string `graphql:"id"`
			ImageName string
		}
		Pods []struct {
			ID               string `graphql:"id"`
			ImageName        string
			DesiredStatus    string
			SlsVersion       int
			LastStatusChange string
		}
	}
)

// listers read an account of a hundred endpoints, and return how many they saw.
var listers = []struct {
	name string
	list func(c *http.Client) func(ctx context.Context) (int, error)
}{
	{"changeover", func(c *http.Client) func(context.Context) (int, error) {
		client, err := runpod.New("key", runpod.WithTransport(runpod.GraphQL), runpod.WithHTTPClient(c))
		return func(ctx context.Context) (int, error) {
			if err != nil {
				return 0, err
			}
			found, err := client.List(ctx)
			return len(found), err
		}
	}},
	{"shurcooL", func(c *http.Client) func(context.Context) (int, error) {
		client := graphql.NewClient(runpod.DefaultGraphQLURL, c)
		return func(ctx context.Context) (int, error) {
			var q account100
			err := client.Query(ctx, &q, nil)
			return len(q.Myself.Endpoints), err
		}
	}},
	{"encoding-json", func(c *http.Client) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, runpod.DefaultGraphQLURL, strings.NewReader(`{"query":"{myself{endpoints{id}}}"}`))
			if err != nil {
				return 0, err
			}
			res, err := c.Do(req)
			if err != nil {
				return 0, err
			}
			defer res.Body.Close()
			var a struct{ Data account100 }
			err = json.NewDecoder(res.Body).Decode(&a)
			return len(a.Data.Myself.Endpoints), err
		}
	}},
}

// BenchmarkList is one look at a hundred endpoints of a RunPod account.
func BenchmarkList(b *testing.B) {
	for _, l := range listers {
		b.Run(l.name, func(b *testing.B) {
			list := l.list(canned(100))
			b.ReportAllocs()
			for b.Loop() {
				if n, err := list(b.Context()); n != 100 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// TestListAllocates holds the list against the client that it goes around.
func TestListAllocates(t *testing.T) {
	allocs := map[string]float64{}
	for _, l := range listers {
		list := l.list(canned(100))
		allocs[l.name] = testing.AllocsPerRun(20, func() {
			if n, err := list(t.Context()); n != 100 || err != nil {
				t.Fatal(n, err)
			}
		})
		t.Logf("%s: %.0f allocations", l.name, allocs[l.name])
	}
	if ours, theirs := allocs["changeover"], allocs["shurcooL"]; ours > 1500 || theirs < 10*ours {
		t.Errorf("%.0f allocations, and %.0f of the GraphQL client; want at most 1500 and a tenth", ours, theirs)
	}
}
