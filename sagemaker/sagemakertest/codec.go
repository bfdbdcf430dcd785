package sagemakertest

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// A tree is a message apart from its encoding: nil, bool, int64, float64,
// string, []byte, time.Time, []any or map[string]any. The SDK's structs are
// read from trees and written to them by the names of their fields, which are
// those on the wire.

// unions are the members of the SDK's interface types, by their wire names.
var unions = map[reflect.Type][]reflect.Type{
	reflect.TypeFor[types.EvaluationCriteria](): {reflect.TypeFor[types.EvaluationCriteriaMemberPromQLCriteria]()},
	reflect.TypeFor[types.EvaluationWindow](): {
		reflect.TypeFor[types.EvaluationWindowMemberSlidingWindow](),
		reflect.TypeFor[types.EvaluationWindowMemberWallClockWindow](),
	},
}

var timeType = reflect.TypeFor[time.Time]()

// unionMember is the wire name of a member type of a union.
func unionMember(t reflect.Type) string {
	_, name, _ := strings.Cut(t.Name(), "Member")
	return name
}

// onWire reports whether a field of an SDK struct is sent.
func onWire(f reflect.StructField) bool { return f.IsExported() && f.Name != "ResultMetadata" }

// toTree leaves out what is not set, as the SDK's serializers do.
func toTree(v reflect.Value) any {
	switch v.Kind() { //nolint:exhaustive // the kinds that the SDK has
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return toTree(v.Elem())
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		m := v.Elem().Elem()
		return map[string]any{unionMember(m.Type()): toTree(m.FieldByName("Value"))}
	case reflect.Struct:
		if v.Type() == timeType {
			return v.Interface()
		}
		return fieldTrees(v)
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return slices.Clone(v.Bytes())
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = toTree(v.Index(i))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		out := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = toTree(it.Value())
		}
		return out
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	default:
		panic(fmt.Sprintf("sagemakertest: %s on the wire", v.Type()))
	}
}

// fieldTrees are the trees of a struct's fields, by name.
func fieldTrees(v reflect.Value) map[string]any {
	out := map[string]any{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !onWire(f) || isScalar(v.Field(i)) && v.Field(i).IsZero() {
			continue
		}
		if t := toTree(v.Field(i)); t != nil {
			out[f.Name] = t
		}
	}
	return out
}

func isScalar(v reflect.Value) bool {
	switch v.Kind() { //nolint:exhaustive // the kinds that the SDK has without a pointer
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		return true
	default:
		return false
	}
}

// mismatch is a value of the wrong type, which no service reads further.
func mismatch(t any, want reflect.Type) error {
	return refuse("SerializationException", "%T can not be converted to %s", t, want)
}

// fromTree fills v. Members that it does not know are ignored, as AWS does.
func fromTree(t any, v reflect.Value) error {
	if t == nil {
		return nil
	}
	switch v.Kind() { //nolint:exhaustive // the others are scalars
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fromTree(t, v.Elem())
	case reflect.Interface:
		return unionFromTree(t, v)
	case reflect.Struct:
		if v.Type() == timeType {
			return timeFromTree(t, v)
		}
		m, ok := t.(map[string]any)
		if !ok {
			return mismatch(t, v.Type())
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); onWire(f) {
				if err := fromTree(m[f.Name], v.Field(i)); err != nil {
					return err
				}
			}
		}
		return nil
	case reflect.Slice:
		if b, ok := t.([]byte); ok && v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(b)
			return nil
		}
		l, ok := t.([]any)
		if !ok {
			return mismatch(t, v.Type())
		}
		v.Set(reflect.MakeSlice(v.Type(), len(l), len(l)))
		for i, e := range l {
			if err := fromTree(e, v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		m, ok := t.(map[string]any)
		if !ok {
			return mismatch(t, v.Type())
		}
		v.Set(reflect.MakeMapWithSize(v.Type(), len(m)))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := fromTree(m[k], e); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(k).Convert(v.Type().Key()), e)
		}
		return nil
	default:
		return scalarFromTree(t, v)
	}
}

func scalarFromTree(t any, v reflect.Value) error {
	switch t := t.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(t)
			return nil
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(t)
			return nil
		}
	case int64:
		if v.CanInt() && !v.OverflowInt(t) {
			v.SetInt(t)
			return nil
		}
		if v.CanFloat() {
			v.SetFloat(float64(t))
			return nil
		}
	case float64:
		if v.CanFloat() {
			v.SetFloat(t)
			return nil
		}
		if v.CanInt() && t == math.Trunc(t) {
			return scalarFromTree(int64(t), v)
		}
	}
	return mismatch(t, v.Type())
}

func timeFromTree(t any, v reflect.Value) error {
	switch t := t.(type) {
	case time.Time:
		v.Set(reflect.ValueOf(t))
	case int64:
		v.Set(reflect.ValueOf(time.Unix(t, 0).UTC()))
	case float64:
		v.Set(reflect.ValueOf(time.UnixMilli(int64(math.Round(t * 1000))).UTC()))
	default:
		return mismatch(t, v.Type())
	}
	return nil
}

func unionFromTree(t any, v reflect.Value) error {
	m, ok := t.(map[string]any)
	if !ok {
		return mismatch(t, v.Type())
	}
	for _, member := range unions[v.Type()] {
		if e := m[unionMember(member)]; e != nil {
			p := reflect.New(member)
			v.Set(p)
			return fromTree(e, p.Elem().FieldByName("Value"))
		}
	}
	return mismatch(t, v.Type())
}

// clone copies an SDK struct with everything that it points to.
func clone[T any](in *T) *T {
	if in == nil {
		return nil
	}
	out := new(T)
	if err := fromTree(toTree(reflect.ValueOf(in)), reflect.ValueOf(out).Elem()); err != nil {
		panic(err)
	}
	return out
}
