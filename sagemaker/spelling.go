package sagemaker

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// checkSpelling refuses names in a document that are not exactly those of the
// fields of a type: AWS's documents are case-sensitive, and package json is not.
func checkSpelling(raw []byte, into any) error {
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		return fmt.Errorf("%w: %s", endpoint.ErrInvalid, clip(err.Error()))
	}
	return spelled("", plain, reflect.TypeOf(into))
}

func spelled(at string, d any, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch d := d.(type) {
	case map[string]any:
		return spelledObject(at, d, t)
	case []any:
		if t.Kind() != reflect.Slice {
			return nil // decoding says so
		}
		for i, e := range d {
			if err := spelled(at+"["+strconv.Itoa(i)+"]", e, t.Elem()); err != nil {
				return err
			}
		}
	}
	return nil
}

func spelledObject(at string, d map[string]any, t reflect.Type) error {
	if t.Kind() == reflect.Map {
		for _, name := range slices.Sorted(maps.Keys(d)) {
			if err := spelled(join(at, name), d[name], t.Elem()); err != nil {
				return err
			}
		}
		return nil
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() {
		return nil
	}
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Name != "ResultMetadata" {
			fields[f.Name] = f.Type
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d)) {
		f, ok := fields[name]
		if !ok {
			return misspelled(join(at, name), name, slices.Sorted(maps.Keys(fields)))
		}
		if err := spelled(join(at, name), d[name], f); err != nil {
			return err
		}
	}
	return nil
}

// misspelled names the field that was probably meant, or all that there are.
func misspelled(path, name string, fields []string) error {
	best, least := "", 4
	for _, f := range fields {
		if d := distance(strings.ToLower(name), strings.ToLower(f)); d < least {
			best, least = f, d
		}
	}
	if best != "" {
		return invalid("%s is not a field: AWS spells it %s", path, best)
	}
	return invalid("%s is not a field: there are %s", path, strings.Join(fields, ", "))
}

// distance is how many letters have to be added, left out or changed to make b
// of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// checkGiven refuses a document that says nothing, or nothing in one place: a
// person who wrote it meant something.
func checkGiven(raw []byte) error {
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		return fmt.Errorf("%w: %s", endpoint.ErrInvalid, clip(err.Error()))
	}
	if object, ok := plain.(map[string]any); plain == nil || ok && len(object) == 0 {
		return invalid("the document says nothing: leave it out where nothing is meant")
	}
	if path, ok := nullIn("", plain); ok {
		return invalid("%s is null: leave it out where nothing is meant", path)
	}
	return nil
}

// nullIn finds the first null in a document.
func nullIn(at string, d any) (path string, ok bool) {
	switch d := d.(type) {
	case nil:
		return at, true
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(d)) {
			if path, ok := nullIn(join(at, name), d[name]); ok {
				return path, true
			}
		}
	case []any:
		for i, e := range d {
			if path, ok := nullIn(at+"["+strconv.Itoa(i)+"]", e); ok {
				return path, true
			}
		}
	}
	return "", false
}

// decodeNoNull is [decode] for a document in which a null would be a mistake.
func decodeNoNull(raw []byte, into any) error {
	var plain any
	if err := json.Unmarshal(raw, &plain); err == nil {
		if path, ok := nullIn("", plain); ok {
			return invalid("%s is null: leave it out where nothing is meant", path)
		}
	}
	return decode(raw, into)
}

// decodeGiven is [decode] for a document that a person wrote.
func decodeGiven(raw []byte, into any) error {
	if err := checkGiven(raw); err != nil {
		return err
	}
	return decode(raw, into)
}
