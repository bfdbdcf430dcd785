package runpod

import (
	"errors"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/changeover-dev/changeover/endpoint"
)

var (
	digestA = "@sha256:" + strings.Repeat("a", 64)
	digestB = "@sha256:" + strings.Repeat("b", 64)
)

func TestSameImage(t *testing.T) {
	tests := []struct {
		a, b string
		same bool
	}{
		{"acme/x:v1", "acme/x:v1", true},
		{"acme/x:v1", "docker.io/acme/x:v1", true},
		{"index.docker.io/acme/x:v1", "acme/x:v1", true},
		{"ubuntu", "docker.io/library/ubuntu:latest", true},
		{"acme/x:v1", "acme/x:v2", false},
		{"acme/x:v1", "acme/y:v1", false},
		{"acme/x:v1", "ghcr.io/acme/x:v1", false},
		{"localhost:5000/x", "localhost:5000/x:latest", true},
		{"acme/x:v1" + digestA, "acme/x:v1" + digestB, false},
		{"acme/x:v1" + digestA, "acme/x:v2" + digestA, true},
		{"acme/x" + digestA, "ghcr.io/acme/x" + digestA, true},
		{"acme/x:v1" + digestA, "acme/x:v1", true},
		{"acme/x" + digestA, "acme/x:v1", false},
		{"NOT an image", "NOT an image", true},
		{"NOT an image", "acme/x:v1", false},
	}
	for _, tt := range tests {
		if got := sameImage(tt.a, tt.b); got != tt.same {
			t.Errorf("sameImage(%q, %q) = %v", tt.a, tt.b, got)
		}
		if got := sameImage(tt.b, tt.a); got != tt.same {
			t.Errorf("sameImage(%q, %q) = %v", tt.b, tt.a, got)
		}
	}
}

func TestMutable(t *testing.T) {
	for ref, want := range map[string]bool{
		"acme/x": true, "acme/x:latest": true, "acme/x:v1": false, "acme/x" + digestA: false,
		"acme/x:latest" + digestA: false, "localhost:5000/x": true, "localhost:5000/x:latest-2": false,
	} {
		i, err := parseImage(ref)
		if err != nil || i.mutable() != want {
			t.Errorf("mutable(%q) = %v, %v, want %v", ref, i.mutable(), err, want)
		}
	}
}

func TestParseImageRefuses(t *testing.T) {
	for _, ref := range []string{
		"", "Acme/X:v1", "acme/x:", "acme/x:v 1", "https://acme/x", "acme/x@sha256:12", strings.Repeat("a", 64), "acme/x:" + strings.Repeat("v", 2000),
	} {
		if _, err := parseImage(ref); !errors.Is(err, endpoint.ErrInvalid) || len(err.Error()) > 2000 {
			t.Errorf("parseImage(%.80q) = %v, want ErrInvalid", ref, err)
		}
	}
}

// FuzzParseImage holds the parser to the library whose grammar it is.
func FuzzParseImage(f *testing.F) {
	for _, s := range []string{
		"acme/x:v1", "docker.io/acme/x", "index.docker.io/x", "ubuntu", "localhost/x", "localhost:5000/a/b:c", "[::1]:5000/x", "[FE80::1]/x:y",
		"a..b/c", "a_b.c/x", "a.b_c/d:e", "-a.b/c", "a-.b/c", "Acme/x", "ACME.io/x", "acme/X", "a__b/c___d", "a--b/c.d", "a/b/", "/a", "a//b", "a:b/c",
		"x@sha256:" + strings.Repeat("0", 64), "x:v1@sha512:" + strings.Repeat("f", 128), "x@sha384:" + strings.Repeat("a", 96),
		"x@sha256:" + strings.Repeat("A", 64), "x@md5:" + strings.Repeat("0", 32), "x@", "x:", "@", ":", "x@a@b", "x:" + strings.Repeat("v", 128),
		"x:" + strings.Repeat("v", 129), "x:.v", "x:-v", "x:_v", strings.Repeat("a", 64), strings.Repeat("a", 255), strings.Repeat("a", 256),
		"a.b/" + strings.Repeat("a", 255), "a.b/" + strings.Repeat("a", 256), "a_.b/" + strings.Repeat("a", 251), "a_b.c/" + strings.Repeat("a", 252), "ä/b", "a\nb", "a.b:/c", "a.b:x/c", ".a/b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want image
		named, werr := reference.ParseNormalizedNamed(s)
		if werr == nil {
			named = reference.TagNameOnly(named)
			want.name = named.Name()
			if tagged, ok := named.(reference.Tagged); ok {
				want.tag = tagged.Tag()
			}
			if digested, ok := named.(reference.Digested); ok {
				want.digest = digested.Digest().String()
			}
		}
		got, err := parseImage(s)
		if (err == nil) != (werr == nil) || got != want {
			t.Errorf("parseImage(%q) = %+v, %v; want %+v, %v", s, got, err, want, werr)
		}
	})
}

func FuzzImages(f *testing.F) {
	for _, s := range []string{"acme/x:v1", "docker.io/acme/x", "x@sha256:" + strings.Repeat("0", 64), ":", "@", "a/b/c:d@e"} {
		f.Add(s, "acme/x:v1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if !sameImage(a, a) {
			t.Errorf("%q is not itself", a)
		}
		if sameImage(a, b) != sameImage(b, a) {
			t.Errorf("sameImage(%q, %q) depends on the order", a, b)
		}
		if i, err := parseImage(a); err == nil && (i.name == "" || i.tag == "" && i.digest == "") {
			t.Errorf("parseImage(%q) = %+v", a, i)
		}
	})
}
