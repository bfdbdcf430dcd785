package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/changeover-dev/changeover/strategy"
)

// durations are the keys of durations, which the library keeps in nanoseconds.
var durations = []string{"timeout", "for", "settle", "interval", "delay", "unknownLimit", "expires", "soak", "elapsed"}

// documents are the keys of what is a provider's own, and is left as it is.
var documents = []string{"body", "options", "data", "fields"}

// readable encodes a value with durations as strings and without nulls.
func readable(v any) (json.RawMessage, error) {
	return rewrite(v, func(n json.Number) any {
		if d, err := n.Int64(); err == nil {
			return time.Duration(d).String()
		}
		return n
	}, nil)
}

// decodePlan reads a plan, or an event with one, as [readable] encodes it.
func decodePlan(raw []byte) (*strategy.Plan, error) {
	var event struct {
		Plan json.RawMessage `json:"plan"`
	}
	if err := json.Unmarshal(raw, &event); err != nil {
		return nil, err
	}
	if event.Plan != nil {
		raw = event.Plan
	}
	raw, err := rewrite(json.RawMessage(raw), nil, func(s string) any {
		if d, err := time.ParseDuration(s); err == nil {
			return json.Number(strconv.FormatInt(int64(d), 10))
		}
		return s
	})
	if err != nil {
		return nil, err
	}
	return strategy.DecodePlan(raw)
}

// rewrite encodes a value with the durations in it changed.
func rewrite(v any, number func(json.Number) any, text func(string) any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one value")
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for key, x := range v {
				n, isNumber := x.(json.Number)
				s, isText := x.(string)
				switch {
				case x == nil && (key == "forward" || key == "rollback"):
					v[key] = []any{}
				case x == nil:
					delete(v, key)
				case slices.Contains(documents, key):
				case isNumber && number != nil && slices.Contains(durations, key):
					v[key] = number(n)
				case isText && text != nil && slices.Contains(durations, key):
					v[key] = text(s)
				default:
					walk(x)
				}
			}
		}
	}
	walk(tree)
	return json.Marshal(tree)
}
