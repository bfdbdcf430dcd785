package runpodtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxTail is the most lines of a log that may be asked for.
const maxTail = 5000

// logPath takes apart the path of a worker's log.
func logPath(path string) (id, worker string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(path, "/v2/"), "/")
	if len(parts) != 5 || parts[0] != "serverless" || parts[2] != "workers" || parts[4] != "logs" {
		return "", "", false
	}
	return parts[1], parts[3], true
}

// logEntry is one line of a worker's log.
type logEntry struct {
	Source string `json:"source"`
	Line   string `json:"line"`
	At     string `json:"ts"`
}

// serveLogs answers GET /v2/serverless/{id}/workers/{worker}/logs with a stream of
// events: the last lines, and then nothing. Behind a socket it stays open until
// the client leaves, as the service's does; a client of [Server.Client] sees it end.
func (s *Server) serveLogs(c *call, w http.ResponseWriter, r *http.Request, id, worker string) {
	tail := 100
	if v := r.URL.Query().Get("tail"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > maxTail {
			c.problem(w, http.StatusUnprocessableEntity, "Request validation failed.", "query.tail: want 0 to 5000")
			return
		}
		tail = n
	}
	var log []logEntry
	found := false
	err := c.query(r.Context(), func(st *State, now time.Time) {
		if e := st.endpoint(id); e != nil {
			for _, wk := range e.workers {
				if wk.ID == worker {
					log, found = wk.log(st.images[wk.Image], now), true
				}
			}
		}
	}, "getEndpointWorkerLogs")
	switch {
	case err == nil && !found:
		c.problem(w, http.StatusNotFound, "resource not found")
		return
	case err != nil:
		c.answer(w, http.StatusOK, "text/event-stream", nil)
		return
	}
	log = log[max(0, len(log)-tail):]
	w.Header().Set("Content-Type", "text/event-stream")
	s.note(c, func(r *Request) { r.Status = http.StatusOK })
	w.WriteHeader(http.StatusOK)
	for i, e := range log {
		data, _ := json.Marshal(e) // texts always marshal
		_, _ = fmt.Fprintf(w, "id: %d\ndata: %s\n\n", i, data)
	}
	_ = http.NewResponseController(w).Flush()
	if r.Context().Value(http.ServerContextKey) != nil {
		<-r.Context().Done()
	}
}

// log is what the platform and the container have written by now.
func (w *worker) log(img Image, now time.Time) []logEntry {
	var all []logEntry
	at := w.startedOnce
	add := func(source, line string) { all = append(all, logEntry{source, line, stamp(at)}) }
	if w.State == Throttled {
		return nil
	}
	add("system", "pulling image "+w.Image)
	switch {
	case img.Ref == "":
		add("system", "error pulling image: manifest for "+w.Image+" not found: manifest unknown")
		return all
	case w.State == Initializing && img.Fault != NeverStarts:
		return all
	}
	period := now.Sub(at) + time.Second
	switch {
	case w.State == Crashing:
		period = crashPeriod
	case w.flaps > 0:
		period = w.flaps
	}
	for n := 0; !at.After(now) && n < maxTail; at, n = at.Add(period), n+1 {
		add("system", "start container for "+w.Image)
		for _, line := range img.Log {
			add("container", line)
		}
	}
	return all
}
