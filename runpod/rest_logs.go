package runpod

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// The stream of a worker's log begins with its last lines and stays open: there is
// no mark between the two. So it is read until it is quiet, or for long enough.
const (
	logTail  = 40
	logQuiet = 750 * time.Millisecond
	logTime  = 2 * time.Second
	logBytes = 256 << 10
	logLine  = 200 // bytes of a line that are kept
)

// logEntry is one line of a worker's log: of its container or, with source
// "system", of the platform, which pulls the image and starts the container.
type logEntry struct {
	Source string `json:"source"`
	Line   string `json:"line"`
}

// workerLog reads the last lines of a worker's log, secrets taken out. It takes at
// most two seconds; what has come by then is returned.
func (r *rest) workerLog(ctx context.Context, id, worker string) ([]logEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	url := r.api.URL + "/" + joined([]string{"serverless", id, "workers", worker, "logs"}) + "?tail=40"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := r.api.Open(req)
	if err != nil {
		return nil, restError(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := make(chan logEntry)
	go r.readEvents(ctx, res.Body, lines)
	var all []logEntry
	quiet := time.NewTimer(logQuiet)
	defer quiet.Stop()
	for {
		select {
		case <-quiet.C:
			return all, nil
		case <-ctx.Done():
			return all, nil
		case e, open := <-lines:
			if !open {
				return all, nil
			}
			all = append(all[max(0, len(all)-logTail+1):], e)
			quiet.Reset(logQuiet)
		}
	}
}

// readEvents sends the entries of a stream, until that ends or ctx is done. It
// reads a bounded part of it, and of each line.
func (r *rest) readEvents(ctx context.Context, body io.Reader, to chan<- logEntry) {
	defer close(to)
	in := bufio.NewReader(io.LimitReader(body, logBytes))
	for {
		line, err := in.ReadString('\n')
		if data, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "data:"); ok {
			var e logEntry
			if json.Unmarshal([]byte(data), &e) == nil {
				e.Source, e.Line = httpx.Clip(e.Source), short200(httpx.Clip(r.secrets.Hide(e.Line)))
				select {
				case to <- e:
				case <-ctx.Done():
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// short200 cuts a line.
func short200(s string) string {
	if len(s) <= logLine {
		return s
	}
	return strings.ToValidUTF8(s[:logLine], "") + "…"
}

// pullWords are in the platform's lines about an image that it cannot get.
var pullWords = []string{"denied", "not found", "unauthorized", "manifest", "toomanyrequests", "no such host", "error", "failed", "timeout"}

// cannotPull reports whether the platform's last word about the image is that it
// cannot be pulled.
func cannotPull(log []logEntry) bool {
	failed := false
	for _, e := range log {
		if e.Source != "system" {
			continue
		}
		text := strings.ToLower(e.Line)
		about := strings.Contains(text, "pull") || strings.Contains(text, "image")
		switch {
		case about && slices.ContainsFunc(pullWords, func(w string) bool { return strings.Contains(text, w) }):
			failed = true
		case strings.Contains(text, "start container"):
			failed = false
		}
	}
	return failed
}

// starts counts how often the platform started the container.
func starts(log []logEntry) int {
	n := 0
	for _, e := range log {
		if e.Source == "system" && strings.Contains(strings.ToLower(e.Line), "start container") {
			n++
		}
	}
	return n
}

// lastLines are the last lines of a log, for people, in a few hundred bytes.
func lastLines(log []logEntry) string {
	const limit = 400
	var lines []string
	size := 0
	for _, e := range slices.Backward(log) {
		line := e.Source + ": " + e.Line
		if size += len(line); size > limit && len(lines) > 0 {
			break
		}
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	return strings.Join(lines, " | ")
}
