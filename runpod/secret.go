package runpod

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
)

const redacted = "[redacted]"

// hidden marks the context of a request with the secrets that are in its body:
// servers quote the values that they refuse.
type hidden struct{}

func hiding(ctx context.Context, secrets []string) context.Context {
	return context.WithValue(ctx, hidden{}, secrets)
}

// hide takes the secrets of a request out of the words of its answer, as they
// are and as JSON has them.
func hide(ctx context.Context, message string) string {
	secrets, _ := ctx.Value(hidden{}).([]string)
	var all []string
	for _, s := range secrets {
		// Anything shorter is no secret, and would make the text unreadable.
		if len(s) >= 4 {
			all = append(all, s, quoted(s, true), quoted(s, false))
		}
	}
	// The longest first, so that no part of one is left over.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	for _, s := range all {
		message = strings.ReplaceAll(message, s, redacted)
	}
	return message
}

// quoted is s inside of the quotes of JSON, by an encoder with HTML in mind or
// another.
func quoted(s string, html bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	_ = enc.Encode(s)                // a string always encodes
	return b.String()[1 : b.Len()-2] // without the quotes and the end of the line
}

// secrets are the values of t that RunPod's words about it might repeat.
func (t *template) secrets() []string {
	secrets := []string{t.DockerArgs, text(t.StartScript)}
	for _, v := range t.env() {
		secrets = append(secrets, v.Value)
	}
	return secrets
}

// secrets are the values in p that RunPod's words about it might repeat.
func (p patch) secrets() []string {
	var secrets []string
	if p.Args != nil {
		secrets = append(secrets, *p.Args)
	}
	if p.Env != nil {
		for _, v := range *p.Env {
			secrets = append(secrets, v)
		}
	}
	return secrets
}
