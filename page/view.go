package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// document is a whole page: that of a rollout, of a list, or, with several
// timelines, of whatever a caller puts together.
type document struct {
	Title     string
	Timelines []*view
	List      []entry
	Listing   bool   // it is the list, which may be empty
	Site      bool   // it is a page of a site, which has links and a script
	Live      string // where the events are that tell of changes, "" if there will be none
	Seen      string // what the page shows, as the events name it
	Message   string // what came of a request
	Fleet     *fleetView
}

// view is what is shown of one rollout.
type view struct {
	Endpoint, Rollout string
	Outcome, Class    string
	Headline, Reason  string
	Strategy          string
	Source, Target    string
	Facts             []fact
	Remains           []string
	Next, Damage      string
	Picture           *picture
	Steps             []stepRow
	Capacity          []capacityRow
	Checks            []checkRow
	Decisions         []decisionRow
	Records           []recordRow
	LeftOut           int // records that are not shown
	Plan              planView
	Others            []string // other rollouts of the journal, the newest one first
	Newest            bool
	Ask               *ask
	Marked            bool // there is traffic to show
	Linked            bool // it is a page of a site, which has links
}

// fact is one line beneath the headline.
type fact struct{ Name, Value string }

// The rows of the tables.
type (
	stepRow     struct{ List, N, Name, State, Class, Began, Took, Text, Writes string }
	capacityRow struct {
		At, Since                               string
		Source, Target, Starting, Failed, Other int
		Share                                   string
	}
	checkRow    struct{ At, Since, Name, Result, Class, Value, Limit, Reason string }
	decisionRow struct{ Name, Began, Expires, Decision string }
	recordRow   struct{ At, Since, Kind, Text string }
)

// What a page shows of long lists.
const (
	mostRecords  = 1000
	mostCapacity = 300
	mostChecks   = 500
	mostOthers   = 20
)

func newView(t *Timeline) *view {
	s := t.told
	p := t.plan
	v := &view{
		Endpoint: t.endpoint, Rollout: p.Rollout, Strategy: p.Strategy, Source: p.Source.String(), Target: p.Target.String(),
		Headline: s.headline(), Next: t.next, Picture: draw(s), Plan: newPlanView(p),
		Newest: t.rollouts[len(t.rollouts)-1] == p.Rollout,
	}
	v.Outcome, v.Class = s.outcome()
	if t.damage != nil {
		v.Damage = t.damage.Error()
	}
	last := t.last()
	v.Remains = last.Residue
	if v.Reason = last.Error; v.Reason == "" && s.rollsBack() {
		for _, m := range s.marks {
			if m.kind == journal.KindRollback {
				v.Reason = strings.TrimPrefix(m.text, "turned back: ")
			}
		}
	}
	v.facts(s)
	v.tables(s)
	for _, name := range slices.Backward(t.rollouts) {
		if name != p.Rollout && len(v.Others) < mostOthers {
			v.Others = append(v.Others, name)
		}
	}
	return v
}

func (v *view) facts(s *story) {
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{name, value})
		}
	}
	add("Began", clock(s.began))
	took := "Took"
	if !s.ended {
		took = "Under way for"
	}
	add(took, human(s.until.Sub(s.began)))
	if n := len(s.runners); n > 0 {
		name := s.runners[n-1].name
		if n > 1 {
			name += fmt.Sprintf(" (the last of %d)", n)
		}
		add("Runner", name)
	}
	if s.t.series != nil && len(s.t.series.Points) > 0 {
		down := "0 s"
		if d := s.unserved(); d > 0 {
			down = human(d)
		}
		add("Nothing ready for", down+", by the polls")
		polls := fmt.Sprint(s.t.series.Polls)
		if n := s.t.series.Unanswered; n > 0 {
			polls += fmt.Sprintf(", and %d not answered", n)
		}
		add("Polls", polls)
	}
	for _, m := range s.marks {
		if m.kind == journal.KindDrift {
			add("Drift", m.text)
		}
	}
}

// tables fills the tables, which hold what the picture shows.
func (v *view) tables(s *story) {
	for _, st := range s.steps {
		row := stepRow{List: "forward", Name: st.Name, State: string(st.state), Class: st.class(), Text: st.text}
		if st.rollback {
			row.List = "rollback"
		}
		if st.n > 0 {
			row.N = fmt.Sprintf("%d of %d", st.n, st.of)
		}
		if !st.began.IsZero() {
			row.Began = offset(st.began.Sub(s.began))
			row.Took = human(st.until(s).Sub(st.began))
		}
		var writes []string
		for _, w := range st.writes {
			writes = append(writes, w.what+" ("+w.applied+")")
		}
		row.Writes = strings.Join(shorten(writes, 5), ", ")
		v.Steps = append(v.Steps, row)
	}
	if s.t.series != nil {
		for _, p := range thinned(s.t.series.Points, mostCapacity) {
			row := capacityRow{
				At: clock(p.At), Since: offset(p.At.Sub(s.began)), Source: p.Source, Target: p.Target,
				Starting: p.Starting, Failed: p.Failed, Other: p.Other,
			}
			if p.Share >= 0 {
				row.Share = fmt.Sprintf("%d %%", p.Share)
				v.Marked = true
			}
			v.Capacity = append(v.Capacity, row)
		}
	}
	v.judgements(s)
	records := s.t.records
	if v.LeftOut = max(0, len(records)-mostRecords); v.LeftOut > 0 {
		records = slices.Concat(records[:mostRecords/4], records[len(records)-mostRecords*3/4:])
	}
	for i := range records {
		r := &records[i]
		text := rollout.Describe(r)
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			text = text[:i]
		}
		v.Records = append(v.Records, recordRow{At: clock(r.Time), Since: offset(r.Time.Sub(s.began)), Kind: string(r.Kind), Text: text})
	}
}

// judgements fills the tables of checks and decisions.
func (v *view) judgements(s *story) {
	type said struct {
		check string
		verdict
	}
	var all []said
	for _, c := range s.checks {
		for _, d := range c.verdicts {
			all = append(all, said{c.name, d})
		}
	}
	slices.SortStableFunc(all, func(a, b said) int { return a.at.Compare(b.at) })
	for _, d := range lastOf(all, mostChecks) {
		v.Checks = append(v.Checks, checkRow{
			At: clock(d.at), Since: offset(d.at.Sub(s.began)), Name: d.check, Result: d.result, Class: resultClass(d.result),
			Value: number(d.value), Limit: number(d.limit), Reason: d.reason,
		})
	}
	for _, h := range s.holds {
		v.Decisions = append(v.Decisions, decisionRow{Name: h.name, Began: clock(h.began), Expires: clock(h.expires), Decision: cmp.Or(h.decision, "none yet")})
	}
}

// shorten cuts a list in its middle.
func shorten(list []string, most int) []string {
	if len(list) <= most {
		return list
	}
	return slices.Concat(list[:most-1], []string{fmt.Sprintf("… and %d more", len(list)-most+1)})
}

// thinned leaves out elements evenly until there are most of them at the most.
func thinned[T any](all []T, most int) []T {
	if len(all) <= most {
		return all
	}
	some := make([]T, 0, most)
	for i := range most {
		some = append(some, all[i*(len(all)-1)/(most-1)])
	}
	return some
}

// until is the end of a step, or up to when it is known to go on.
func (st *step) until(s *story) time.Time {
	if st.ended.IsZero() {
		return later(s.until, st.began)
	}
	return st.ended
}

// class is how a step is drawn.
func (st *step) class() string {
	switch {
	case st.state == failed:
		return "bad"
	case st.state == running:
		return "live"
	case st.state == pending, st.state == stopped:
		return "none"
	case st.rollback:
		return "back"
	}
	return "good"
}

// planView is the plan as it was agreed to.
type planView struct {
	Downtime          string
	Kept, Notes       []string
	Forward, Rollback []planStep
}

type planStep struct{ Name, Limit string }

func newPlanView(p *strategy.Plan) planView {
	v := planView{Downtime: cmp.Or(p.Downtime, "none by this strategy"), Notes: p.Notes}
	for _, key := range p.Settings.Keys() {
		kept := fmt.Sprintf("%s = %d", key, p.Settings[key])
		if p.ProviderSets(key) {
			kept += ", moved by autoscaling or by the update"
		}
		v.Kept = append(v.Kept, kept)
	}
	steps := func(list []strategy.Step) (all []planStep) {
		for _, s := range list {
			limit := ""
			if s.Timeout > 0 {
				limit = "at most " + human(s.Timeout)
			}
			all = append(all, planStep{Name: s.Name, Limit: limit})
		}
		return all
	}
	v.Forward, v.Rollback = steps(p.Forward), steps(p.Rollback)
	return v
}
