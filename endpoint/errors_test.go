package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// asking is an error that asks for rest.
type asking time.Duration

func (asking) Error() string               { return "slow down" }
func (a asking) RetryAfter() time.Duration { return time.Duration(a) }

// mapped is a provider's own error: it says what it is by a method.
type mapped struct{ error }

func (mapped) Is(target error) bool { return target == endpoint.ErrQuota }

// classes has every condition there is, so that a new one needs a decision.
var classes = []struct {
	name                 string
	err                  error
	unapplied, transient bool
}{
	{"nil", nil, false, false},
	{"other", errors.New("whatever"), false, false},
	{"ErrUnexpectedEOF", io.ErrUnexpectedEOF, false, false},
	{"Canceled", context.Canceled, false, false}, // the write may have been on its way
	{"DeadlineExceeded", context.DeadlineExceeded, false, false},
	{"ErrUnsupported", errors.ErrUnsupported, true, false},
	{"ErrNotFound", endpoint.ErrNotFound, true, false},
	{"ErrInvalid", endpoint.ErrInvalid, true, false},
	{"ErrUnauthorized", endpoint.ErrUnauthorized, true, false},
	{"ErrThrottled", endpoint.ErrThrottled, true, true},
	{"ErrBusy", endpoint.ErrBusy, true, true},
	{"ErrQuota", endpoint.ErrQuota, true, false},
	{"ErrClamped", endpoint.ErrClamped, false, false},
	{"ErrUnavailable", endpoint.ErrUnavailable, false, true},
	{"ErrPending", endpoint.ErrPending, false, false},
	{"ErrSameArtifact", endpoint.ErrSameArtifact, true, false},
	{"ErrMutable", endpoint.ErrMutable, true, false},
	{"ErrShared", endpoint.ErrShared, true, false},
	{"ErrPaused", endpoint.ErrPaused, true, false},
	{"ErrUnhealthy", endpoint.ErrUnhealthy, false, false},
	{"ErrFailed", endpoint.ErrFailed, false, false},
	{"ErrRolledBack", endpoint.ErrRolledBack, false, false},
	{"ErrDrift", endpoint.ErrDrift, false, false},
}

func TestClassesAreComplete(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var judged, declared []string
	for _, c := range classes {
		judged = append(judged, c.name)
	}
	for n := range ast.Preorder(f) {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Err") {
			declared = append(declared, v.Names[0].Name)
		}
	}
	if len(declared) == 0 {
		t.Error("no condition was found in errors.go")
	}
	for _, name := range declared {
		if !slices.Contains(judged, name) {
			t.Errorf("%s is not in the table", name)
		}
	}
}

func TestClasses(t *testing.T) {
	for _, tt := range classes {
		for name, err := range map[string]error{
			"bare":    tt.err,
			"wrapped": fmt.Errorf("try 2: %w", tt.err),
			"bordered": &endpoint.Error{
				Op: "update", Endpoint: "e/1", Err: fmt.Errorf("http 400: %w", errOr(tt.err, errors.New("whatever"))),
			},
			"joined": errors.Join(errors.New("first"), tt.err),
		} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				if got := endpoint.Unapplied(err); got != tt.unapplied {
					t.Errorf("Unapplied = %t, want %t", got, tt.unapplied)
				}
				if got := endpoint.Transient(err); got != tt.transient {
					t.Errorf("Transient = %t, want %t", got, tt.transient)
				}
			})
		}
	}
}

func errOr(err, otherwise error) error {
	if err == nil {
		return otherwise
	}
	return err
}

func TestClassesThroughIs(t *testing.T) {
	err := &endpoint.Error{Op: "update", Endpoint: "e/1", Err: mapped{errors.New("code 17")}}
	if !endpoint.Unapplied(err) || endpoint.Transient(err) {
		t.Errorf("Unapplied = %t, Transient = %t; want true, false", endpoint.Unapplied(err), endpoint.Transient(err))
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want time.Duration
	}{
		{"nil", nil, 0},
		{"an error that asks for nothing", endpoint.ErrThrottled, 0},
		{"bare", asking(7 * time.Second), 7 * time.Second},
		{"deep inside", &endpoint.Error{Op: "status", Endpoint: "e/1", Err: fmt.Errorf("%w: %w", endpoint.ErrThrottled, asking(time.Minute))}, time.Minute},
		{"the first of several", errors.Join(endpoint.ErrBusy, asking(time.Second), asking(time.Minute)), time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := endpoint.RetryAfter(tt.err); got != tt.want {
				t.Errorf("RetryAfter = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestError(t *testing.T) {
	inner := asking(time.Second)
	var err error = &endpoint.Error{Op: "set workers.max", Endpoint: "runpod/abc", Err: fmt.Errorf("%w: %w", endpoint.ErrThrottled, inner)}
	if want := "set workers.max runpod/abc: throttled: slow down"; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
	if !errors.Is(err, endpoint.ErrThrottled) {
		t.Errorf("error %v, want %v in it", err, endpoint.ErrThrottled)
	}
	var got asking
	if !errors.As(err, &got) || got != inner {
		t.Errorf("found %v in the error, want %v", got, inner)
	}
}

func TestWrap(t *testing.T) {
	if err := endpoint.Wrap("status", "runpod/abc", nil); err != nil {
		t.Errorf("Wrap(nil) = %v", err)
	}
	err := endpoint.Wrap("status", "runpod/abc", endpoint.ErrBusy)
	if err.Error() != "status runpod/abc: another change is in progress" || !errors.Is(err, endpoint.ErrBusy) {
		t.Errorf("Wrap = %v", err)
	}
	for _, inner := range []error{err, fmt.Errorf("again: %w", err), errors.Join(io.EOF, err)} {
		if got := endpoint.Wrap("update", "runpod/abc", inner); got != inner { //nolint:errorlint // it must be the very same
			t.Errorf("Wrap(%v) = %v: it was wrapped twice", inner, got)
		}
	}
}
