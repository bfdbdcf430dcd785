package sagemaker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// The SDK's types are written to JSON as AWS's own documents spell them, with
// what is not set left out. What is set to false, zero or the empty string is
// kept: to AWS that is not the same as nothing.

// document makes plain JSON values of v.
func document(v any) any { return documentOf(reflect.ValueOf(v)) }

func documentOf(v reflect.Value) any {
	switch v.Kind() { //nolint:exhaustive // all others are scalars
	case reflect.Invalid:
		return nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if d := documentOf(v.Elem()); d != nil {
			return d
		}
		return v.Elem().Interface() // a scalar that is set to its zero
	case reflect.Struct:
		if t, ok := reflect.TypeAssert[time.Time](v); ok {
			return t.UTC().Format(time.RFC3339Nano)
		}
		fields := map[string]any{}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				if d := documentOf(v.Field(i)); d != nil {
					fields[f.Name] = d
				}
			}
		}
		return fields
	case reflect.Slice:
		var list []any
		for i := range v.Len() {
			list = append(list, documentOf(v.Index(i)))
		}
		if list == nil {
			return nil
		}
		return list
	case reflect.Map:
		entries := map[string]any{}
		for _, k := range v.MapKeys() {
			entries[k.String()] = v.MapIndex(k).Interface()
		}
		if len(entries) == 0 {
			return nil
		}
		return entries
	default:
		if v.IsZero() {
			return nil
		}
		return v.Interface()
	}
}

// encode writes v as JSON in one way only, so that equal values have equal texts.
func encode(v any) (json.RawMessage, error) { return json.Marshal(document(v)) }

// text is [encode] for values of this package's own making.
func text(v any) string {
	b, err := encode(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// decode reads JSON strictly: a name that is not known, or is not spelled as
// AWS spells it, is an error, since what it asked for would not happen.
func decode(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%w: %s", endpoint.ErrInvalid, clip(err.Error()))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is something after the document", endpoint.ErrInvalid)
	}
	return checkSpelling(raw, into)
}

// copyOf is a deep copy of v, by its document.
func copyOf[T any](v *T) (*T, error) {
	b, err := encode(v)
	if err != nil {
		return nil, err
	}
	c := new(T)
	return c, json.Unmarshal(b, c)
}

// missing names what want states and have does not say as well. Structures
// and list entries that only have has are named too; scalars that only have
// has are defaults that AWS filled in.
func missing(want, have any) []string {
	var paths []string
	contrast(&paths, "", want, have)
	slices.Sort(paths)
	return paths
}

func contrast(paths *[]string, at string, want, have any) {
	add := func() { *paths = append(*paths, at) }
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			add()
			return
		}
		for name := range h {
			if _, ok := w[name]; !ok && !isScalar(h[name]) {
				contrast(paths, join(at, name), nil, h[name])
			}
		}
		for name := range w {
			contrast(paths, join(at, name), w[name], h[name])
		}
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) != len(w) {
			add()
			return
		}
		for i := range w {
			contrast(paths, at+"["+strconv.Itoa(i)+"]", w[i], h[i])
		}
	default:
		if !reflect.DeepEqual(want, have) {
			add()
		}
	}
}

func isScalar(d any) bool {
	switch d.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
