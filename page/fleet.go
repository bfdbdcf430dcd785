package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
)

// Fleet is a fleet that can be drawn: its waves, its members, and its budget of
// failures.
type Fleet struct{ state *fleet.State }

// LoadFleet reads where a fleet stands. The error is [endpoint.ErrNotFound] if the
// store has no such fleet.
func LoadFleet(ctx context.Context, store journal.Store, id string) (*Fleet, error) {
	s, err := fleet.Inspect(ctx, store, id)
	if err != nil {
		return nil, err
	}
	return &Fleet{s}, nil
}

// WriteHTML writes the fleet as one HTML page that fetches nothing, as
// [Timeline.WriteHTML] does.
func (f *Fleet) WriteHTML(w io.Writer) error {
	return execute(w, &document{Title: f.title(), Fleet: newFleetView(f.state)})
}

// WriteMarkdown writes a summary, as for a job of a CI system.
func (f *Fleet) WriteMarkdown(w io.Writer) error {
	v := newFleetView(f.state)
	var b strings.Builder
	fmt.Fprintf(&b, "## Fleet %s: %s\n\n", plain(v.Fleet), plain(v.Outcome))
	for _, x := range v.Facts {
		fmt.Fprintf(&b, "- %s: %s\n", x.Name, plain(x.Value))
	}
	b.WriteString("\n| wave | state | members |\n| --- | --- | --- |\n")
	for _, wave := range v.Waves {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", plain(wave.Name), plain(wave.State), plain(wave.Detail))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Fleet) title() string { return "Fleet " + f.state.Fleet }

// fleetView is what is shown of a fleet.
type fleetView struct {
	Fleet, Outcome, Class, Breach string
	Facts                         []fact
	Waves                         []waveView
	Height                        int
	Members                       []memberRow
	LeftOut                       int // members that are not shown
	Linked                        bool
	Ask                           *ask
}

// waveView is a wave as a bar of its members' outcomes.
type waveView struct {
	Name, Label, Phase, State, Detail string
	Y                                 int
	Bars                              []waveBar
}

type waveBar struct{ X, W, Class, Tip string }

type memberRow struct{ Wave, Endpoint, Outcome, Class, Reason, Rollout string }

// waveLength is the longest name of a wave beside its phase, in characters.
const waveLength = 24

// mostMembers is how many members a page lists.
const mostMembers = 2000

// outcomeOrder is the order of the outcomes in a bar.
var outcomeOrder = []fleet.Outcome{
	fleet.Succeeded, fleet.NoOp, fleet.Undone, fleet.Skipped, fleet.RolledBack, fleet.Superseded, fleet.Refused, fleet.Incomplete, fleet.NotUndone, fleet.Pending,
}

func outcomeClass(o fleet.Outcome) string {
	switch o {
	case fleet.Succeeded, fleet.NoOp:
		return "good"
	case fleet.Undone, fleet.Skipped, fleet.Stopped, fleet.Cancelled, fleet.TakenOver:
		return "back"
	case fleet.RolledBack, fleet.Superseded, fleet.Refused, fleet.Incomplete, fleet.NotUndone:
		return "bad"
	case fleet.Pending:
	}
	return "live"
}

func newFleetView(s *fleet.State) *fleetView {
	v := &fleetView{Fleet: s.Fleet, Outcome: string(s.Outcome), Class: outcomeClass(s.Outcome), Breach: s.Breach}
	if s.Outcome == fleet.Pending {
		v.Outcome = "in progress"
	}
	members, ended := 0, 0
	for i, w := range s.Waves {
		row := newWaveView(w)
		row.Y = 26 * i
		v.Waves = append(v.Waves, row)
		for _, m := range w.Members {
			if members++; m.Outcome != fleet.Pending {
				ended++
			}
			if len(v.Members) == mostMembers {
				v.LeftOut++
				continue
			}
			v.Members = append(v.Members, memberRow{w.Name, m.Endpoint, string(m.Outcome), outcomeClass(m.Outcome), m.Reason, m.Rollout})
		}
	}
	v.Height = 26*len(s.Waves) + 12
	v.Facts = []fact{
		{"Began", clock(s.Began)},
		{"Last record", clock(s.At)},
		{"Runner", s.Runner},
		{"Members", fmt.Sprintf("%d of %d ended", ended, members)},
		{"Budget", fmt.Sprintf("%d failed, %d allowed", s.Failed, s.Allowed)},
	}
	return v
}

func newWaveView(w fleet.WaveState) waveView {
	v := waveView{Name: w.Name, Label: cut(w.Name, waveLength), Phase: string(w.Phase), State: string(w.Phase)}
	switch w.Phase {
	case fleet.WaveSoaking:
		v.State += " until " + clock(w.Until)
	case fleet.WaveHeld:
		v.State = "waits for " + w.Approval + " until " + clock(w.Until)
	case fleet.WaveToCome, fleet.WaveActive, fleet.WavePassed, fleet.WaveEnded:
	}
	counts := map[fleet.Outcome]int{}
	for _, m := range w.Members {
		counts[m.Outcome]++
	}
	var detail []string
	x := 0.0
	for _, o := range outcomeOrder {
		n := counts[o]
		if n == 0 {
			continue
		}
		width := 100 * float64(n) / float64(len(w.Members))
		text := fmt.Sprintf("%d %s", n, o)
		class := outcomeClass(o)
		if o == fleet.Pending {
			class = "none"
		}
		v.Bars = append(v.Bars, waveBar{fmt.Sprintf("%.3f%%", x), fmt.Sprintf("%.3f%%", width), class, w.Name + ": " + text})
		detail = append(detail, text)
		x += width
	}
	v.Detail = strings.Join(detail, ", ")
	return v
}

// fleet is the page of a fleet, which is live while the fleet is in progress.
func (s *site) fleet(w http.ResponseWriter, r *http.Request) {
	f := s.loadFleet(w, r)
	if f == nil {
		return
	}
	v := newFleetView(f.state)
	v.Linked = true
	d := &document{Title: f.title(), Fleet: v}
	if f.state.Outcome == fleet.Pending {
		d.Live, d.Seen = "events?endpoint="+url.QueryEscape(fleet.JournalPrefix+f.state.Fleet), seen(f.state.Seq, nil)
		if s.authorize != nil {
			v.Ask = askFleet(f.state)
		}
	}
	s.write(w, http.StatusOK, d)
}

// loadFleet reads the fleet that a request names.
func (s *site) loadFleet(w http.ResponseWriter, r *http.Request) *Fleet {
	f, err := LoadFleet(r.Context(), s.store, r.FormValue("id"))
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		s.refuse(w, http.StatusNotFound, "The store has no such fleet.")
		return nil
	case err != nil:
		s.refuse(w, http.StatusBadGateway, "The journal of this fleet cannot be read.")
		return nil
	}
	return f
}
