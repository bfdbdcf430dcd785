package faultrule_test

import (
	"slices"
	"testing"

	"github.com/changeover-dev/changeover/internal/faultrule"
)

func TestFind(t *testing.T) {
	is := func(want string) func(string) bool { return func(c string) bool { return c == want } }
	var r faultrule.Rules[string, int]
	r.Add(is("a"), 0, 0, 1)
	r.Add(is("a"), 0, 2, 2)  // of which the first is counted while the other rule happens
	r.Add(is("b"), 3, -1, 3) // from the third on
	var got []int
	for _, c := range []string{"b", "a", "a", "a", "b", "c", "b", "b"} {
		f, found := r.Find(c)
		if found != (f != 0) {
			t.Errorf("%s: %d, found %t", c, f, found)
		}
		got = append(got, f)
	}
	if want := []int{0, 1, 2, 0, 0, 0, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("faults %v, want %v", got, want)
	}
}
