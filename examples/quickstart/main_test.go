package main

import (
	"context"
	"errors"
	"os"
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
	program := exec.CommandContext(ctx, binary)
	dir := t.TempDir()
	program.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := program.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rest := string(out)
	for _, want := range []string{
		"in-place of runpod/", "forward:", "✓", "succeeded: ", "acme/sdxl:v2",
		"flush-to-zero of runpod/", "downtime  from", "succeeded: ", "acme/sdxl:v3",
		"alternating-template of runpod/", "succeeded: ", "acme/sdxl:v4",
		"✗", "going back", "rolled back: ", "acme/sdxl:v4",
		"The program is dead.", "serves nobody", "next: resume: ", "taking over", "rolled back: ", "acme/sdxl:v4", "the same as a picture, by page.Load: " + dir,
		"=== 6. SageMaker", "scale-protected of sagemaker/llm", "Baking for ", "succeeded: ", "(llm-v2)", "checked on the fake: 2 instances on llm-v2; scalable target, ",
		"=== 7. SageMaker", "scale-protected of sagemaker/llm", "Baking for ", "rolled back because of alarms", "rolled back: ", "(llm-v2)",
		"checked on the fake: 2 instances on llm-v2; scalable target, ",
		"=== 8. SageMaker", "in-place of sagemaker/shared/llm-chat", "succeeded: ", "checked on the fake: 2 copies on llm-v2",
		"=== 9. SageMaker", "canary-by-weight of sagemaker/llm", "10%", "check did not pass: p95", "rolled back: ", "checked on the fake: 2 instances on llm-v2",
		"=== 10. An approval", "waits for the approval", "approve", "alice", "succeeded: ", "checked on the fake: 2 instances on llm-v3", "All as expected",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q is missing or out of order in\n%s", want, out)
		}
		rest = after
	}

	pages, err := filepath.Glob(filepath.Join(dir, "changeover-*.html"))
	if err != nil || len(pages) != 1 {
		t.Fatalf("pages are %q (%v), want one", pages, err)
	}
	if html, err := os.ReadFile(pages[0]); err != nil || !strings.Contains(string(html), "<svg") {
		t.Errorf("the page has no picture (%v)", err)
	}

	var exit *exec.ExitError
	if out, err := exec.Command(binary, "surplus").CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "surplus") {
		t.Errorf("with an argument: %v\n%s", err, out)
	}
}
