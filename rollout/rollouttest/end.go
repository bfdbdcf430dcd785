package rollouttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// named holds an incomplete rollout to having named every value that is not
// as it has to be.
func (r *run) named(t *testing.T, report *rollout.Report) {
	t.Helper()
	residue := fmt.Sprint(report.Residue)
	status, err := r.Updater.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range promised(report) {
		switch have, there := status.Settings[key]; {
		case have == want:
		case !there && status.Desired.Same(report.Plan.Target): // which has no such setting
		case !strings.Contains(residue, key):
			t.Errorf("%s is %d, not %d, and the residue does not say so:\n%s", key, have, want, residue)
		case r.only != "" && !slices.ContainsFunc(report.Plan.Settings.Keys(), func(k string) bool { return r.things[k] }):
			// A setting may depend on another one, as a minimum on the maximum.
			t.Errorf("%s is %d, not %d, although only %q was refused", key, have, want, r.only)
		}
	}
	split := report.Plan.Canary != nil && status.Desired.Same(report.Plan.Canary.Revision)
	if !status.Desired.Same(report.Plan.Source) && !status.Desired.Same(report.Plan.Target) && !split {
		t.Errorf("left on %s", status.Desired)
	}
	if len(report.Residue) == 0 {
		t.Errorf("incomplete, and nothing is said to remain")
	}
}

// hushed holds all that a rollout leaves behind to showing no secret.
func (r *run) hushed(t *testing.T, report *rollout.Report, err error) {
	t.Helper()
	explained, xerr := rollout.Explain(t.Context(), r.store, r.Updater.Name())
	if xerr != nil {
		t.Fatal(xerr)
	}
	r.told.hush("the journal", r.records(t), explained)
	r.told.hush("the report", report, fmt.Sprintf("%+v %v", *report, report.Plan), fmt.Sprintf("%v %+v", err, err))
}

// check holds the end of a run to what was promised.
func (r *run) check(t *testing.T, report *rollout.Report, err error) {
	t.Helper()
	if report.Outcome == rollout.OutcomeRefused && r.early(err) { // before it had begun
		report = &rollout.Report{Outcome: rollout.OutcomeNothing, Plan: &strategy.Plan{}}
		err = nil
	}
	if report.Outcome == rollout.OutcomeRefused {
		t.Fatalf("refused: %v", err)
	}
	before, want := r.before, r.source
	if r.changed != nil && r.changed.Serves == r.source {
		r.changed = nil
	}
	if r.changed == nil && len(report.Drift) > 0 {
		t.Errorf("no third party changed anything, and drift is reported: %v", report.Drift)
	}
	if r.changed != nil { // their change stays, all else is as before
		w := r.environment(t)
		if !w.Foreign[slices.IndexFunc(w.Foreign, func(f Foreign) bool { return f.Name == r.changed.Name })].Do() {
			t.Fatalf("%s: it can be done in the middle of a rollout, and not on an endpoint at rest", r.changed.Name)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // in the bubble's time: until it is at rest
		before = w.Guarded()
		r.reported(t, report, err)
	}
	if diff := cmp.Diff(before, r.Guarded()); diff != "" {
		t.Errorf("guarded values (-before +after):\n%s", diff)
	}
	switch {
	case r.changed != nil && r.changed.Serves != "":
		if want = r.changed.Serves; report.Outcome != rollout.OutcomeSuperseded || !errors.Is(err, rollout.ErrSuperseded) {
			t.Errorf("outcome %s, error %v: want it superseded", report.Outcome, err)
		}
	case err == nil && report.Outcome == rollout.OutcomeSucceeded:
		if want = r.Goal; want == "" {
			t.Fatal("succeeded with a target that does not come up")
		}
	case report.Outcome == rollout.OutcomeRolledBack && errors.Is(err, rollout.ErrRolledBack):
	case report.Outcome == rollout.OutcomeNothing && err == nil: // it died before it had begun
	default:
		t.Errorf("outcome %s, error %v: want succeeded or rolled back", report.Outcome, err)
	}
	if live := r.Live(); live != want {
		t.Errorf("%s, but the endpoint serves %s, want %s", report.Outcome, live, want)
	}
	again, err := rollout.Resume(t.Context(), r.store, r.Updater, r.Options...)
	if err != nil || again.Outcome != rollout.OutcomeNothing {
		t.Errorf("resumed after its end: %v, %v, want nothing to do", again, err)
	}
}

// early reports whether a rollout may end without having begun: by the point's
// case, when it met a read that the plan is made of.
func (r *run) early(err error) bool {
	switch r.first { //nolint:exhaustive // by all others it is not refused
	case CancelledReading, CancelledBefore, CancelledAfter:
		return errors.Is(err, context.Canceled)
	case PanicsReading:
		return errors.Is(err, rollout.ErrPanic)
	case SilentReading:
		return errors.Is(err, endpoint.ErrUnavailable)
	default:
		return false
	}
}

// reported holds a rollout to having reported a third party's change.
func (r *run) reported(t *testing.T, report *rollout.Report, err error) {
	t.Helper()
	status, serr := r.Updater.Status(t.Context())
	if serr != nil {
		t.Fatal(serr)
	}
	if foreign := r.foreign(t); (len(foreign) > 0 || r.changed.Serves != "") && len(report.Drift) == 0 {
		t.Errorf("a third party changed %s, and no drift is reported: %v, %v", r.changed.Name, foreign, err)
	}
	for key, want := range promised(report) {
		told := slices.ContainsFunc(report.Drift, func(d journal.Drift) bool { return d.Thing == key })
		if have := status.Settings[key]; have != want && !told {
			t.Errorf("%s is %d, not %d, and no drift is reported: %v, %v", key, have, want, report.Drift, err)
		}
	}
}

// foreign names what a third party changed of the suspended autoscaling.
func (r *run) foreign(t *testing.T) []string {
	t.Helper()
	p, ok := endpoint.As[endpoint.AutoscalingSuspender](r.Updater)
	records := r.records(t)
	protect := slices.IndexFunc(records, func(r journal.Record) bool { return r.Write != nil && r.Write.Suspend != nil })
	if !ok || protect < 0 {
		return nil
	}
	is, err := p.InspectAutoscaling(t.Context(), *records[protect].Write.Suspend)
	if err != nil {
		t.Fatal(err)
	}
	return is.Foreign
}

// promised are the settings that the rollout has to leave as they were: all
// but those that the provider's autoscaling moves.
func promised(report *rollout.Report) endpoint.Settings {
	settings := report.Plan.Settings.Clone()
	moved := report.Plan.Autoscaled
	if p := report.Plan.Autoscaling; p != nil {
		moved = p.Autoscaled
	}
	for _, key := range moved {
		delete(settings, key)
	}
	return settings
}
