package sagemakertest

import (
	_ "embed"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed constraints.txt
var constraintsText string

// constraint is what the service model says about one member.
type constraint struct {
	required bool
	min, max *float64 // of a number, or of a length
	source   string   // of the pattern
	pattern  *regexp.Regexp
}

// constraints are by service, type and member, as in constraints.txt.
var constraints = sync.OnceValue(func() map[string]constraint { return parseConstraints(constraintsText) })

func parseConstraints(text string) map[string]constraint {
	all := map[string]constraint{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		path, rest, ok := strings.Cut(line, " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		var c constraint
		for rest != "" {
			if p, ok := strings.CutPrefix(rest, "pattern="); ok {
				c.source, c.pattern = p, regexp.MustCompile(`^(?:`+p+`)$`)
				break
			}
			var word string
			word, rest, _ = strings.Cut(rest, " ")
			switch name, value, _ := strings.Cut(word, "="); name {
			case "required":
				c.required = true
			case "min", "max":
				n, err := strconv.ParseFloat(value, 64)
				if err != nil {
					panic("sagemakertest: " + line)
				}
				if name == "min" {
					c.min = &n
				} else {
					c.max = &n
				}
			}
		}
		all[path] = c
	}
	return all
}

// validate checks an input against the service model, before anything else is
// checked, and words all that is wrong as AWS does.
func validate(s Service, input reflect.Type, t any) error {
	v := validator{service: s}
	v.structure(input, t, "")
	if len(v.faults) == 0 {
		return nil
	}
	noun := "error"
	if len(v.faults) > 1 {
		noun += "s"
	}
	code := "ValidationException"
	if s == CloudWatch {
		code = "ValidationError"
	}
	return refuse(code, "%d validation %s detected: %s", len(v.faults), noun, strings.Join(v.faults, "; "))
}

type validator struct {
	service Service
	faults  []string
}

func (v *validator) fail(t any, path, format string, args ...any) {
	value := "null"
	if t != nil {
		value = fmt.Sprintf("'%v'", t)
	}
	v.faults = append(v.faults, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: Member must %s",
		value, path, fmt.Sprintf(format, args...)))
}

func (v *validator) structure(typ reflect.Type, t any, path string) {
	m, ok := t.(map[string]any)
	if !ok {
		return // decoding complains
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		if !onWire(f) {
			continue
		}
		name := strings.ToLower(f.Name[:1]) + f.Name[1:]
		if path != "" {
			name = path + "." + name
		}
		v.member(string(v.service)+"."+typ.Name()+"."+f.Name, f.Type, m[f.Name], name)
	}
}

// member checks one value; key is where its constraint is, path what AWS calls it.
func (v *validator) member(key string, typ reflect.Type, t any, path string) {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	c := constraints()[key]
	if t == nil {
		if c.required {
			v.fail(t, path, "not be null")
		}
		return
	}
	switch t := t.(type) {
	case string:
		v.text(c, typ, t, path)
	case int64:
		v.bounds(c, t, float64(t), "value", path)
	case float64:
		v.bounds(c, t, t, "value", path)
	case []any:
		v.bounds(c, t, float64(len(t)), "length", path)
		if typ.Kind() == reflect.Slice {
			for i, e := range t {
				v.member(key+"[]", typ.Elem(), e, fmt.Sprintf("%s.%d.member", path, i+1))
			}
		}
	case map[string]any:
		switch typ.Kind() { //nolint:exhaustive // a union has no constraint that matters here
		case reflect.Struct:
			v.structure(typ, t, path)
		case reflect.Map:
			v.bounds(c, t, float64(len(t)), "length", path)
			for _, k := range slices.Sorted(maps.Keys(t)) {
				v.member(key+"{k}", typ.Key(), k, path)
				v.member(key+"{v}", typ.Elem(), t[k], path+"."+k+".member")
			}
		}
	}
}

func (v *validator) text(c constraint, typ reflect.Type, s, path string) {
	v.bounds(c, s, float64(utf8.RuneCountInString(s)), "length", path)
	if c.pattern != nil && !c.pattern.MatchString(s) {
		v.fail(s, path, "satisfy regular expression pattern: %s", c.source)
	}
	values := reflect.Zero(typ).MethodByName("Values")
	if typ.Kind() != reflect.String || !values.IsValid() {
		return
	}
	var all []string
	list := values.Call(nil)[0]
	for i := range list.Len() {
		all = append(all, list.Index(i).String())
	}
	if !slices.Contains(all, s) {
		v.fail(s, path, "satisfy enum value set: [%s]", strings.Join(all, ", "))
	}
}

func (v *validator) bounds(c constraint, t any, n float64, what, path string) {
	if c.min != nil && n < *c.min {
		v.fail(t, path, "have %s greater than or equal to %v", what, *c.min)
	}
	if c.max != nil && n > *c.max {
		v.fail(t, path, "have %s less than or equal to %v", what, *c.max)
	}
}
