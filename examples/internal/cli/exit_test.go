package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/waiter"
)

// The last line of a run that refused has no event to go by.
func TestRefusedAsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	newJSON(&out, io.Discard).end("runpod/x", nil, endpoint.ErrInvalid, exitRefused)
	var line rollout.Event
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Endpoint != "runpod/x" || time.Since(line.Time) > time.Hour {
		t.Errorf("%s: %v", out.String(), err)
	}
}

func TestAdviceNamesTheCause(t *testing.T) {
	t.Parallel()
	c := &command{}
	for last, want := range map[error]string{
		nil:                     "change in progress",
		endpoint.ErrUnavailable: "network",
		endpoint.ErrThrottled:   "later",
	} {
		err := fmt.Errorf("runpod/x: %w", &waiter.Error{Cause: rollout.ErrNotReady, Last: last})
		if got := c.advice(err); !strings.Contains(got, want) {
			t.Errorf("advice on %v is %q", err, got)
		}
	}
}
