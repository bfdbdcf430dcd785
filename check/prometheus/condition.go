package prometheus

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

// Condition is what has to hold of the results of queries. It is made by [Below],
// [Above], [Ratio] and [Parse].
type Condition struct {
	query, baseline string
	above, ratio    bool
	limit           float64
}

// Below holds while the query's result is less than limit.
func Below(query string, limit float64) Condition { return Condition{query: query, limit: limit} }

// Above holds while the query's result is greater than limit.
func Above(query string, limit float64) Condition {
	return Condition{query: query, above: true, limit: limit}
}

// Ratio holds while the result of the query target is at most limit times that of
// the query source: with 1.2, the target may be a fifth worse than the source.
// Where the source's result is 0 it holds if the target's is 0, too. A negative
// result is unknown.
//
// Once the target has all of the traffic after it was served side by side with the
// source ([rollout.Sample.SourceNames]), there may be no data of the source. The
// check passes then, and says that it compared nothing: it has passed before, or
// the rollout would not have got there. Everywhere else that is unknown.
func Ratio(target, source string, limit float64) Condition {
	return Condition{query: target, baseline: source, ratio: true, limit: limit}
}

// Parse reads a check as programs take it on the command line: "NAME=QUERY<NUMBER"
// or "NAME=QUERY>NUMBER". The last < or > counts, since a query may have more.
func Parse(text string) (name string, c Condition, err error) {
	bad := func(format string, args ...any) (string, Condition, error) {
		return "", Condition{}, fmt.Errorf("check %q: %w: %s", text, endpoint.ErrInvalid, fmt.Sprintf(format, args...))
	}
	name, rest, ok := strings.Cut(text, "=")
	if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, "<>{}()\"'`") {
		return bad("want NAME=QUERY<NUMBER or NAME=QUERY>NUMBER")
	}
	i := strings.LastIndexAny(rest, "<>")
	if i < 0 {
		return bad("there is no < or > with a number after it")
	}
	number := strings.TrimSpace(rest[i+1:])
	if strings.HasPrefix(number, "=") {
		return bad("%c= is not offered: use %c with the next number", rest[i], rest[i])
	}
	limit, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return bad("%q is no number", number)
	}
	c = Condition{query: strings.TrimSpace(rest[:i]), above: rest[i] == '>', limit: limit}
	if _, err := c.compile(); err != nil {
		return bad("%v", err)
	}
	return name, c, nil
}

// String is the condition in words, without the queries.
func (c Condition) String() string {
	switch {
	case c.ratio:
		return fmt.Sprintf("at most %v times the source's", c.limit)
	case c.above:
		return fmt.Sprintf("above %v", c.limit)
	}
	return fmt.Sprintf("below %v", c.limit)
}

type compiled struct {
	Condition
	target, source query
}

func (c Condition) compile() (compiled, error) {
	out := compiled{Condition: c}
	if math.IsNaN(c.limit) || math.IsInf(c.limit, 0) {
		return out, fmt.Errorf("%w: the limit is %v", endpoint.ErrInvalid, c.limit)
	}
	var err error
	if out.target, err = parseQuery(c.query); err != nil || !c.ratio {
		return out, err
	}
	if c.limit <= 0 {
		return out, fmt.Errorf("%w: the limit of a ratio is %v, want more than 0", endpoint.ErrInvalid, c.limit)
	}
	out.source, err = parseQuery(c.baseline)
	return out, err
}
