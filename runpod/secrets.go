package runpod

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// secrets are what no error may repeat of RunPod's words: the keys of a client,
// and what it has read, or is about to write, of environments and start
// commands. They live in closures alone: no formatting of any struct can print
// them.
type secrets struct {
	keep func(...string)
	hide func(string) string
}

// leastSecret is the length from which on a text may be a secret. What is
// shorter is none, and to hide it would make texts unreadable.
const leastSecret = 4

const redacted = "[redacted]"

func newSecrets(keys ...string) secrets {
	var mu sync.Mutex
	known := map[string]bool{}
	s := secrets{
		keep: func(values ...string) {
			mu.Lock()
			defer mu.Unlock()
			for _, v := range values {
				if len(v) >= leastSecret && !known[v] {
					known[v], known[quoted(v, true)], known[quoted(v, false)] = true, true, true
				}
			}
		},
		hide: func(text string) string {
			mu.Lock()
			defer mu.Unlock()
			var found []string
			for v := range known {
				if strings.Contains(text, v) {
					found = append(found, v)
				}
			}
			for len(found) > 0 {
				// The longest first, so that no part of one is left over.
				i := 0
				for j, v := range found {
					if len(v) > len(found[i]) {
						i = j
					}
				}
				text = strings.ReplaceAll(text, found[i], redacted)
				found = slices.Delete(found, i, i+1)
			}
			return text
		},
	}
	s.keep(keys...)
	return s
}

// quoted is s inside of the quotes of JSON, by an encoder with HTML in mind or
// another: RunPod repeats values as they were sent, too.
func quoted(s string, html bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	_ = enc.Encode(s)                // a string always encodes
	return b.String()[1 : b.Len()-2] // without the quotes and the end of the line
}

// keepContent keeps what may be secret in what a worker runs.
func (s secrets) keepContent(c *content) {
	if c == nil {
		return
	}
	s.keep(c.DockerArgs)
	for _, v := range c.Env {
		s.keep(v.Value)
	}
}

func (s secrets) keepTemplate(t *template) {
	s.keepContent(&t.content)
	s.keep(text(t.StartScript))
}

// keepReleases keeps what environments and start commands were in a history.
func (s secrets) keepReleases(l *releaseList) {
	for _, r := range l.releases {
		for _, d := range r.diff {
			for _, value := range [][]byte{d.Old, d.New} {
				var then settings
				then.put(d.setting(), value) // or not, if it is none
				s.keepContent(&then.content)
			}
		}
	}
}
