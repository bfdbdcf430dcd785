package runpod

import (
	"errors"
	"slices"
	"strings"
)

// The grammar of image references is that of github.com/distribution/reference,
// and a fuzz test holds the two to each other. That package is not used because
// of what it brings along: regular expressions, half a megabyte of a program
// that has no other use for them.

// What a reference that does not say so means.
const (
	defaultRegistry = "docker.io"
	legacyRegistry  = "index.docker.io" // the same one
	officialAccount = "library/"
	defaultTag      = "latest"
)

const (
	longestPath = 255
	longestTag  = 128
)

// Why a text is no image reference.
var (
	errReference = errors.New("invalid image reference")
	errUppercase = errors.New("the name in an image reference has to be in lower case")
	errImageID   = errors.New("64 hexadecimal digits are the ID of an image, not its name")
	errLongName  = errors.New("the name in an image reference is too long")
)

// reference takes an image reference apart, and fills in what it leaves out.
func reference(s string) (image, error) {
	if len(s) == 64 && only(s, hexes) {
		return image{}, errImageID
	}
	registry, rest, found := strings.Cut(s, "/")
	if !found || !strings.ContainsAny(registry, ".:") && registry != "localhost" && strings.ToLower(registry) == registry {
		registry, rest = defaultRegistry, s
	}
	if registry == legacyRegistry {
		registry = defaultRegistry
	}
	if registry == defaultRegistry && !strings.Contains(rest, "/") {
		rest = officialAccount + rest
	}
	if name, _, _ := strings.Cut(rest, ":"); strings.ToLower(name) != name {
		return image{}, errUppercase
	}
	rest, digest, digested := strings.Cut(rest, "@")
	path, tag, tagged := strings.Cut(rest, ":")
	name := registry + "/" + path
	switch {
	case isRegistry(registry) && isPath(path):
	case isPath(name): // what looks like a registry's name, and has an underscore, is none
		path = name
	default:
		return image{}, errReference
	}
	switch {
	case tagged && !isTag(tag), digested && !isDigest(digest):
		return image{}, errReference
	case len(path) > longestPath:
		return image{}, errLongName
	case !tagged && !digested:
		tag = defaultTag
	}
	return image{name: name, tag: tag, digest: digest}, nil
}

const (
	digits = "0123456789"
	hexes  = digits + "abcdef"
	lower  = digits + "abcdefghijklmnopqrstuvwxyz"
	alnum  = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// only reports whether s has one of these characters at least, and no other.
func only(s, chars string) bool { return s != "" && strings.Trim(s, chars) == "" }

// isRegistry takes a host name or an IPv6 address in brackets, with or without a port.
func isRegistry(s string) bool {
	host, port, ported := strings.Cut(s, ":")
	if address, ok := strings.CutPrefix(s, "["); ok {
		address, port, ok = strings.Cut(address, "]")
		if port, ported = strings.CutPrefix(port, ":"); !ok || !ported && port != "" || !only(address, hexes+"ABCDEF:") {
			return false
		}
	} else if slices.ContainsFunc(strings.Split(host, "."), func(label string) bool {
		return !only(label, alnum+"-") || strings.Trim(label, "-") != label
	}) {
		return false
	}
	return !ported || only(port, digits)
}

// isPath takes names, joined by slashes, of lower-case letters and digits that
// are joined by a dot, one or two underscores, or any number of dashes.
func isPath(s string) bool {
	return !slices.ContainsFunc(strings.Split(s, "/"), func(name string) bool {
		if name == "" || strings.Trim(name, "._-") != name {
			return true
		}
		for _, joint := range strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(lower, r) }) {
			if joint != "." && joint != "_" && joint != "__" && !only(joint, "-") {
				return true
			}
		}
		return false
	})
}

func isTag(s string) bool {
	return only(s, alnum+"_.-") && !strings.HasPrefix(s, ".") && !strings.HasPrefix(s, "-") && len(s) <= longestTag
}

func isDigest(s string) bool {
	algorithm, sum, _ := strings.Cut(s, ":")
	return only(sum, hexes) && len(sum) == map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm]
}
