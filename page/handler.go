package page

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

//go:embed live.js
var script []byte

// Option changes what [Handler] does.
type Option func(*site)

// WithDecisions lets people decide about rollouts in progress: approve, reject,
// abort, or skip the bake. authorize is called for each decision, before
// anything is read. It returns the name of the person who decides, which goes
// on record, or an error, which refuses: the answer is then 403, without the
// error's text. Without this option the site takes no decision.
//
// authorize has to know the person by something that the request carries and
// that no other site can make up, such as a session or a client certificate. A
// request that another site made a browser send is refused before that, by
// [http.CrossOriginProtection].
func WithDecisions(authorize func(r *http.Request, endpoint string) (by string, err error)) Option {
	return func(s *site) { s.authorize = authorize }
}

// site is the handler.
type site struct {
	store     journal.Store
	authorize func(*http.Request, string) (string, error)
	decide    func(ctx context.Context, d decision) error
	streams   chan struct{}
}

// The bounds of a site.
const (
	mostStreams    = 100              // at once
	streamTime     = 10 * time.Minute // after which a browser asks again
	streamInterval = time.Second      // between two reads of the store
	streamTick     = 15 * time.Second // after which a page is read again in any case
	mostForm       = 8 << 10          // bytes
)

// Handler returns a site over the rollouts of a store: a list, where the store
// is a [journal.Lister], and a page for each rollout and each fleet, which is live
// while that is in progress. It works without scripts too. It only reads, unless
// [WithDecisions] says otherwise.
//
// A live page holds a connection as long as it is in sight. Over HTTP/1.1 a browser
// has six to a site, over HTTP/2 enough for any number of pages.
//
// Anybody who reaches it sees every rollout: wrap it in what asks for a login.
// All links are relative. Below a path of a larger site it is mounted with a slash
// at the end:
//
//	mux.Handle("/rollouts/", http.StripPrefix("/rollouts", page.Handler(store)))
//
// The paths are / (the list), /rollout?endpoint=NAME[&rollout=ROLLOUT],
// /fleet?id=ID, /summary.md with the parameters of either (Markdown), /events,
// /live.js and, by POST, /decide.
func Handler(store journal.Store, opts ...Option) http.Handler {
	s := &site{store: store, streams: make(chan struct{}, mostStreams)}
	s.decide = s.record
	for _, o := range opts {
		o(s)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.list)
	mux.HandleFunc("GET /rollout", s.rollout)
	mux.HandleFunc("GET /fleet", s.fleet)
	mux.HandleFunc("GET /summary.md", s.summary)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /live.js", s.script)
	mux.HandleFunc("POST /decide", s.decided)
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// secured sets the headers that every answer has.
func secured(next http.Handler) http.Handler {
	policy := "default-src 'none'; style-src " + styleSource() +
		"; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// write renders a page.
func (s *site) write(w http.ResponseWriter, status int, d *document) {
	d.Site = true
	var b bytes.Buffer
	if err := execute(&b, d); err != nil {
		http.Error(w, "the page cannot be rendered", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser has gone away
}

// refuse answers with a page that says why.
func (s *site) refuse(w http.ResponseWriter, status int, message string) {
	s.write(w, status, &document{Title: http.StatusText(status), Message: message})
}

// load reads the rollout that a request names.
func (s *site) load(w http.ResponseWriter, r *http.Request) *Timeline {
	name := r.FormValue("endpoint")
	if name == "" {
		s.refuse(w, http.StatusBadRequest, "No endpoint is named.")
		return nil
	}
	t, err := LoadRollout(r.Context(), s.store, name, r.FormValue("rollout"))
	switch {
	case t != nil: // the page says what could not be read
		return t
	case errors.Is(err, endpoint.ErrNotFound):
		s.refuse(w, http.StatusNotFound, "The journal of this endpoint has no such rollout.")
	default:
		s.refuse(w, http.StatusBadGateway, "The journal cannot be read.")
	}
	return nil
}

func (s *site) rollout(w http.ResponseWriter, r *http.Request) {
	t := s.load(w, r)
	if t == nil {
		return
	}
	v := newView(t)
	v.Linked = true
	d := &document{Title: t.title(), Timelines: []*view{v}}
	if v.Newest && t.last().Kind != journal.KindEnd {
		d.Live, d.Seen = "events?endpoint="+url.QueryEscape(t.endpoint), seen(t.last().Seq, t.series)
		if s.authorize != nil {
			v.Ask = newAsk(t)
		}
	}
	s.write(w, http.StatusOK, d)
}

func (s *site) summary(w http.ResponseWriter, r *http.Request) {
	var d interface{ WriteMarkdown(w io.Writer) error }
	if r.FormValue("id") != "" {
		f := s.loadFleet(w, r)
		if f == nil {
			return
		}
		d = f
	} else {
		t := s.load(w, r)
		if t == nil {
			return
		}
		d = t
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	_ = d.WriteMarkdown(w) // the browser has gone away
}

func (s *site) script(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, _ = w.Write(script) // the browser has gone away
}

// entry is a line of the list.
type entry struct{ Endpoint, Fleet, State, Class, At, Rollout string }

func (s *site) list(w http.ResponseWriter, r *http.Request) {
	l, ok := journal.As[journal.Lister](s.store)
	if !ok {
		s.refuse(w, http.StatusNotImplemented, "This store does not list its journals. Name an endpoint: rollout?endpoint=NAME.")
		return
	}
	entries, err := l.List(r.Context())
	if err != nil {
		s.refuse(w, http.StatusBadGateway, "The journals cannot be listed.")
		return
	}
	d := &document{Title: "Rollouts", Listing: true}
	for _, e := range entries {
		d.List = append(d.List, newEntry(e))
	}
	s.write(w, http.StatusOK, d)
}

func newEntry(e journal.Entry) entry {
	if e.Err != nil {
		return entry{Endpoint: e.Endpoint, State: "cannot be read", Class: "bad"}
	}
	n := entry{Endpoint: e.Endpoint, State: "in progress", Class: "live", At: clock(e.Last.Time), Rollout: e.Last.Rollout}
	switch kind := e.Last.Kind; {
	case kind == journal.KindEnd:
		n.State, n.Class = e.Last.Outcome, "back"
		if rollout.Outcome(e.Last.Outcome) == rollout.OutcomeSucceeded {
			n.Class = "good"
		}
	case kind == journal.KindStop:
		n.State, n.Class = e.Last.Outcome, "bad"
	case kind == journal.KindHold:
		n.State, n.Class = "waits for a decision", "back"
	}
	if id, ok := strings.CutPrefix(e.Endpoint, fleet.JournalPrefix); ok {
		n.Fleet = id
		if e.Last.Outcome != "" {
			n.Class = outcomeClass(fleet.Outcome(e.Last.Outcome))
		}
	}
	return n
}
