// Package redact takes known secrets out of texts that were written by others:
// refusals of a provider, errors of a transport, log lines of a worker.
package redact

import (
	"slices"
	"strings"
	"sync"
)

// Mask stands for what was taken out of a text.
const Mask = "[redacted]"

const (
	// minSecret is the length in bytes from which on a value counts as secret.
	// A shorter one is none, and to hide it would make texts unreadable.
	minSecret = 4
	// minPart is the length in bytes from which on a part of a secret is hidden
	// too: its beginning, a line of it, an argument of a command.
	minPart = 8
	// maxText is how much of a text is read. The rest is cut off.
	maxText = 64 << 10
)

// Redactor knows secrets and takes them out of texts. It is safe for concurrent
// use, and its values live in closures alone, so that no formatting of a struct
// that holds it can print one. Use [New] to make one.
type Redactor struct {
	add  func(values []string, command bool)
	hide func(string) string
}

// New returns a Redactor that knows the values. See [Redactor.Add].
func New(values ...string) *Redactor {
	var mu sync.Mutex
	known := &dictionary{patterns: map[string]pattern{}, starts: map[[minSecret]byte][]string{}}
	r := &Redactor{
		add: func(values []string, command bool) {
			mu.Lock()
			defer mu.Unlock()
			for _, v := range values {
				known.add(v, command)
			}
		},
		hide: func(text string) string {
			mu.Lock()
			defer mu.Unlock()
			return known.hide(text)
		},
	}
	r.Add(values...)
	return r
}

// Add makes values secret: as a whole, without the white space around them, and
// each of their lines that has 8 bytes or more, such as those of a PEM file. A
// value of fewer than 4 bytes is no secret.
func (r *Redactor) Add(values ...string) { r.add(values, false) }

// AddCommand makes command lines secret, and each of their arguments that has 8
// bytes or more. Of an option with a value, such as "--token=abc", that is the
// value.
func (r *Redactor) AddCommand(commands ...string) { r.add(commands, true) }

// Hide returns text with [Mask] for every secret in it: in clear, escaped for a
// URL, HTML or JSON (up to twice), in base64, and cut to its first 8 bytes or
// more. What follows a secret without a break is hidden with it. Of a text of
// more than 64 KiB the rest is cut off.
func (r *Redactor) Hide(text string) string { return r.hide(text) }

// Error returns err if its text has no secret, and otherwise an error with the
// text redacted. That one answers [errors.Is] as err does, and hides the errors
// that err is made of, since their texts have the secret too.
func (r *Redactor) Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if hidden := r.Hide(text); hidden != text {
		return &redacted{text: hidden, is: func(target error) bool { return is(err, target) }}
	}
	return err
}

// String names the package, and no secret.
func (r *Redactor) String() string { return "redact.Redactor" }

// GoString is as String.
func (r *Redactor) GoString() string { return "redact.Redactor" }

// dictionary is the patterns to find, by how they start.
type dictionary struct {
	patterns map[string]pattern
	starts   map[[minSecret]byte][]string
}

// pattern is one spelling of a secret.
type pattern struct {
	// least is how much of it counts: all of a short one, and else its beginning.
	least int
	// open: what follows it without a break may belong to the secret.
	open bool
}

func (d *dictionary) add(value string, command bool) {
	whole := strings.TrimSpace(value)
	for _, v := range []string{value, whole} {
		d.spell(v)
	}
	for line := range strings.Lines(whole) {
		if line = strings.TrimSpace(line); len(line) >= minPart && !strings.HasPrefix(line, "-----") {
			d.spell(line)
		}
	}
	if !command {
		return
	}
	for _, arg := range strings.FieldsFunc(whole, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"'`[],", r) }) {
		if strings.HasPrefix(arg, "-") {
			_, arg, _ = strings.Cut(arg, "=")
		}
		if len(arg) >= minPart {
			d.spell(arg)
		}
	}
}

// spell takes in a value and its spellings in base64.
func (d *dictionary) spell(v string) {
	if len(v) < minSecret {
		return
	}
	d.put(v, beginning(v))
	if strings.Contains(v, " ") { // in the query of a URL
		v := strings.ReplaceAll(v, " ", "+")
		d.put(v, beginning(v))
	}
	if len(v) >= minPart {
		for _, encoded := range inBase64(v) {
			d.put(encoded, min(len(encoded), 12))
		}
	}
}

// beginning is how long a beginning of v tells v: 8 bytes, and the name of a
// scheme before them tells nothing.
func beginning(v string) int {
	n := minPart
	if i := strings.Index(v, "://"); i > 0 && i < 12 {
		n += i + len("://")
	}
	return min(n, len(v))
}

func (d *dictionary) put(v string, least int) {
	if len(v) < minSecret {
		return
	}
	if _, ok := d.patterns[v]; ok {
		return
	}
	d.patterns[v] = pattern{least: least, open: len(v) >= minPart}
	start := [minSecret]byte([]byte(v[:minSecret]))
	d.starts[start] = append(d.starts[start], v)
}

// span is a part of a text, from and to in bytes.
type span struct{ from, to int }

func (d *dictionary) hide(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	var found []span
	v := plain(text)
	for range 3 { // as it is, unescaped, and unescaped twice
		found = append(found, d.find(v)...)
		next, changed := v.unescape()
		if !changed {
			break
		}
		v = next
	}
	return cut(text, found)
}

// find returns where secrets are in the original text of a view.
func (d *dictionary) find(v view) []span {
	var found []span
	for i := 0; i+minSecret <= len(v.text); i++ {
		longest := 0
		for _, p := range d.starts[[minSecret]byte(v.text[i:i+minSecret])] {
			n := common(v.text[i:], p)
			if d.patterns[p].least > n {
				continue
			}
			if d.patterns[p].open {
				n += run(v.text[i+n:])
			}
			longest = max(longest, n)
		}
		if longest > 0 {
			found = append(found, span{v.at[i], v.at[i+longest]})
		}
	}
	return found
}

// common is how long the beginning is that both have.
func common(text []byte, p string) int {
	n := min(len(text), len(p))
	for i := range n {
		if text[i] != p[i] {
			return i
		}
	}
	return n
}

// run is how far a word goes on that a secret began.
func run(text []byte) int {
	for i, c := range text {
		if c < '0' && c != '-' && c != '+' || c > '9' && c < 'A' && c != '=' || c > 'Z' && c < 'a' && c != '_' || c > 'z' {
			return i
		}
	}
	return len(text)
}

// cut replaces the spans, which may overlap.
func cut(text string, found []span) string {
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for i := 0; i < len(found); {
		from, to := found[i].from, found[i].to
		for i++; i < len(found) && found[i].from <= to; i++ {
			to = max(to, found[i].to)
		}
		b.WriteString(text[at:from])
		b.WriteString(Mask)
		at = to
	}
	b.WriteString(text[at:])
	return b.String()
}
