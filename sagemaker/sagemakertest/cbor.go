package sagemakertest

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"time"
)

// CBOR (RFC 8949) as far as Smithy's RPC v2 protocol needs it, which is what
// the CloudWatch client speaks.

const (
	cborUint = iota << 5
	cborNegative
	cborBytes
	cborText
	cborList
	cborMap
	cborTag
	cborSimple
)

const (
	cborFalse      = cborSimple | 20
	cborTrue       = cborSimple | 21
	cborNull       = cborSimple | 22
	cborHalf       = cborSimple | 25
	cborFloat32    = cborSimple | 26
	cborFloat64    = cborSimple | 27
	cborBreak      = cborSimple | 31
	cborIndefinite = 31
	cborEpoch      = 1 // the tag of a timestamp
)

func encodeCBOR(b []byte, t any) []byte {
	switch t := t.(type) {
	case nil:
		return append(b, cborNull)
	case bool:
		if t {
			return append(b, cborTrue)
		}
		return append(b, cborFalse)
	case int64:
		if t < 0 {
			return cborHead(b, cborNegative, uint64(-1-t))
		}
		return cborHead(b, cborUint, uint64(t))
	case float64:
		return binary.BigEndian.AppendUint64(append(b, cborFloat64), math.Float64bits(t))
	case string:
		return append(cborHead(b, cborText, uint64(len(t))), t...)
	case []byte:
		return append(cborHead(b, cborBytes, uint64(len(t))), t...)
	case time.Time:
		return encodeCBOR(cborHead(b, cborTag, cborEpoch), epoch(t))
	case []any:
		b = cborHead(b, cborList, uint64(len(t)))
		for _, e := range t {
			b = encodeCBOR(b, e)
		}
		return b
	case map[string]any:
		b = cborHead(b, cborMap, uint64(len(t)))
		for _, k := range slices.Sorted(maps.Keys(t)) {
			b = encodeCBOR(encodeCBOR(b, k), t[k])
		}
		return b
	default:
		panic("sagemakertest: not a tree")
	}
}

func cborHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

var (
	errCBOR = errors.New("malformed CBOR")
	errStop = errors.New("end of an indefinite item")
)

// cborDepth bounds how deep a message may nest.
const cborDepth = 64

// decodeCBOR reads one item that is the whole of b.
func decodeCBOR(b []byte) (any, error) {
	d := &cborReader{b: b}
	t, err := d.item(0)
	if errors.Is(err, errStop) || err == nil && len(d.b) > 0 {
		err = errCBOR
	}
	return t, err
}

type cborReader struct{ b []byte }

func (d *cborReader) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.b)) {
		return nil, errCBOR
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out, nil
}

// argument reads the number after an item's first byte.
func (d *cborReader) argument(info byte) (uint64, error) {
	if info < 24 {
		return uint64(info), nil
	}
	if info > 27 {
		return 0, errCBOR
	}
	raw, err := d.take(1 << (info - 24))
	if err != nil {
		return 0, err
	}
	var n uint64
	for _, c := range raw {
		n = n<<8 | uint64(c)
	}
	return n, nil
}

func (d *cborReader) item(depth int) (any, error) {
	first, err := d.take(1)
	if err != nil || depth > cborDepth {
		return nil, errCBOR
	}
	major, info := first[0]&0xe0, first[0]&0x1f
	if major == cborSimple {
		return d.simple(first[0])
	}
	if info == cborIndefinite {
		return d.indefinite(major, depth)
	}
	n, err := d.argument(info)
	if err != nil {
		return nil, err
	}
	switch major {
	case cborUint, cborNegative:
		if n > math.MaxInt64 {
			return nil, errCBOR
		}
		if major == cborNegative {
			return -1 - int64(n), nil
		}
		return int64(n), nil
	case cborBytes, cborText:
		raw, err := d.take(n)
		if err != nil {
			return nil, err
		}
		if major == cborText {
			return string(raw), nil
		}
		return slices.Clone(raw), nil
	case cborList:
		return d.list(n, depth)
	case cborMap:
		return d.object(n, depth)
	default: // a tag
		t, err := d.item(depth + 1)
		if err != nil || n != cborEpoch {
			return t, err
		}
		switch t := t.(type) {
		case int64:
			return time.Unix(t, 0).UTC(), nil
		case float64:
			return time.UnixMilli(int64(math.Round(t * 1000))).UTC(), nil
		default:
			return nil, errCBOR
		}
	}
}

func (d *cborReader) simple(first byte) (any, error) {
	switch first {
	case cborFalse, cborTrue:
		return first == cborTrue, nil
	case cborNull, cborNull + 1: // or undefined
		return nil, nil //nolint:nilnil // null is a value
	case cborFloat32, cborFloat64:
		n, err := d.argument(first & 0x1f)
		if first == cborFloat32 {
			return float64(math.Float32frombits(uint32(n))), err
		}
		return math.Float64frombits(n), err
	case cborBreak:
		return nil, errStop
	default: // cborHalf among them, which no client sends
		return nil, errCBOR
	}
}

func (d *cborReader) indefinite(major byte, depth int) (any, error) {
	switch major {
	case cborList:
		return d.list(math.MaxUint64, depth)
	case cborMap:
		return d.object(math.MaxUint64, depth)
	default: // strings in pieces, which no client sends
		return nil, errCBOR
	}
}

// list reads up to n elements.
func (d *cborReader) list(n uint64, depth int) (any, error) {
	out := []any{}
	for range n {
		e, err := d.item(depth + 1)
		if errors.Is(err, errStop) {
			break
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// object reads up to n members.
func (d *cborReader) object(n uint64, depth int) (any, error) {
	out := map[string]any{}
	for range n {
		k, err := d.item(depth + 1)
		if errors.Is(err, errStop) {
			break
		}
		name, ok := k.(string)
		if err != nil || !ok {
			return nil, errCBOR
		}
		if out[name], err = d.item(depth + 1); err != nil {
			return nil, errCBOR
		}
	}
	return out, nil
}
