package core

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Remainder is a thing that a rollout did not bring to where it has to be.
type Remainder struct {
	Kind   string // "setting", "revision", "draft", "autoscaling", "step" or "rollout"
	Thing  string
	Want   string
	Found  string // "" if it was not read
	Remedy string
	Reason string
}

// String is the remedy, and the reason in brackets.
func (r Remainder) String() string {
	if r.Reason == "" {
		return r.Remedy
	}
	return r.Remedy + " (" + r.Reason + ")"
}

// residue is what remains: before the rollback or the commit point, where the
// rollout is; else the steps that failed, and all that were not reached, but
// for the last verification if there is more.
func (c *course) residue(m *Machine) []Remainder {
	if c.ending != nil && c.ending.Outcome == Gone {
		return Undone(m.ledger, m.seen)
	}
	return Remaining(m.ledger, m.seen)
}

// Undone is everything that may not be as it was before the rollout, or as it has
// to be after it, for a person who does it by hand.
func Undone(j *Ledger, seen endpoint.Status) []Remainder {
	if j.Restoring() {
		return Remaining(j, seen)
	}
	back := *j
	back.RollingBack = true
	var all []Remainder
	for _, s := range j.Plan.Rollback {
		thing := s.Key
		switch s.Do { //nolint:exhaustive // the others need nothing here
		case strategy.ActionUpdate:
			thing = journal.ThingRevision
		case strategy.ActionRestoreAutoscaling:
			thing = journal.ThingAutoscaling
		default:
		}
		if writes(s) && j.wrote(thing) {
			all = append(all, remainderOf(&back, s, seen))
		}
	}
	return all
}

// Remaining is what remains of an unfinished rollout, with what was found of it
// by the last poll.
func Remaining(j *Ledger, seen endpoint.Status) []Remainder {
	if !j.Restoring() {
		return []Remainder{{
			Kind: "rollout", Thing: j.NextStep(), Want: j.Plan.Source.String(), Found: revision(seen.Desired),
			Remedy: fmt.Sprintf("the rollout stands before %q; a resume goes back to %s, or on with the forward policy", j.NextStep(), j.Plan.Source),
		}}
	}
	var all []Remainder
	for _, f := range j.Failures {
		r := remainderOf(j, f.Step, seen)
		r.Reason = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(f.Error, r.Remedy), " ("), ")")
		all = append(all, r)
	}
	for _, s := range j.List()[j.Next:] {
		if s.Do != strategy.ActionVerify || len(all) == 0 {
			all = append(all, remainderOf(j, s, seen))
		}
	}
	return append(all, unrestored(j, seen, all)...)
}

// unrestored are settings that no step of the present list restores, but the
// last verification.
func unrestored(j *Ledger, seen endpoint.Status, named []Remainder) (all []Remainder) {
	for _, key := range j.Plan.Settings.Keys() {
		want := j.Plan.Settings[key]
		have, shown := seen.Settings[key]
		is := func(r Remainder) bool { return r.Thing == key }
		if shown && have != want && !j.moves(key) && !j.drifted(key) && !slices.ContainsFunc(named, is) {
			all = append(all, Remainder{
				Kind: "setting", Thing: key, Want: strconv.Itoa(want), Found: strconv.Itoa(have), Remedy: fmt.Sprintf("set %s to %d", key, want),
			})
		}
	}
	return all
}

// remainderOf returns a step that remains to be done.
func remainderOf(j *Ledger, s strategy.Step, seen endpoint.Status) Remainder {
	r := Remainder{Kind: "step", Thing: s.Name, Remedy: describe(j, s)}
	switch s.Do { //nolint:exhaustive // the others need nothing here
	case strategy.ActionSet, strategy.ActionRaise, strategy.ActionRestoreSetting:
		r.Kind, r.Thing, r.Want = "setting", s.Key, strconv.Itoa(s.Value)
		if v, ok := j.before(s.Key); s.Do == strategy.ActionRestoreSetting && ok {
			r.Want = strconv.Itoa(v)
		}
		if v, ok := seen.Settings[s.Key]; ok {
			r.Found = strconv.Itoa(v)
		}
	case strategy.ActionUpdate, strategy.ActionAwait, strategy.ActionProbe:
		r.Kind, r.Thing, r.Want, r.Found = journal.ThingRevision, j.Endpoint, Change(j.Plan, j.RollingBack).To.String(), revision(seen.Desired)
	case strategy.ActionStage, strategy.ActionUnstage:
		r.Kind, r.Thing = journal.ThingDraft, j.Plan.Draft.Revision.String()
	case strategy.ActionSuspendAutoscaling, strategy.ActionRestoreAutoscaling:
		r.Kind, r.Thing = journal.ThingAutoscaling, j.Endpoint
	case strategy.ActionDrain, strategy.ActionBake, strategy.ActionCommit, strategy.ActionVerify:
	}
	return r
}

func revision(r endpoint.Revision) string {
	if r.IsZero() {
		return ""
	}
	return r.String()
}
