package runpod

import (
	"fmt"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

// image is a parsed image reference.
type image struct {
	name   string // with the registry's host: "docker.io/acme/sdxl"
	tag    string // "latest" if the reference has neither tag nor digest
	digest string // "sha256:…"
}

// parseImage reads a reference by the grammar of github.com/distribution/reference,
// which is what registries and Docker go by, and completes it as they do. A
// fuzz test holds the two together; the library itself, with the regular
// expressions that it is made of, would double what this package adds to a program.
func parseImage(s string) (image, error) {
	domain, rest := splitDomain(s)
	rest, digest, digested := strings.Cut(rest, "@")
	path, tag, tagged := strings.Cut(rest, ":")
	i := image{name: domain + "/" + path, tag: tag, digest: digest}
	named := isDomain(domain) && isPath(path) || isPath(i.name) && len(i.name) <= maxPath
	switch {
	case isHex(s) && len(s) == 64:
		return image{}, notImage(s, "that is an id, not a name")
	case !named || len(path) > maxPath:
		return image{}, notImage(s, "want a name in lower case, such as registry.example.com/acme/sdxl:v2")
	case tagged && !isTag(tag):
		return image{}, notImage(s, "that tag is none")
	case digested && !isDigest(digest):
		return image{}, notImage(s, "want sha256: and 64 hexadecimal digits as the digest")
	case !tagged && !digested:
		i.tag = "latest"
	}
	return i, nil
}

func notImage(s, why string) error {
	return fmt.Errorf("image %q: %s: %w", clip(s), why, endpoint.ErrInvalid)
}

// maxPath is how long a name without its registry may be.
const maxPath = 255

// splitDomain takes the registry off a name, or adds Docker's.
func splitDomain(s string) (domain, rest string) {
	domain, rest, found := strings.Cut(s, "/")
	switch {
	case !found, domain != "localhost" && !strings.ContainsAny(domain, ".:") && strings.ToLower(domain) == domain:
		domain, rest = "docker.io", s
	case domain == "index.docker.io":
		domain = "docker.io"
	}
	if domain == "docker.io" && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return domain, rest
}

// isDomain: a host name or an IP address, and perhaps a port.
func isDomain(s string) bool {
	host, port, ported := s, "", false
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port, ported = s[:i], s[i+1:], true
	}
	if ported && !made(port, digits) {
		return false
	}
	if inside, ok := strings.CutPrefix(host, "["); ok {
		inside, ok = strings.CutSuffix(inside, "]")
		return ok && made(inside, hexDigits+"ABCDEF:")
	}
	for part := range strings.SplitSeq(host, ".") {
		if !made(part, lower+upper+digits+"-") || part[0] == '-' || part[len(part)-1] == '-' {
			return false
		}
	}
	return true
}

// isPath: parts of lower-case letters and digits, with a period, one or two
// underscores, or dashes between them.
func isPath(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		for {
			word := part[:len(part)-len(strings.TrimLeft(part, lower+digits))]
			part = part[len(word):]
			between := part[:len(part)-len(strings.TrimLeft(part, "._-"))]
			if word == "" {
				return false
			}
			if part == "" {
				break
			}
			if between != "." && between != "_" && between != "__" && !made(between, "-") {
				return false
			}
			part = part[len(between):]
		}
	}
	return true
}

func isTag(s string) bool {
	return len(s) <= 128 && made(s, lower+upper+digits+"_.-") && s[0] != '.' && s[0] != '-'
}

func isDigest(s string) bool {
	algorithm, sum, _ := strings.Cut(s, ":")
	return isHex(sum) && len(sum) == map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm]
}

func isHex(s string) bool { return made(s, hexDigits) }

const (
	digits    = "0123456789"
	lower     = "abcdefghijklmnopqrstuvwxyz"
	upper     = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	hexDigits = digits + "abcdef"
)

// made reports whether s has characters, and all of them of the given ones.
func made(s, of string) bool { return s != "" && strings.Trim(s, of) == "" }

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
