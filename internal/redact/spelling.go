package redact

import (
	"encoding/base64"
	"errors"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// view is a text with its escapes resolved, and where each byte of it is in the
// original.
type view struct {
	text []byte
	at   []int // one more than text: the last is the end of the original
}

func plain(text string) view {
	v := view{text: []byte(text), at: make([]int, len(text)+1)}
	for i := range v.at {
		v.at[i] = i
	}
	return v
}

// unescape resolves the escapes of URLs, HTML and JSON, whichever there are. It
// reports whether there were any.
func (v view) unescape() (view, bool) {
	out := view{text: make([]byte, 0, len(v.text)), at: make([]int, 0, len(v.at))}
	changed := false
	for i := 0; i < len(v.text); {
		s, n := escape(v.text[i:])
		if n == 0 {
			s, n = string(v.text[i:i+1]), 1
		} else {
			changed = true
		}
		for range len(s) {
			out.at = append(out.at, v.at[i])
		}
		out.text = append(out.text, s...)
		i += n
	}
	out.at = append(out.at, v.at[len(v.text)])
	return out, changed
}

// escape resolves the escape that text begins with, and says how long that is; 0
// if there is none.
func escape(text []byte) (string, int) {
	switch {
	case len(text) < 2:
	case text[0] == '%' && len(text) >= 3:
		if n, err := strconv.ParseUint(string(text[1:3]), 16, 8); err == nil {
			return string([]byte{byte(n)}), 3
		}
	case text[0] == '&':
		return entity(text)
	case text[0] == '\\':
		return backslash(text)
	}
	return "", 0
}

// entity is an HTML entity, which has at most 10 bytes here.
func entity(text []byte) (string, int) {
	end := strings.IndexByte(string(text[:min(len(text), 10)]), ';')
	if end < 0 {
		return "", 0
	}
	whole := string(text[:end+1])
	if s := html.UnescapeString(whole); s != whole {
		return s, len(whole)
	}
	return "", 0
}

// backslash is an escape of JSON, Go or a shell.
func backslash(text []byte) (string, int) {
	switch c := text[1]; c {
	case 'n':
		return "\n", 2
	case 'r':
		return "\r", 2
	case 't':
		return "\t", 2
	case '"', '\'', '\\', '/':
		return string(c), 2
	case 'u', 'x':
		digits := 4
		if c == 'x' {
			digits = 2
		}
		if len(text) < 2+digits {
			return "", 0
		}
		n, err := strconv.ParseUint(string(text[2:2+digits]), 16, 16)
		if err != nil {
			return "", 0
		}
		return string(utf8.AppendRune(nil, rune(n))), 2 + digits
	}
	return "", 0
}

// inBase64 are the spellings of v in base64, in both alphabets, wherever it
// stands among other bytes: without the characters at both ends that its
// neighbours have a part in.
func inBase64(v string) []string {
	var all []string
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			s := e.EncodeToString([]byte(strings.Repeat("\x00", before) + v))
			s = s[[...]int{0, 2, 3}[before]:]
			if (before+len(v))%3 != 0 {
				s = s[:len(s)-1]
			}
			all = append(all, s)
		}
	}
	return all
}

// redacted is an error whose text was changed.
type redacted struct {
	text string
	is   func(error) bool
}

func (e *redacted) Error() string { return e.text }

// Is reports whether the error that e stands for is target.
func (e *redacted) Is(target error) bool { return e.is(target) }

func is(err, target error) bool { return errors.Is(err, target) }
