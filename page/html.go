package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"sync"
)

//go:embed style.css
var style string

//go:embed page.html
var pageText string

// parsed is the template of all pages. Every value in it is escaped for where it
// stands; what is not a value is fixed text.
var parsed = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"add":   func(a, b int) int { return a + b },
		"sub":   func(a, b int) int { return a - b },
		"signs": func(s sign, y int) sign { s.Y = y; return s },
	}).Parse(pageText))
})

// styleSource is what a content security policy names the style sheet by.
var styleSource = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
})

const headText = `<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
`

// head is what a page needs besides its values. A page that stands alone carries
// its own content security policy, and that of a site gets it with the answer.
func head(d *document) template.HTML {
	text := headText
	if !d.Site {
		text += `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ` + styleSource() + `; base-uri 'none'; form-action 'none'">` + "\n"
	}
	if d.Live != "" { // a browser without scripts reloads the page
		text += `<noscript><meta http-equiv="refresh" content="10"></noscript>` + "\n" + `<script src="live.js" defer></script>` + "\n"
	}
	return template.HTML(text + "<style>" + style + "</style>") //nolint:gosec // fixed text
}

// execute renders a page. Nothing is written if that fails.
func execute(w io.Writer, d *document) error {
	var b bytes.Buffer
	err := parsed().ExecuteTemplate(&b, "page", struct {
		Document *document
		Head     template.HTML
	}{d, head(d)})
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}
