package runpod

import (
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"github.com/changeover-dev/changeover/endpoint"
)

// image is a parsed image reference.
type image struct {
	name   string // with the registry's host: "docker.io/acme/sdxl"
	tag    string // "latest" if the reference has neither tag nor digest
	digest string // "sha256:…"
}

// parseImage reads a reference and completes it as Docker and registries do.
func parseImage(s string) (image, error) {
	named, err := reference.ParseNormalizedNamed(s)
	switch {
	case s != strings.TrimSpace(s):
		return image{}, notImage(s, "white space around it")
	case err != nil:
		return image{}, notImage(s, why(err))
	}
	i := image{name: named.Name()}
	if t, ok := named.(reference.Tagged); ok {
		i.tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		i.digest = d.Digest().String()
	}
	if i.tag == "" && i.digest == "" {
		i.tag = "latest"
	}
	return i, nil
}

// why says what is expected where the library says only that it was not met.
func why(err error) string {
	switch {
	case errors.Is(err, reference.ErrReferenceInvalidFormat), errors.Is(err, reference.ErrNameContainsUppercase):
		return "want a name in lower case and a tag, such as registry.example.com/acme/sdxl:v2"
	}
	return err.Error()
}

// notImage shows the reference as it is, white space included: that may be what
// is wrong with it.
func notImage(s, why string) error {
	const limit = 300
	shown := fmt.Sprintf("%.*q", limit, s)
	if len(s) > limit {
		shown += "…"
	}
	return fmt.Errorf("image %s: %s: %w", shown, why, endpoint.ErrInvalid)
}

// mutable reports whether the reference is expected to mean something else one
// day: it names no digest, and no tag but latest.
func (i image) mutable() bool { return i.digest == "" && i.tag == "latest" }

// sameImage reports whether RunPod would take both references for the same
// image, or cannot be trusted to tell them apart. RunPod goes by name:tag, so
// an equal tag with a digest on one side only counts as the same; digests on
// both sides decide.
func sameImage(a, b string) bool {
	x, errX := parseImage(a)
	y, errY := parseImage(b)
	switch {
	case errX != nil || errY != nil:
		return a == b
	case x.digest != "" && y.digest != "":
		return x.digest == y.digest
	}
	return x.name == y.name && x.tag == y.tag
}

// samePodImage reports whether a worker's image is the wanted one. Both are
// what RunPod wrote down, so that only the spelling can differ.
func samePodImage(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := parseImage(a)
	y, errY := parseImage(b)
	return errX == nil && errY == nil && x == y
}
