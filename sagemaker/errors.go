package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/changeover-dev/changeover/endpoint"
)

// ErrScalableTarget is why AWS refuses an update if a variant whose instance
// type changes, or that disappears, is a registered scalable target. It is an
// [endpoint.ErrInvalid] too.
var ErrScalableTarget = fmt.Errorf("a variant is registered as a scalable target: %w", endpoint.ErrInvalid)

// APIError is a refusal or a failure in AWS's words. It is the one of package
// endpoint's conditions that fits, and unwraps to what the SDK returned.
//
// SageMaker answers most of its refusals as a ValidationException, so they are
// told apart by the beginning of their text. A refusal that AWS declares to be
// one is certain; a fault of the service, and an answer that cannot be read,
// is ErrUnavailable: a write may have been carried out.
type APIError struct {
	Code    string // "ValidationException"
	Message string // at most 1 KiB

	condition error
	after     time.Duration
	err       error
}

func (e *APIError) Error() string {
	text := e.Code
	if e.Message != "" {
		text = e.Message + " (" + e.Code + ")"
	}
	if errors.Is(e.condition, endpoint.ErrNotFound) { // AWS says it in many ways
		text = endpoint.ErrNotFound.Error() + ": " + text
	}
	return text
}

// Is reports whether target is the condition that e stands for.
func (e *APIError) Is(target error) bool { return errors.Is(e.condition, target) }

// Unwrap returns the SDK's error.
func (e *APIError) Unwrap() error { return e.err }

// RetryAfter is how long AWS asked to be left alone, for [endpoint.RetryAfter].
func (e *APIError) RetryAfter() time.Duration { return e.after }

// errExists: there is an endpoint configuration of that name.
var errExists = fmt.Errorf("exists already: %w", endpoint.ErrInvalid)

// refusals are the texts of ValidationExceptions. The first that fits decides:
// the text about a missing configuration begins like that about an endpoint.
var refusals = []struct {
	prefix    string
	condition error
}{
	{"Could not find endpoint configuration", endpoint.ErrNotFound},
	{"Could not find model", endpoint.ErrNotFound},
	{"Could not find endpoint", endpoint.ErrNotFound},
	{"Could not find inference component", endpoint.ErrNotFound},
	{"Could not find training plan", endpoint.ErrNotFound},
	{"Could not find inference experiment", endpoint.ErrNotFound},
	{"Cannot update in-progress endpoint", endpoint.ErrBusy},
	{"Cannot update in-progress inference component", endpoint.ErrBusy},
	{"Cannot create already existing endpoint configuration", errExists},
}

var targetWords = regexp.MustCompile(`(?i)scalable target|auto ?scaling`)

// codes are the error codes that mean the same whatever their text.
var codes = map[string]error{
	"ResourceLimitExceeded":          endpoint.ErrQuota,
	"LimitExceededException":         endpoint.ErrQuota,
	"LimitExceeded":                  endpoint.ErrQuota,
	"TooManyTagsException":           endpoint.ErrQuota,
	"ThrottlingException":            endpoint.ErrThrottled,
	"Throttling":                     endpoint.ErrThrottled,
	"ThrottledException":             endpoint.ErrThrottled,
	"TooManyRequestsException":       endpoint.ErrThrottled,
	"RequestLimitExceeded":           endpoint.ErrThrottled,
	"RequestThrottled":               endpoint.ErrThrottled,
	"RequestThrottledException":      endpoint.ErrThrottled,
	"SlowDown":                       endpoint.ErrThrottled,
	"ResourceNotFound":               endpoint.ErrNotFound,
	"ResourceNotFoundException":      endpoint.ErrNotFound,
	"ObjectNotFoundException":        endpoint.ErrNotFound,
	"ConcurrentUpdateException":      endpoint.ErrBusy,
	"ConcurrentModification":         endpoint.ErrBusy,
	"ConflictException":              endpoint.ErrBusy,
	"ResourceInUse":                  endpoint.ErrBusy,
	"AccessDenied":                   endpoint.ErrUnauthorized,
	"AccessDeniedException":          endpoint.ErrUnauthorized,
	"FailedResourceAccessException":  endpoint.ErrUnauthorized,
	"ExpiredToken":                   endpoint.ErrUnauthorized,
	"ExpiredTokenException":          endpoint.ErrUnauthorized,
	"IncompleteSignature":            endpoint.ErrUnauthorized,
	"InvalidClientTokenId":           endpoint.ErrUnauthorized,
	"InvalidSignatureException":      endpoint.ErrUnauthorized,
	"MissingAuthenticationToken":     endpoint.ErrUnauthorized,
	"NotAuthorized":                  endpoint.ErrUnauthorized,
	"OptInRequired":                  endpoint.ErrUnauthorized,
	"RequestExpired":                 endpoint.ErrUnauthorized,
	"SignatureDoesNotMatch":          endpoint.ErrUnauthorized,
	"UnauthorizedOperation":          endpoint.ErrUnauthorized,
	"UnrecognizedClientException":    endpoint.ErrUnauthorized,
	"InternalFailure":                endpoint.ErrUnavailable,
	"InternalServerError":            endpoint.ErrUnavailable,
	"InternalServiceError":           endpoint.ErrUnavailable,
	"InternalServiceException":       endpoint.ErrUnavailable,
	"InternalServiceFault":           endpoint.ErrUnavailable,
	"RequestTimeout":                 endpoint.ErrUnavailable,
	"RequestTimeoutException":        endpoint.ErrUnavailable,
	"ServiceUnavailable":             endpoint.ErrUnavailable,
	"ServiceUnavailableException":    endpoint.ErrUnavailable,
	"UnknownError":                   endpoint.ErrUnavailable, // the SDK's, for an answer without a code
	"InvalidNextTokenException":      endpoint.ErrInvalid,
	"InvalidNextToken":               endpoint.ErrInvalid,
	"InvalidParameterCombination":    endpoint.ErrInvalid,
	"InvalidParameterValue":          endpoint.ErrInvalid,
	"MissingParameter":               endpoint.ErrInvalid,
	"MissingRequiredParameter":       endpoint.ErrInvalid,
	"SerializationException":         endpoint.ErrInvalid,
	"UnknownOperationException":      endpoint.ErrInvalid,
	"InvalidAction":                  endpoint.ErrInvalid,
	"ValidationError":                endpoint.ErrInvalid,
	"InvalidFormat":                  endpoint.ErrInvalid,
	"InvalidFormatFault":             endpoint.ErrInvalid,
	"InvalidParameterValueException": endpoint.ErrInvalid,
}

// conditionOf decides what an answer means. status is zero if it is not known.
func conditionOf(code, message string, status int) error {
	switch {
	case status >= 500:
		return endpoint.ErrUnavailable
	case code == "ValidationException":
		for _, r := range refusals {
			if strings.HasPrefix(message, r.prefix) {
				return r.condition
			}
		}
		if targetWords.MatchString(message) {
			return ErrScalableTarget
		}
		return endpoint.ErrInvalid
	}
	if c, ok := codes[code]; ok {
		return c
	}
	switch {
	case code == "", status < 400, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return endpoint.ErrUnavailable
	case status == http.StatusTooManyRequests:
		return endpoint.ErrThrottled
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return endpoint.ErrUnauthorized
	}
	return endpoint.ErrInvalid
}

// callError makes what the SDK returned an error that says one thing: the
// context's if that is done, and else what [Classify] makes of it.
func callError(ctx context.Context, err error) error {
	if ctxErr := contextError(ctx); ctxErr != nil {
		return ctxErr
	}
	return Classify(err)
}

// Classify makes what a client of the SDK returned one of the conditions of
// package endpoint, for code that calls AWS beside this package: what AWS
// answered as an [*APIError], and [endpoint.ErrUnavailable] for everything that
// leaves open what happened. It hides credentials and signatures that AWS, or
// the SDK, repeats. Nil stays nil.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	var (
		answer  smithy.APIError
		params  smithy.InvalidParamsError
		pparams *smithy.InvalidParamsError
		wire    *smithy.SerializationError
		signing *v4.SigningError
		res     *smithyhttp.ResponseError
	)
	status := 0
	var after time.Duration
	if errors.As(err, &res) && res.Response != nil && res.Response.Response != nil {
		status = res.HTTPStatusCode()
		after = retryAfter(res.Response.Header)
	}
	switch {
	case errors.As(err, &answer):
		e := &APIError{Code: said(answer.ErrorCode()), Message: said(answer.ErrorMessage()), after: after, err: hidden(err)}
		e.condition = conditionOf(answer.ErrorCode(), answer.ErrorMessage(), status)
		return e
	case errors.As(err, &params), errors.As(err, &pparams): // the SDK refused to send it
		return fmt.Errorf("%w: %s", endpoint.ErrInvalid, said(err.Error()))
	case errors.As(err, &wire):
		return fmt.Errorf("%w: %s", endpoint.ErrInvalid, said(wire.Error()))
	case errors.As(err, &signing):
		return fmt.Errorf("%w: %s", endpoint.ErrUnauthorized, said(signing.Error()))
	case strings.Contains(err.Error(), "failed to resolve service endpoint"): // a client without a region
		return fmt.Errorf("%w: %s", endpoint.ErrInvalid, said(err.Error()))
	}
	// An HTTP client's own timeout claims to be a context's, and is not this call's.
	return fmt.Errorf("%w: %s", endpoint.ErrUnavailable, said(err.Error()))
}

func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, 3600)) * time.Second
}

// unclear is an answer that came, and does not tell what happened.
func unclear(format string, args ...any) error {
	return fmt.Errorf("%w: %s", endpoint.ErrUnavailable, clip(fmt.Sprintf(format, args...)))
}

// invalid is a refusal of this package's own, before anything is sent.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", clip(fmt.Sprintf(format, args...)), endpoint.ErrInvalid)
}

// quotaError tells how far the quota reaches.
type quotaError struct {
	error
	most int
}

func (e *quotaError) Unwrap() error       { return e.error }
func (e *quotaError) AtMost() (int, bool) { return e.most, e.most >= 0 }

var quotaWords = regexp.MustCompile(`(?i)is (\d+) Instances, with current utilization of (\d+) Instances and a request delta of (\d+) Instances`)

// withMost adds to a quota refusal of value how much would have been accepted.
func withMost(err error, value int) error {
	m := quotaWords.FindStringSubmatch(fmt.Sprint(err))
	if !errors.Is(err, endpoint.ErrQuota) || m == nil {
		return err
	}
	var n [3]int
	for i := range n {
		var aerr error
		if n[i], aerr = strconv.Atoi(m[i+1]); aerr != nil {
			return err
		}
	}
	limit, used, delta := n[0], n[1], n[2]
	return &quotaError{err, value - delta + max(0, limit-used)}
}

// contextError is nil while ctx is not done, and else an error that is both
// ctx.Err and its cause.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// clip makes foreign text one printable line of at most 1 KiB.
func clip(s string) string {
	const limit = 1 << 10
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)), " ")
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
