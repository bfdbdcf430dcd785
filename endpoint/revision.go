package endpoint

// Revision is an immutable description of what an endpoint serves: a RunPod
// template or image, a SageMaker endpoint configuration. The zero Revision
// means "none" or "not known".
type Revision struct {
	// Kind is the provider's word for what ID names, such as "template",
	// "image" or "endpoint-config".
	Kind string `json:"kind,omitempty"`
	// ID is the provider's identifier. Empty for kinds that are named by
	// their artifact alone.
	ID string `json:"id,omitempty"`
	// Artifact is what the revision runs: an image reference, a model.
	Artifact string `json:"artifact,omitempty"`
	// Digest says which content was meant where the provider lets the content
	// behind ID change, as RunPod does with templates. Empty if it cannot
	// change or is not known. It never reveals a secret.
	Digest string `json:"digest,omitempty"`
}

// IsZero reports whether r names nothing.
func (r Revision) IsZero() bool { return r == Revision{} }

// Same reports whether r and o mean the same content. Kind and ID must be
// equal; Artifact and Digest must be equal where both are known. A Revision
// with neither ID nor Artifact, such as the zero one, is the same as nothing,
// not even itself: unknown is never a match.
func (r Revision) Same(o Revision) bool {
	if r.ID == "" && (r.Artifact == "" || o.Artifact == "") {
		return false
	}
	known := func(a, b string) bool { return a == b || a == "" || b == "" }
	return r.Kind == o.Kind && r.ID == o.ID && known(r.Artifact, o.Artifact) && known(r.Digest, o.Digest)
}

// String names the revision for people: "template wphkv67a0p (acme/sdxl:v2)".
func (r Revision) String() string {
	switch {
	case r.IsZero():
		return "nothing"
	case r.ID == "":
		return r.Kind + " " + r.Artifact
	case r.Artifact == "":
		return r.Kind + " " + r.ID
	}
	return r.Kind + " " + r.ID + " (" + r.Artifact + ")"
}
