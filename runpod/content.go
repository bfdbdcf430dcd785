package runpod

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
)

// KindTemplate is the kind of every revision of this package: a RunPod
// template, its id, the image it names, and a digest of the rest.
const KindTemplate = "template"

// content is the part of a template that decides what a worker runs.
type content struct {
	ID                      string
	Name                    string
	ImageName               string
	DockerArgs              string
	Env                     []envVar
	Ports                   *string
	VolumeMountPath         *string
	ContainerDiskInGb       int
	ContainerRegistryAuthID *string
	IsServerless            *bool
}

type envVar struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// platformEnv is set by RunPod itself when an endpoint is first deployed, so
// that it says nothing about the revision. It is not set again, though: a
// write has to carry it.
var platformEnv = []string{"PORT", "PORT_HEALTH"}

// env leaves out the holes that a list of nullable elements may have.
func (c *content) env() []envVar {
	var env []envVar
	for _, v := range c.Env {
		if v.Key != "" {
			env = append(env, v)
		}
	}
	return env
}

// ownEnv is the environment without RunPod's own part, in order of the keys.
func (c *content) ownEnv() []envVar {
	var own []envVar
	for _, key := range c.envKeys() {
		for _, value := range c.values(key) {
			own = append(own, envVar{key, value})
		}
	}
	return own
}

// envKeys are the names in the environment, RunPod's own left out, in order.
func (c *content) envKeys() []string {
	keys := []string{}
	for _, v := range c.env() {
		if !slices.Contains(platformEnv, v.Key) {
			keys = append(keys, v.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// digest tells contents apart without revealing them.
func (c *content) digest() string {
	env := [][2]string{}
	for _, v := range c.ownEnv() {
		env = append(env, [2]string{v.Key, v.Value})
	}
	b, _ := json.Marshal([]any{ // strings and numbers always marshal
		1, c.ImageName, c.DockerArgs, text(c.ContainerRegistryAuthID), text(c.Ports),
		c.ContainerDiskInGb, text(c.VolumeMountPath), env,
	})
	return short(b)
}

func short(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// digestWith is the digest that c would have with another image.
func (c *content) digestWith(image string) string {
	other := *c
	other.ImageName = image
	return other.digest()
}

func (c *content) revision() endpoint.Revision { return c.revisionWith(c.ImageName) }

func (c *content) revisionWith(image string) endpoint.Revision {
	return endpoint.Revision{Kind: KindTemplate, ID: c.ID, Artifact: image, Digest: c.digestWith(image)}
}

func (c *content) values(key string) []string {
	var values []string
	for _, v := range c.env() {
		if v.Key == key {
			values = append(values, v.Value)
		}
	}
	return values
}

// version is 0 for what cannot be one.
func version(v *float64) int {
	if v == nil || *v < 1 || *v > math.MaxInt32 || *v != math.Trunc(*v) {
		return 0
	}
	return int(*v)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
