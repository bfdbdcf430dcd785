package runpod

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
)

const redacted = "[redacted]"

// hidden marks the context of a request with the secrets that it is about:
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

// secrets are the values of a template that RunPod's words about it might repeat.
func (t *template) secrets() []string { return append(t.content.secrets(), text(t.StartScript)) }

func (c *content) secrets() []string {
	secrets := []string{c.DockerArgs}
	for _, v := range c.env() {
		secrets = append(secrets, v.Value)
	}
	return secrets
}
