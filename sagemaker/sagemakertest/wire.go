package sagemakertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Service is one of the services of the account.
type Service string

// The services, by the prefixes of their IAM actions.
const (
	SageMaker   Service = "sagemaker"
	AutoScaling Service = "application-autoscaling"
	CloudWatch  Service = "cloudwatch"
)

// targets are the prefixes of X-Amz-Target, by which the JSON protocols name
// an operation.
var targets = map[string]Service{"SageMaker": SageMaker, "AnyScaleFrontendService": AutoScaling}

// cborPath is how RPC v2 names an operation of CloudWatch.
const cborPath = "/service/GraniteServiceVersion20100801/operation/"

const (
	jsonType = "application/x-amz-json-1.1"
	cborType = "application/cbor"
)

// apiError is an error as it is answered.
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// refuse answers with an error by its code.
func refuse(code, format string, args ...any) error {
	return &apiError{statusOf(code), code, fmt.Sprintf(format, args...)}
}

// statusOf is the HTTP status that goes with a code: most are the client's fault.
func statusOf(code string) int {
	switch code {
	case "ConcurrentUpdateException", "InternalServiceException", "InternalServiceFault", "InternalFailure":
		return http.StatusInternalServerError
	case "ServiceUnavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// invalid is how SageMaker refuses nearly everything.
func invalid(format string, args ...any) error { return refuse("ValidationException", format, args...) }

// encoding is one of the protocols that the SDK's clients speak.
type encoding struct {
	contentType string
	decode      func([]byte) (any, error)
	encode      func(any) []byte
}

var (
	jsonEncoding = encoding{jsonType, decodeJSON, encodeJSON}
	cborEncoding = encoding{cborType, decodeCBOR, encodeCBOR}
)

// route finds the operation that a request is for, and how it is encoded.
func route(r *http.Request) (operation, encoding, error) {
	unknown := &apiError{http.StatusNotFound, "UnknownOperationException", "unknown operation"}
	if r.Method != http.MethodPost {
		return operation{}, jsonEncoding, unknown
	}
	enc := jsonEncoding
	prefix, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	service := targets[prefix]
	if rest, ok := strings.CutPrefix(r.URL.Path, cborPath); ok {
		enc, service, name = cborEncoding, CloudWatch, rest
		if r.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
			return operation{}, enc, unknown
		}
	}
	op, ok := operations[string(service)+":"+name]
	if !ok {
		return operation{}, enc, unknown
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), enc.contentType) {
		return operation{}, enc, &apiError{http.StatusUnsupportedMediaType, "UnsupportedMediaTypeException", "content type " + r.Header.Get("Content-Type")}
	}
	return op, enc, signed(r, op.signingName())
}

// signed checks the form of the signature only, since the secret is not known here.
func signed(r *http.Request, service string) error {
	forbidden := &apiError{http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	auth := r.Header.Get("Authorization")
	rest, ok := strings.CutPrefix(auth, "AWS4-HMAC-SHA256 Credential=")
	scope, _, _ := strings.Cut(rest, ",")
	parts := strings.Split(scope, "/")
	if !ok || len(parts) != 5 || parts[0] == "" || parts[4] != "aws4_request" {
		return forbidden
	}
	if parts[3] != service {
		forbidden.code = "InvalidSignatureException"
		forbidden.message = fmt.Sprintf("Credential should be scoped to correct service: '%s'.", service)
		return forbidden
	}
	return nil
}

// read decodes the body of a request.
func (e encoding) read(r *http.Request) (any, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return map[string]any{}, nil
	}
	t, err := e.decode(body)
	if err != nil {
		return nil, refuse("SerializationException", "%v", err)
	}
	return t, nil
}

// body is the tree that answers with an error.
func (e *apiError) body() map[string]any {
	return map[string]any{"__type": e.code, "message": e.message, "Message": e.message}
}

// asAPIError is err as a service words it; anything unforeseen is its own fault.
func asAPIError(err error) *apiError {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{http.StatusInternalServerError, "InternalFailure", err.Error()}
	}
	return e
}

// header adds what an error needs beside its body: CloudWatch's old error
// codes travel beside the names of the new ones.
func (e encoding) header(h http.Header, err *apiError) {
	h.Set("Content-Type", e.contentType)
	if e.contentType == cborType {
		h.Set("Smithy-Protocol", "rpc-v2-cbor")
		if err != nil {
			h.Set("X-Amzn-Query-Error", err.code+";"+fault(err.status))
		}
	}
}

func fault(status int) string {
	if status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// epoch is a time as both protocols send it, in seconds to the millisecond.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func encodeJSON(t any) []byte {
	var b bytes.Buffer
	writeJSON(&b, t)
	return b.Bytes()
}

func writeJSON(b *bytes.Buffer, t any) {
	switch t := t.(type) {
	case time.Time:
		b.WriteString(strconv.FormatFloat(epoch(t), 'f', -1, 64))
	case float64:
		writeFloat(b, t)
	case []any:
		b.WriteByte('[')
		for i, e := range t {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e)
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(t)) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, k)
			b.WriteByte(':')
			writeJSON(b, t[k])
		}
		b.WriteByte('}')
	default:
		text, err := json.Marshal(t)
		if err != nil {
			panic(err) // a tree has no other kinds
		}
		b.Write(text)
	}
}

// writeFloat writes the numbers that JSON has no word for as strings.
func writeFloat(b *bytes.Buffer, f float64) {
	switch {
	case math.IsNaN(f):
		b.WriteString(`"NaN"`)
	case math.IsInf(f, 0):
		b.WriteString(`"` + strings.TrimPrefix(strings.Replace(strconv.FormatFloat(f, 'f', -1, 64), "Inf", "Infinity", 1), "+") + `"`)
	default:
		b.WriteString(strconv.FormatFloat(f, 'g', -1, 64))
	}
}

func decodeJSON(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var t any
	if err := d.Decode(&t); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("unexpected content after the value")
	}
	return numbers(t), nil
}

// numbers turns what encoding/json left as text into numbers.
func numbers(t any) any {
	switch t := t.(type) {
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return n
		}
		f, err := t.Float64()
		if err != nil {
			return t.String()
		}
		return f
	case []any:
		for i, e := range t {
			t[i] = numbers(e)
		}
	case map[string]any:
		for k, e := range t {
			t[k] = numbers(e)
		}
	}
	return t
}
