package sagemakertest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// filled sets every field of an SDK struct, and of the structs in it.
func filled(v reflect.Value, n *int) {
	*n++
	switch v.Kind() { //nolint:exhaustive // the kinds that the SDK has
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), n)
	case reflect.Interface:
		member := reflect.New(unions[v.Type()][0])
		filled(member.Elem().FieldByName("Value"), n)
		v.Set(member)
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.UnixMilli(1_700_000_000_000 + int64(*n)).UTC()))
			return
		}
		for i := range v.NumField() {
			if onWire(v.Type().Field(i)) {
				filled(v.Field(i), n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		filled(v.Index(0), n)
		filled(v.Index(1), n)
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		filled(e, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(fmt.Sprint("k", *n)).Convert(v.Type().Key()), e)
	case reflect.String:
		v.SetString(fmt.Sprint("value ", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n) - 20)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	default:
		panic(v.Type().String())
	}
}

func TestEveryFieldOfEveryInputSurvivesTheWire(t *testing.T) {
	for name, op := range operations {
		enc := jsonEncoding
		if op.service == CloudWatch {
			enc = cborEncoding
		}
		n := 0
		in := reflect.New(op.input)
		filled(in.Elem(), &n)
		tree, err := enc.decode(enc.encode(toTree(in)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out := reflect.New(op.input)
		if err := fromTree(tree, out.Elem()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(in.Interface(), out.Interface()) {
			t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(toTree(in), toTree(out)))
		}
	}
}

// A constraint whose type or member the SDK has not would never be looked at.
func TestEveryConstraintIsOfAField(t *testing.T) {
	paths := map[string]bool{}
	var walk func(service, path string, typ reflect.Type)
	walk = func(service, path string, typ reflect.Type) {
		paths[path] = true
		switch typ.Kind() { //nolint:exhaustive // the others have nothing in them
		case reflect.Pointer:
			walk(service, path, typ.Elem())
		case reflect.Slice:
			walk(service, path+"[]", typ.Elem())
		case reflect.Map:
			walk(service, path+"{k}", typ.Key())
			walk(service, path+"{v}", typ.Elem())
		case reflect.Interface:
			for _, m := range unions[typ] {
				f, _ := m.FieldByName("Value")
				walk(service, path, f.Type)
			}
		case reflect.Struct:
			if typ == timeType || paths[service+"."+typ.Name()] {
				return
			}
			paths[service+"."+typ.Name()] = true
			for i := range typ.NumField() {
				if f := typ.Field(i); onWire(f) {
					walk(service, service+"."+typ.Name()+"."+f.Name, f.Type)
				}
			}
		default:
		}
	}
	for _, op := range operations {
		walk(string(op.service), string(op.service), op.input)
	}
	for path := range constraints() {
		if !paths[path] {
			t.Errorf("constraints.txt: the SDK has no %s", path)
		}
	}
	for line := range strings.Lines(constraintsText) {
		path, _, _ := strings.Cut(line, " ")
		if _, ok := constraints()[path]; !ok && path != "#" && path != "\n" {
			t.Errorf("constraints.txt: %q was not understood", line)
		}
	}
}

func FuzzDecodeCBOR(f *testing.F) {
	f.Add(encodeCBOR(map[string]any{"a": []any{int64(-5), 1.5, true, nil, "x", time.Unix(1, 0)}}))
	f.Add([]byte{0xbf, 0x61, 'a', 0x9f, 0x01, 0xff, 0xff}) // of indefinite length
	f.Add([]byte{0xfa, 0x3f, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := decodeCBOR(b)
		if err != nil {
			return
		}
		again, err := decodeCBOR(encodeCBOR(tree))
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if x, y := fmt.Sprint(tree), fmt.Sprint(again); x != y {
			t.Errorf("%x: %s became %s", b, x, y)
		}
	})
}
