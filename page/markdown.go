package page

import (
	"fmt"
	"strings"
)

// markdown is the summary of a rollout.
func markdown(v *view) string {
	var b strings.Builder
	sign := map[string]string{"good": "✅", "back": "↩️", "bad": "❌", "live": "⏳"}[v.Class]
	fmt.Fprintf(&b, "### %s %s\n\n", sign, plain(v.Endpoint+": "+v.Headline))
	if v.Reason != "" {
		fmt.Fprintf(&b, "%s\n\n", plain(v.Reason))
	}
	fmt.Fprintf(&b, "| | |\n| --- | --- |\n| Strategy | %s |\n| From | %s |\n| To | %s |\n", plain(v.Strategy), plain(v.Source), plain(v.Target))
	for _, f := range v.Facts {
		fmt.Fprintf(&b, "| %s | %s |\n", plain(f.Name), plain(f.Value))
	}
	for _, r := range v.Remains {
		fmt.Fprintf(&b, "\n**Remains:** %s\n", plain(r))
	}
	if v.Next != "" {
		fmt.Fprintf(&b, "\n**Next:** %s\n", plain(v.Next))
	}
	if v.Damage != "" {
		fmt.Fprintf(&b, "\n**The rest of the journal cannot be read:** %s\n", plain(v.Damage))
	}
	b.WriteString("\n| step | state | began | took | result |\n| --- | --- | ---: | ---: | --- |\n")
	for _, s := range v.Steps {
		fmt.Fprintf(&b, "| %s %s | %s | %s | %s | %s |\n", s.List, plain(s.Name), s.State, s.Began, s.Took, plain(s.Text))
	}
	if len(v.Checks) > 0 {
		b.WriteString("\n| check | at | result | value | threshold | reason |\n| --- | ---: | --- | ---: | ---: | --- |\n")
		for _, c := range lastOf(v.Checks, 20) {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", plain(c.Name), c.Since, plain(c.Result), c.Value, c.Limit, plain(c.Reason))
		}
	}
	for _, d := range v.Decisions {
		fmt.Fprintf(&b, "\n**Approval %s:** %s\n", plain(d.Name), plain(d.Decision))
	}
	return b.String()
}

func lastOf[T any](all []T, n int) []T { return all[max(0, len(all)-n):] }

// plain makes a text one that Markdown and HTML show as it is, in one line of a
// table: everything that could mean something is written as a character reference.
func plain(s string) string {
	var b strings.Builder
	for _, r := range strings.Join(strings.Fields(s), " ") {
		switch {
		case strings.ContainsRune("\\`*_{}[]<>#!|~&@$^\"'", r), r < ' ':
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.NewReplacer("://", "&#58;//", "www.", "www&#46;").Replace(b.String())
}
