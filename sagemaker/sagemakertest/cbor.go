package sagemakertest

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// CBOR is what the CloudWatch client speaks, by Smithy's RPC v2 protocol.

// cborEpoch is the tag of a time in seconds.
const cborEpoch = 1

var (
	cborOut = must(cbor.CanonicalEncOptions().EncMode())
	cborIn  = must(cbor.DecOptions{DefaultMapType: reflect.TypeFor[map[string]any](), MaxNestedLevels: 64}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func encodeCBOR(t any) []byte { return must(cborOut.Marshal(toCBOR(t))) }

// toCBOR has times as the protocol wants them: a number of seconds with a tag.
func toCBOR(t any) any {
	switch t := t.(type) {
	case time.Time:
		return cbor.Tag{Number: cborEpoch, Content: epoch(t)}
	case []any:
		list := make([]any, len(t))
		for i, e := range t {
			list[i] = toCBOR(e)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(t))
		for k, e := range t {
			m[k] = toCBOR(e)
		}
		return m
	}
	return t
}

// decodeCBOR reads one item that is the whole of b.
func decodeCBOR(b []byte) (any, error) {
	var v any
	if err := cborIn.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	return fromCBOR(v)
}

// fromCBOR makes a tree of what the library decoded.
func fromCBOR(v any) (any, error) {
	switch v := v.(type) {
	case uint64:
		if v > math.MaxInt64 {
			return nil, fmt.Errorf("the number %d is too large", v)
		}
		return int64(v), nil
	case float32:
		return float64(v), nil
	case time.Time: // a number of seconds with a tag
		return v.Round(time.Millisecond).UTC(), nil
	case cbor.Tag:
		return fromCBOR(v.Content)
	case []any:
		for i, e := range v {
			t, err := fromCBOR(e)
			if err != nil {
				return nil, err
			}
			v[i] = t
		}
	case map[string]any:
		for k, e := range v {
			t, err := fromCBOR(e)
			if err != nil {
				return nil, err
			}
			v[k] = t
		}
	}
	return v, nil
}
