package promise

import (
	"fmt"
	"slices"
	"testing"
)

// What fails is broken, however it fails, and nothing else is.
func TestBroken(t *testing.T) {
	for _, bubble := range []bool{false, true} {
		t.Run(fmt.Sprintf("bubble %v", bubble), func(t *testing.T) {
			var went []string
			s := Suite[string]{Bubble: bubble, Promises: []Promise[string]{
				{Name: "kept", Keep: func(t testing.TB, h string) { t.Log(h); went = append(went, h) }},
				{Name: "not kept", Keep: func(t testing.TB, _ string) { t.Error("no"); went = append(went, "on") }},
				{Name: "not at all", Keep: func(t testing.TB, _ string) { ends := t.Fatal; ends("no"); went = append(went, "past Fatal") }},
				{Name: "panics", Keep: func(testing.TB, string) { panic("index out of range") }},
				{Name: "not to be told", Keep: func(t testing.TB, _ string) { t.Skip("no way"); went = append(went, "past Skip") }},
			}}
			if got, want := s.Broken(t, "harness"), []string{"not kept", "not at all", "panics"}; !slices.Equal(got, want) {
				t.Errorf("broken are %q, want %q", got, want)
			}
			if want := []string{"harness", "on"}; !slices.Equal(went, want) {
				t.Errorf("went %q, want %q", went, want)
			}
		})
	}
}

// A promise that is skipped is a subtest that is skipped.
func TestSkipped(t *testing.T) {
	for _, bubble := range []bool{false, true} {
		t.Run(fmt.Sprintf("bubble %v", bubble), func(t *testing.T) {
			defer func() {
				if !t.Skipped() {
					t.Error("it passes")
				}
			}()
			Suite[string]{Bubble: bubble}.in(t, func(t *testing.T) { t.Skip("skipped, as it has to be") })
		})
	}
}
