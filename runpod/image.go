package runpod

import (
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
)

// image is a parsed image reference.
type image struct {
	name   string // with the registry's host: "docker.io/acme/sdxl"
	tag    string // "latest" if the reference has neither tag nor digest
	digest string // "sha256:…"
}

func parseImage(s string) (image, error) {
	i, err := reference(s)
	if err != nil {
		return image{}, fmt.Errorf("image %q: %w: %w", clip(s), err, endpoint.ErrInvalid)
	}
	return i, nil
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
