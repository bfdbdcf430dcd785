package cli

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/vbauerster/mpb/v8/cwriter"
)

// Help is what the help says beside the flags.
type Help struct {
	// Summary says in a sentence or two what the program does.
	Summary string
	// Environment is the variables that it reads, and what they are for.
	Environment [][2]string
	// Examples are command lines, without the name of the program, and what they do.
	Examples [][2]string
}

// exits is what the exit statuses mean, for every example.
var exits = [][2]string{
	{"0", "it serves the target, with everything guarded as before; or it did already, or there was nothing to resume"},
	{"1", "it serves the source, with everything guarded as before: rolled back, cancelled, timed out, rejected"},
	{"2", "refused before anything was changed: usage, preflight, a stale plan, another rollout, an unfinished journal without -resume"},
	{"3", "incomplete or detached: stderr says what remains, and how to resume"},
}

// help prints what the program does, its flags in groups, and what they do not say.
func (f *Flags) help(w io.Writer, h Help, columns int) {
	fmt.Fprintf(w, "usage: %s -endpoint … [flags]\n\n%s\n", f.set.Name(), wrap(h.Summary, "", columns))
	for _, g := range f.groups {
		fmt.Fprintf(w, "\n%s:\n", g.title)
		for _, name := range g.names {
			x := f.set.Lookup(name)
			value, usage := flag.UnquoteUsage(x)
			line := "  -" + name
			if value != "" {
				line += " " + value
			}
			if d := x.DefValue; d != "" && d != "false" && d != "0" && d != "0s" {
				usage += " (default " + d + ")"
			}
			fmt.Fprintf(w, "%s\n%s\n", line, wrap(usage, "        ", columns))
		}
	}
	table := func(title string, rows [][2]string, indent string) {
		fmt.Fprintf(w, "\n%s:\n", title)
		for _, r := range rows {
			text := wrap(r[1], indent, columns)
			if first := fmt.Sprintf("  %-*s", len(indent)-2, r[0]); len(first) == len(indent) {
				fmt.Fprintln(w, first+strings.TrimPrefix(text, indent))
				continue
			}
			fmt.Fprintf(w, "  %s\n%s\n", r[0], text)
		}
	}
	table("exit status", exits, "     ")
	table("environment", append(h.Environment,
		[2]string{"NO_COLOR", "no colours, if it is not empty"}, [2]string{"TERM", "dumb: plain lines on a terminal too"}), "        ")
	rows := make([][2]string, 0, len(h.Examples))
	for _, e := range h.Examples {
		rows = append(rows, [2]string{f.set.Name() + " " + e[0], e[1]})
	}
	table("examples", rows, "        ")
	fmt.Fprintf(w, "\n%s\n", wrap("The first SIGINT, SIGTERM or SIGHUP cancels, the second one stops at once.", "", columns))
}

// wrap breaks text at words, so that no line with its indent is longer than columns
// unless a word is.
func wrap(text, indent string, columns int) string {
	var lines []string
	line := indent
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == indent:
			line += word
		case len([]rune(line))+1+len([]rune(word)) > columns:
			lines = append(lines, line)
			line = indent + word
		default:
			line += " " + word
		}
	}
	return strings.Join(append(lines, line), "\n")
}

// width is how many columns a terminal has, at most 100; 80 if w is none.
func width(w *os.File) int {
	columns, _, err := cwriter.New(w).GetTermSize()
	if err != nil || columns < 20 {
		return 80
	}
	return min(columns, 100)
}

// version says what the program was built from.
func version(name string) string {
	text, revision := name+" of changeover", ""
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return text
	}
	for _, s := range b.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = " " + s.Value[:min(12, len(s.Value))] + revision
		case s.Key == "vcs.modified" && s.Value == "true":
			revision += " (modified)"
		}
	}
	return text + " " + b.Main.Version + revision + ", " + b.GoVersion
}
