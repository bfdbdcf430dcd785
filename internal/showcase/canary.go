package showcase

import (
	"testing"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// began is when the scripted rollouts began.
var began = time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC)

// canaryName is the endpoint of the scripted rollouts.
const canaryName = "sagemaker/eu-west-1/sdxl"

// Canaries are rollouts that split traffic, judged by checks and approved by
// persons.
func Canaries(t testing.TB) []Case {
	t.Helper()
	return []Case{
		canary(t, "canary-by-weight, succeeded", rollout.OutcomeSucceeded),
		canary(t, "canary-by-weight, rolled back", rollout.OutcomeRolledBack),
		canary(t, "canary-by-weight, detached", rollout.OutcomeDetached),
		canary(t, "canary-by-weight, incomplete", rollout.OutcomeIncomplete),
		canary(t, "canary-by-weight, superseded", rollout.OutcomeSuperseded),
		canary(t, "canary-by-weight, gone", rollout.OutcomeGone),
		canary(t, "canary-by-weight, abandoned", rollout.OutcomeAbandoned),
	}
}

func canary(t testing.TB, name string, outcome rollout.Outcome) Case {
	t.Helper()
	store := journal.NewMemory()
	s := NewScript(t, store, CanaryPlan(t, canaryName, "20261201-093000-5eed01"), began)
	Begin(s)
	switch outcome { //nolint:exhaustive // the others begin no rollout
	case rollout.OutcomeRolledBack:
		goesBad(s)
	case rollout.OutcomeSucceeded:
		Held(s)
		goesWell(s)
	default:
		Held(s)
		endsHeld(s, outcome)
	}
	return Case{Name: name, Store: store, Endpoint: canaryName, Outcome: outcome}
}

// Begin is a canary until it has 5 % of the traffic.
func Begin(s *Script) {
	s.Poll(4, 0, 0, 0, -1)
	s.Write("stage both", 4*time.Second, journal.Write{Thing: journal.ThingCanary})
	s.Write("update to both", 11*time.Second, journal.Write{Thing: journal.ThingRevision, Revision: &s.Plan.Canary.Revision})
	s.Poll(4, 0, 2, 0, 0)
	s.At += 150 * time.Second
	s.Poll(4, 1, 1, 0, 0)
	s.At += 40 * time.Second
	s.Poll(4, 2, 0, 0, 0)
	s.Done(20*time.Second, "await split", "proven by workers")
	s.share(5)
	s.soak("soak at 5%", 6, 0.4)
}

func (s *Script) share(percent int) {
	step := map[int]string{0: "shift to 0%", 5: "shift to 5%", 25: "shift to 25%", 50: "shift to 50%"}[percent]
	s.Write(step, 9*time.Second, journal.Write{Thing: journal.ThingShare, Value: &percent})
	s.Poll(4, 2, 0, 0, percent)
}

// soak has the checks pass n times.
func (s *Script) soak(step string, n int, rate float64) {
	s.Add(time.Second, journal.Record{Kind: journal.KindBake, Step: step, NotAfter: s.Began.Add(s.At + 3*time.Minute)})
	for i := range n {
		s.Judge(28*time.Second, step, "error rate", "pass", rate+0.1*float64(i%3), 2, "")
		s.Judge(2*time.Second, step, "p99 latency", "pass", 410+12*float64(i%4), 800, "")
	}
	s.Done(3*time.Second, step, "the checks passed")
}

// Held is a canary from 5 % until a person has to approve.
func Held(s *Script) {
	s.share(25)
	s.soak("soak at 25%", 6, 0.6)
	s.Add(2*time.Second, journal.Record{Kind: journal.KindHold, Step: "approval go-wide", Note: "go-wide", NotAfter: s.Began.Add(s.At + 4*time.Hour)})
	s.Poll(4, 2, 0, 0, 25)
}

func goesWell(s *Script) {
	s.Add(6*time.Minute, journal.Record{Kind: journal.KindDecision, Decision: &journal.Decision{Verb: "approve", Approval: "go-wide", By: "dana@example.com", Reason: "the dashboards are fine"}})
	s.Done(4*time.Second, "approval go-wide", "approve go-wide by dana@example.com: the dashboards are fine")
	s.share(50)
	s.soak("soak at 50%", 6, 0.5)
	s.Write("update", 10*time.Second, journal.Write{Thing: journal.ThingRevision, Revision: &s.Plan.Target})
	s.Poll(4, 2, 2, 0, -1)
	s.At += 140 * time.Second
	s.Poll(0, 4, 0, 0, -1)
	s.Done(25*time.Second, "await serving", "proven by workers")
	s.Done(30*time.Second, "bake", "the checks passed")
	s.Add(0, journal.Record{Kind: journal.KindCommit, Step: "commit"})
	s.Done(31*time.Second, "verify", "")
	s.Add(0, journal.Record{Kind: journal.KindEnd, Outcome: string(rollout.OutcomeSucceeded)})
	s.Poll(0, 4, 0, 0, -1)
}

func goesBad(s *Script) {
	const step = "soak at 25%"
	s.share(25)
	s.Add(time.Second, journal.Record{Kind: journal.KindBake, Step: step, NotAfter: s.Began.Add(s.At + 3*time.Minute)})
	s.Judge(28*time.Second, step, "error rate", "pass", 1.3, 2, "")
	s.Judge(2*time.Second, step, "p99 latency", "unknown", 0, 0, "Prometheus answered 503 Service Unavailable")
	s.Judge(28*time.Second, step, "error rate", "fail", 3.7, 2, "")
	s.Judge(2*time.Second, step, "p99 latency", "pass", 690, 800, "")
	s.Poll(4, 1, 0, 1, 25)
	s.Judge(28*time.Second, step, "error rate", "fail", 6.2, 2, "")
	reason := step + ": check failed: error rate: fail, 6.2 against 2"
	s.Add(0, journal.Record{Kind: journal.KindRollback, Step: step, Error: reason})
	s.share(0)
	s.Poll(4, 1, 0, 1, 0)
	s.Write("update", 12*time.Second, journal.Write{Thing: journal.ThingRevision, Revision: &s.Plan.Source})
	s.Poll(4, 1, 0, 1, -1)
	s.At += 95 * time.Second
	s.Poll(4, 0, 0, 0, -1)
	s.Done(22*time.Second, "await serving", "proven by workers")
	s.Done(31*time.Second, "verify", "")
	s.Add(0, journal.Record{Kind: journal.KindEnd, Outcome: string(rollout.OutcomeRolledBack), Error: reason})
	s.Poll(4, 0, 0, 0, -1)
}

// endsHeld is how a canary ends otherwise that waits for a person.
func endsHeld(s *Script, outcome rollout.Outcome) {
	const stands = `the rollout stands before "approval go-wide"; a resume goes back to endpoint-config sdxl-41 (sdxl-model-v1), or on with the forward policy`
	back := "approval go-wide: changed by someone else: revision is endpoint-config hotfix"
	switch outcome { //nolint:exhaustive // the others end elsewhere
	case rollout.OutcomeIncomplete:
		s.Add(3*time.Minute, journal.Record{Kind: journal.KindRollback, Step: "approval go-wide", Error: "approval go-wide: rejected: reject go-wide by dana"})
		s.Add(20*time.Second, journal.Record{
			Kind: journal.KindStop, Outcome: string(outcome), Error: "shift to 0%: denied: not authorized to perform sagemaker:UpdateEndpointWeightsAndCapacities",
			Residue: []string{"give the target 0% of the traffic (denied)", "update to endpoint-config sdxl-41 (sdxl-model-v1)"},
		})
	case rollout.OutcomeSuperseded:
		s.Add(3*time.Minute, journal.Record{Kind: journal.KindRollback, Step: "approval go-wide", Error: back})
		s.Add(0, journal.Record{Kind: journal.KindDrift, Drift: &journal.Drift{Thing: journal.ThingRevision, Want: "endpoint-config sdxl-41", Found: "endpoint-config hotfix"}})
		s.Add(40*time.Second, journal.Record{Kind: journal.KindEnd, Outcome: string(outcome), Error: back})
	case rollout.OutcomeGone:
		s.Add(3*time.Minute, journal.Record{
			Kind: journal.KindStop, Outcome: string(outcome), Error: "the endpoint is gone: not found: Could not find endpoint", Residue: []string{stands},
		})
	default:
		s.Add(3*time.Minute, journal.Record{Kind: journal.KindStop, Outcome: string(rollout.OutcomeDetached), Error: "context canceled", Residue: []string{stands}})
		if outcome == rollout.OutcomeAbandoned {
			s.Add(26*time.Hour, journal.Record{Kind: journal.KindEnd, Outcome: string(outcome), Error: "its project was closed", Residue: []string{stands}})
		}
	}
}
