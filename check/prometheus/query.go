package prometheus

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
)

// query is PromQL with places for what is known of a sample.
type query struct{ tmpl *template.Template }

// parseQuery refuses a query that could not be rendered for any sample.
func parseQuery(text string) (query, error) {
	if strings.TrimSpace(text) == "" {
		return query{}, fmt.Errorf("%w: the query is empty", endpoint.ErrInvalid)
	}
	t, err := template.New("query").Option("missingkey=error").Funcs(template.FuncMap{
		"regexp": func(v any) value { return value(regexp.QuoteMeta(fmt.Sprintf("%s", raw(v)))) },
	}).Parse(text)
	if err != nil {
		return query{}, fmt.Errorf("%w: %w", endpoint.ErrInvalid, err)
	}
	q := query{t}
	some := endpoint.Revision{Kind: "revision", ID: "a", Artifact: "b"}
	if _, err := q.render(rollout.Sample{
		Endpoint: "a", Rollout: "a", Step: "a", Source: some, Target: some,
		SourceNames: []string{"a"}, TargetNames: []string{"b"}, Share: 1,
	}); err != nil {
		return query{}, fmt.Errorf("%w: %w", endpoint.ErrInvalid, err)
	}
	return q, nil
}

func (q query) render(s rollout.Sample) (string, error) {
	var b strings.Builder
	err := q.tmpl.Execute(&b, data{s})
	var empty *emptyError
	if errors.As(err, &empty) {
		return "", empty
	}
	return b.String(), err
}

// data is what a template sees of a sample.
type data struct{ s rollout.Sample }

// Endpoint is the endpoint's name.
func (d data) Endpoint() (value, error) { return filled("Endpoint", d.s.Endpoint) }

// Rollout is the rollout's identifier.
func (d data) Rollout() (value, error) { return filled("Rollout", d.s.Rollout) }

// Step is the step's name.
func (d data) Step() (value, error) { return filled("Step", d.s.Step) }

// Source is the identifier of the source revision.
func (d data) Source() (value, error) { return filled("Source", d.s.Source.ID) }

// Target is the identifier of the target revision.
func (d data) Target() (value, error) { return filled("Target", d.s.Target.ID) }

// SourceArtifact is the artifact of the source revision.
func (d data) SourceArtifact() (value, error) { return filled("SourceArtifact", d.s.Source.Artifact) }

// TargetArtifact is the artifact of the target revision.
func (d data) TargetArtifact() (value, error) { return filled("TargetArtifact", d.s.Target.Artifact) }

// SourceNames matches the names of the parts that run the source revision.
func (d data) SourceNames() (value, error) { return alternatives("SourceNames", d.s.SourceNames) }

// TargetNames matches the names of the parts that run the target revision.
func (d data) TargetNames() (value, error) { return alternatives("TargetNames", d.s.TargetNames) }

// Share is the target's share of the traffic in percent.
func (d data) Share() int { return d.s.Share }

// Elapsed is a duration of PromQL, in whole seconds.
func (d data) Elapsed() string {
	return strconv.FormatInt(max(1, int64(d.s.Elapsed/time.Second)), 10) + "s"
}

// emptyError is a value that the sample does not have.
type emptyError struct{ field string }

func (e *emptyError) Error() string {
	return fmt.Sprintf("the query needs %s, and the rollout has none", e.field)
}

func filled(field, s string) (value, error) {
	if s == "" {
		return "", &emptyError{field}
	}
	return value(s), nil
}

func alternatives(field string, names []string) (value, error) {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = regexp.QuoteMeta(n)
	}
	return filled(field, strings.Join(quoted, "|"))
}

// value is a text that is written into a query in escaped form.
type value string

func raw(v any) string {
	if v, ok := v.(value); ok {
		return string(v)
	}
	return fmt.Sprint(v)
}

// String escapes everything but letters, digits and a few signs. The escapes are
// of those that PromQL has in double and in single quotes alike. Between
// backquotes and outside of quotes they are no escapes, and the text cannot end
// the one or be an operator in the other.
func (v value) String() string {
	var b strings.Builder
	for _, r := range string(v) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_-./:@", r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
