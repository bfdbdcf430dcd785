package sagemaker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"
)

// Names of configurations that this package makes are
// "<endpoint>-co-<UTC time>-<random>", at most 63 characters.
const (
	nameMark  = "-co-"
	nameTime  = "20060102150405"
	nameLimit = 63
)

// ownName is the part of a name after the endpoint's.
var ownName = regexp.MustCompile(`^-co-\d{14}-[0-9a-f]{4}$`)

// namePrefix is the part of a name for the endpoint. Where the endpoint's own
// name is too long it is cut, and a digest keeps it apart from others.
func namePrefix(endpointName string) string {
	const room = nameLimit - len(nameMark) - len(nameTime) - len("-0000")
	if len(endpointName) <= room {
		return endpointName
	}
	sum := sha256.Sum256([]byte(endpointName))
	digest := hex.EncodeToString(sum[:3])
	return strings.TrimRight(endpointName[:room-1-len(digest)], "-") + "-" + digest
}

// mintName makes a name that was not given before.
func mintName(endpointName string, now time.Time) string {
	return namePrefix(endpointName) + nameMark + now.UTC().Format(nameTime) + fmt.Sprintf("-%04x", rand.IntN(1<<16)) //nolint:gosec // not a secret
}

// isOwnName reports whether this package minted the name for the endpoint.
func isOwnName(endpointName, name string) bool {
	rest, ok := strings.CutPrefix(name, namePrefix(endpointName))
	return ok && ownName.MatchString(rest)
}
