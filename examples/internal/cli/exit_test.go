package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

func TestAdviceNamesTheCause(t *testing.T) {
	t.Parallel()
	c := &command{}
	for last, want := range map[error]string{
		nil:                     "change in progress",
		endpoint.ErrUnavailable: "network",
		endpoint.ErrThrottled:   "later",
	} {
		err := fmt.Errorf("runpod/x: %w", &waiter.Error{Cause: strategy.ErrNotReady, Last: last})
		if got := c.advice(err); !strings.Contains(got, want) {
			t.Errorf("advice on %v is %q", err, got)
		}
	}
}
