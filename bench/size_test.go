package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mostMB is by how many MB a program with package runpod may be larger than one
// with the GraphQL client alone. Most of it are the regular expressions by which
// image references are parsed, as registries parse them.
const mostMB = 1.2

// TestSize builds two programs, the one with package runpod and the one with
// the GraphQL client alone, by the same toolchain.
func TestSize(t *testing.T) {
	size := func(name string) int64 {
		t.Helper()
		out := filepath.Join(t.TempDir(), name)
		if msg, err := exec.Command("go", "build", "-trimpath", "-o", out, "./size/"+name).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, msg)
		}
		st, err := os.Stat(out)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	ours, client := size("runpod"), size("graphql")
	more := float64(ours-client) / 1e6
	t.Logf("runpod %.2f MB, the GraphQL client alone %.2f MB: %.3f MB more", float64(ours)/1e6, float64(client)/1e6, more)
	if more > mostMB {
		t.Errorf("a program with package runpod is %.3f MB larger than one with the GraphQL client alone, want at most %v", more, mostMB)
	}
	deps, err := exec.Command("go", "list", "-deps", "./size/runpod").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(deps)) {
		if strings.HasPrefix(dep, "github.com/aws/") {
			t.Errorf("a program with package runpod compiles %s", dep)
		}
	}
}
