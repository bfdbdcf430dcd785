package redact_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/internal/redact"
)

const (
	key   = "rpa_EXAMPLE+key/with=signs&<more>\"quoted\""
	line1 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDZ1F"
	pem   = "-----BEGIN PRIVATE KEY-----\n" + line1 + "\nq8s7v6uPp0t2b3c4d5e6f7==\n-----END PRIVATE KEY-----\n"
)

// TestSpellings has every spelling that a secret was seen to come back in.
func TestSpellings(t *testing.T) {
	r := redact.New(key, pem, "hunter2-is-long\n")
	r.AddCommand("python serve.py --token=tok-1234567 --seed 42 'quoted argument'")
	quoted, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	escaped := func(format string) string {
		var b strings.Builder
		for _, c := range []byte(key) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"clear":                   key,
		"a prefix of 8":           key[:8],
		"a prefix and dots":       key[:12] + "…",
		"and what follows":        key[:9] + "and-another-tail",
		"trailing newline gone":   "hunter2-is-long",
		"one line of a PEM":       line1,
		"part of such a line":     line1[:20],
		"query-escaped":           url.QueryEscape(key),
		"path-escaped":            url.PathEscape(key),
		"escaped twice":           url.QueryEscape(url.QueryEscape(key)),
		"HTML":                    html.EscapeString(key),
		"HTML in numbers":         escaped("&#%d;"),
		"HTML in hexadecimals":    escaped("&#x%x;"),
		"JSON":                    string(quoted),
		"JSON in a string":        fmt.Sprintf("%q", quoted),
		"\\u escapes":             escaped("\\u%04x"),
		"\\u escapes, upper case": escaped("\\u%04X"),
		"base64":                  base64.StdEncoding.EncodeToString([]byte(key)),
		"base64 of a prefix":      base64.StdEncoding.EncodeToString([]byte(key[:15])),
		"base64 for URLs":         base64.RawURLEncoding.EncodeToString([]byte(key)),
		"base64 after one byte":   base64.StdEncoding.EncodeToString([]byte("x" + key)),
		"base64 after two bytes":  base64.StdEncoding.EncodeToString([]byte("u:" + key + "!")),
		"one argument":            "tok-1234567",
		"a command in a query":    url.QueryEscape("python serve.py --token=tok-1234567 --seed 42"),
	} {
		t.Run(name, func(t *testing.T) {
			got := r.Hide("before " + text + " after")
			if !strings.Contains(got, redact.Mask) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Fatalf("Hide = %q", got)
			}
			for i := 0; i+8 <= len(text); i++ {
				if strings.Contains(got, text[i:i+8]) && text[i:i+8] != redact.Mask[:8] {
					t.Fatalf("Hide = %q: %q is left of %q", got, text[i:i+8], text)
				}
			}
		})
	}
}

// TestOtherTexts: what is no secret is left as it is.
func TestOtherTexts(t *testing.T) {
	r := redact.New(key, "abc", "https://hooks.example.com/T0/secret", "a=b")
	r.AddCommand("python -m serve --port 8000")
	for _, text := range []string{
		"", "abc", "a=b", "rpa_EXA", "https://docs.example.com/help", "100% of 3 + 4", "&amp; &nothing; \\q \\u00", "max is 8000", "port 80%",
	} {
		if got := r.Hide(text); got != text {
			t.Errorf("Hide(%q) = %q", text, got)
		}
	}
	if got := r.Hide("at https://hooks.example.com/T0/secret, try again"); strings.Contains(got, "secret,") || !strings.HasSuffix(got, ", try again") {
		t.Errorf("Hide = %q", got)
	}
}

// TestOverlap: a secret within a longer one, and two that overlap, leave nothing.
func TestOverlap(t *testing.T) {
	r := redact.New("alpha-beta", "beta-gamma", "alpha-beta-gamma-delta")
	for _, text := range []string{"alpha-beta-gamma", "alpha-beta-gamma-delta", "x alpha-beta y"} {
		if got := r.Hide(text); strings.Contains(got, "alpha") || strings.Contains(got, "gamma") {
			t.Errorf("Hide(%q) = %q", text, got)
		}
	}
}

func TestLongText(t *testing.T) {
	r := redact.New(key)
	got := r.Hide(strings.Repeat("x ", 1<<20) + key)
	if len(got) > 65<<10 || strings.Contains(got, key) {
		t.Errorf("Hide returns %d bytes", len(got))
	}
}

func TestError(t *testing.T) {
	r := redact.New(key)
	if err := r.Error(nil); err != nil {
		t.Errorf("Error(nil) = %v", err)
	}
	if got := r.Error(io.ErrUnexpectedEOF); got != io.ErrUnexpectedEOF { //nolint:errorlint // the very same
		t.Errorf("Error = %v", got)
	}
	inner := fmt.Errorf("malformed response %q: %w", key, io.ErrUnexpectedEOF)
	got := r.Error(inner)
	if !errors.Is(got, io.ErrUnexpectedEOF) || errors.Is(got, io.EOF) || errors.Unwrap(got) != nil {
		t.Errorf("Error = %v", got)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
		if s := fmt.Sprintf(verb, got); strings.Contains(s, key[:11]) {
			t.Errorf("%s prints %q", verb, s)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, struct{ R *redact.Redactor }{r}) + fmt.Sprintf(verb, r); strings.Contains(s, key[:11]) {
			t.Errorf("%s prints %q", verb, s)
		}
	}
}

func FuzzHide(f *testing.F) {
	for _, s := range []string{"", key, "%", "%4", "&#", "\\u12", "+", url.QueryEscape(key)} {
		f.Add(s, "x")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		r := redact.New(key)
		if got := r.Hide(before + key + after); strings.Contains(got, key) {
			t.Errorf("Hide = %q", got)
		}
	})
}
