package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The program is what a newcomer runs first: it has to end in time, well, and
// having shown what it promises.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "quickstart")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rest := string(out)
	for _, want := range []string{
		"in-place of runpod/", "forward:", "✓", "succeeded: ", "acme/sdxl:v2",
		"flush-to-zero of runpod/", "downtime  from", "succeeded: ", "acme/sdxl:v3",
		"alternating-template of runpod/", "succeeded: ", "acme/sdxl:v4",
		"✗", "going back", "rolled back: ", "acme/sdxl:v4",
		"The program is dead.", "serves nobody", "next: resume: ", "taking over", "rolled back: ", "acme/sdxl:v4",
		"=== 6. SageMaker", "scale-protected of sagemaker/llm", "Baking for ", "succeeded: ", "(llm-v2)", "checked on the fake: 2 instances on llm-v2; scalable target, ",
		"=== 7. SageMaker", "scale-protected of sagemaker/llm", "Baking for ", "rolled back because of alarms", "rolled back: ", "(llm-v2)",
		"checked on the fake: 2 instances on llm-v2; scalable target, ", "All as expected",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q is missing or out of order in\n%s", want, out)
		}
		rest = after
	}

	var exit *exec.ExitError
	if out, err := exec.Command(binary, "surplus").CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "surplus") {
		t.Errorf("with an argument: %v\n%s", err, out)
	}
}
