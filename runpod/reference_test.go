package runpod

import (
	"strings"
	"testing"

	distribution "github.com/distribution/reference"
)

// peer parses as the registries' own library does.
func peer(s string) (image, error) {
	named, err := distribution.ParseNormalizedNamed(s)
	if err != nil {
		return image{}, err
	}
	named = distribution.TagNameOnly(named)
	i := image{name: named.Name()}
	if t, ok := named.(distribution.Tagged); ok {
		i.tag = t.Tag()
	}
	if d, ok := named.(distribution.Digested); ok {
		i.digest = d.Digest().String()
	}
	return i, nil
}

func sameAsPeer(t *testing.T, s string) {
	t.Helper()
	got, err := reference(s)
	want, wantErr := peer(s)
	if got != want || (err == nil) != (wantErr == nil) {
		t.Errorf("reference(%q) = %+v, %v, want %+v, %v", s, got, err, want, wantErr)
	}
}

// Everything that can be put together from the characters that mean something.
func TestReference(t *testing.T) {
	const parts = "a Z 0 . : / @ _ - [ ] :80 localhost docker.io index.docker.io library/ sha256: é"
	words := append(strings.Fields(parts), strings.Repeat("0", 64), strings.Repeat("a", 128))
	n := 0
	var put func(s string, depth int)
	put = func(s string, depth int) {
		sameAsPeer(t, s)
		n++
		if depth == 0 || t.Failed() {
			return
		}
		for _, w := range words {
			put(s+w, depth-1)
		}
	}
	put("", 3)
	for _, begin := range []string{"acme/x", "acme/x:v1", "ghcr.io/acme/x", "[::1]:80/x", "foo_bar.baz/x", "Foo/x"} {
		put(begin, 2)
	}
	for _, name := range []string{"x", "acme/x", "acme.io/x", "foo_bar.baz/x"} {
		for _, l := range []int{240, 247, 248, 253, 254, 255, 256, 257} {
			sameAsPeer(t, name+strings.Repeat("y", l-len(name)))
			sameAsPeer(t, name+":"+strings.Repeat("y", l-128))
		}
	}
	t.Logf("%d references", n)
}

func FuzzReference(f *testing.F) {
	for _, s := range []string{
		"acme/x:v1", "docker.io/acme/x", "x@sha256:" + strings.Repeat("0", 64), "x:v1@sha512:" + strings.Repeat("f", 128), "[fe80::1]:5000/a__b/c--d:e",
		"a.b_c/d", "localhost:5000/x", strings.Repeat("a", 64), "A/b", "a/B", "x@sha384:" + strings.Repeat("1", 96), "x@md5:" + strings.Repeat("1", 32),
	} {
		f.Add(s)
	}
	f.Fuzz(sameAsPeer)
}
