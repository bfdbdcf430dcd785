package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// schema is as much of JSON Schema as docs/events.schema.json uses.
type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Pattern              string             `json:"pattern"`
	Enum                 []any              `json:"enum"`
	Required             []string           `json:"required"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties json.RawMessage    `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	Defs                 map[string]*schema `json:"$defs"`
}

// check returns what of a value is not as the schema has it.
func (s *schema) check(defs map[string]*schema, at string, v any) (wrong []string) {
	if s.Ref != "" {
		return defs[strings.TrimPrefix(s.Ref, "#/$defs/")].check(defs, at, v)
	}
	bad := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		bad("%v is none of %v", v, s.Enum)
	}
	is := map[string]bool{}
	switch v := v.(type) {
	case string:
		is["string"] = true
		if _, err := time.Parse(time.RFC3339, v); s.Format == "date-time" && (err != nil || strings.HasPrefix(v, "0001-")) {
			bad("%q is no time", v)
		}
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			bad("%q does not match %s", v, s.Pattern)
		}
	case float64:
		is["number"], is["integer"] = true, v == float64(int64(v))
	case bool:
		is["boolean"] = true
	case []any:
		is["array"] = true
		for i, x := range v {
			wrong = append(wrong, s.Items.check(defs, fmt.Sprintf("%s[%d]", at, i), x)...)
		}
	case map[string]any:
		is["object"] = true
		for _, key := range s.Required {
			if _, ok := v[key]; !ok {
				bad("%s is missing", key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			wrong = append(wrong, s.property(defs, at, key, v[key])...)
		}
	}
	if s.Type != "" && !is[s.Type] {
		bad("%v is no %s", v, s.Type)
	}
	return wrong
}

func (s *schema) property(defs map[string]*schema, at, key string, v any) []string {
	var more schema
	switch p := s.Properties[key]; {
	case p != nil:
		return p.check(defs, at+"."+key, v)
	case string(s.AdditionalProperties) == "false":
		return []string{at + ": " + key + " is not described"}
	case json.Unmarshal(s.AdditionalProperties, &more) == nil:
		return more.check(defs, at+"."+key, v)
	}
	return nil
}

// nulls finds what is null, or a time that is zero.
func nulls(at string, v any) (found []string) {
	switch v := v.(type) {
	case nil:
		found = append(found, at+" is null")
	case string:
		if strings.HasPrefix(v, "0001-01-01") {
			found = append(found, at+" is a zero time")
		}
	case []any:
		for _, x := range v {
			found = append(found, nulls(at+"[]", x)...)
		}
	case map[string]any:
		for key, x := range v {
			found = append(found, nulls(at+"."+key, x)...)
		}
	}
	return found
}

// Every line of every outcome is as docs/events.schema.json says.
func TestSchema(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../docs/events.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, tt := range plays() {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				outcome := tt.play(t, newJSON(&out, &out))
				var last map[string]any
				for line := range strings.Lines(out.String()) {
					last = map[string]any{}
					if err := json.Unmarshal([]byte(line), &last); err != nil {
						t.Fatalf("%s: %v", line, err)
					}
					for _, wrong := range append(s.check(s.Defs, "line", last), nulls("line", last)...) {
						t.Errorf("%s\nin %.300s", wrong, line)
					}
					kinds[fmt.Sprint(last["kind"])] = true
				}
				if outcome != "" && last["outcome"] != outcome {
					t.Errorf("outcome %v, want %s", last["outcome"], outcome)
				}
			})
		})
	}
	for _, kind := range s.Properties["kind"].Enum {
		if !kinds[fmt.Sprint(kind)] {
			t.Errorf("no line of kind %v was printed", kind)
		}
	}
}

type play struct {
	name string
	play func(t *testing.T, j *jsonLines) (outcome string)
}

func fake() *endpointtest.Workers {
	return endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
	})
}

// rolls plays a rollout of an endpoint, by a command.
func (j *jsonLines) rolls(ctx context.Context, ep *endpointtest.Workers, store journal.Store, target string, opts ...rollout.Option) {
	report, err := rollout.Run(ctx, store, ep, strategy.FlushToZero{}, rollout.ToRevision(target), append(opts, Observe(j))...)
	j.ends(ep, report, err)
}

func (j *jsonLines) ends(ep *endpointtest.Workers, report *rollout.Report, err error) {
	c := &command{Flags: &Flags{JSON: true}}
	j.end(ep.Name(), report, err, c.status(report, err))
}

func plays() []play {
	refuse := func(int, string) endpointtest.Fault { return endpointtest.Refuse(endpoint.ErrUnauthorized) }
	return []play{
		{"succeeded", func(t *testing.T, j *jsonLines) string {
			failing := rollout.CheckFunc(func(context.Context, rollout.Sample) (rollout.Verdict, error) {
				return rollout.Measured(1, 2, true), nil
			})
			ep := fake()
			ep.OnRead(func(n int, _ string) endpointtest.Fault {
				if n == 20 {
					return endpointtest.LostBefore()
				}
				return endpointtest.Fault{}
			})
			j.rolls(t.Context(), ep, journal.NewMemory(), "b", rollout.WithBake(time.Minute), rollout.WithCheck(strategy.Check{Name: "p99"}, failing))
			return "succeeded"
		}},
		{"rolled back, with drift", func(t *testing.T, j *jsonLines) string {
			ep := fake()
			ep.FailOn("acme/sdxl:v2", "image pull backoff")
			ep.At(time.Now().Add(40*time.Second), func(s *endpointtest.WorkersState) { s.Min = 2 })
			j.rolls(t.Context(), ep, journal.NewMemory(), "b")
			return "rolled back"
		}},
		{"incomplete, explained and resumed", func(t *testing.T, j *jsonLines) string {
			ep, store := fake(), journal.NewMemory()
			ctx, cancel := context.WithCancel(t.Context())
			ep.OnMutation(func(_ int, name string) endpointtest.Fault {
				if name == "update b" {
					cancel()
					return refuse(0, "")
				}
				if ctx.Err() != nil {
					return refuse(0, "")
				}
				return endpointtest.Fault{}
			})
			j.rolls(ctx, ep, store, "b")
			c := &command{Flags: &Flags{JSON: true}, rollout: Rollout{Name: ep.Name()}, display: j}
			if err := c.explainFrom(t.Context(), store, j); err != nil {
				t.Error(err)
			}
			ep.OnMutation(nil)
			report, err := rollout.Resume(t.Context(), store, ep, Observe(j))
			j.ends(ep, report, err)
			return "rolled back"
		}},
		{"detached", func(t *testing.T, j *jsonLines) string {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			j.rolls(ctx, fake(), journal.NewMemory(), "b", rollout.WithDetach())
			return "detached"
		}},
		{"no-op", func(t *testing.T, j *jsonLines) string {
			j.rolls(t.Context(), fake(), journal.NewMemory(), "a")
			return "no-op"
		}},
		{"refused", func(t *testing.T, j *jsonLines) string {
			j.rolls(t.Context(), fake(), journal.NewMemory(), "zz")
			return "refused"
		}},
		{"cancelled before it began", func(t *testing.T, j *jsonLines) string {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			j.rolls(ctx, fake(), journal.NewMemory(), "b")
			return "cancelled"
		}},
		{"nothing", func(t *testing.T, j *jsonLines) string {
			ep := fake()
			report, err := rollout.Resume(t.Context(), journal.NewMemory(), ep, Observe(j))
			j.ends(ep, report, err)
			return "nothing"
		}},
		{"approved", func(t *testing.T, j *jsonLines) string {
			ep, store := fake(), journal.NewMemory()
			go func() {
				time.Sleep(10 * time.Minute)
				if err := rollout.Decide(t.Context(), store, ep.Name(), rollout.Decision{Verb: rollout.Approve, By: "alice"}); err != nil {
					t.Error(err)
				}
			}()
			j.rolls(t.Context(), ep, store, "b", rollout.WithApproval(strategy.Approval{Name: "go", Expires: time.Hour}))
			return "succeeded"
		}},
		{"superseded", func(t *testing.T, j *jsonLines) string {
			ep := fake()
			ep.OnMutation(func(_ int, name string) endpointtest.Fault {
				if name == "update b" {
					return endpointtest.RunAfter(func() {
						ep.Foreign(func(s *endpointtest.WorkersState) { s.Templates["z"], s.Live = "acme/sdxl:v9", "z" })
					})
				}
				return endpointtest.Fault{}
			})
			j.rolls(t.Context(), ep, journal.NewMemory(), "b")
			return "superseded"
		}},
	}
}
