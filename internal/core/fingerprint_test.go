package core

import (
	"reflect"
	"slices"
	"testing"
)

// A field that a fingerprint leaves out makes two states one that may differ
// later, and what Clone shares makes two machines one. So a new field has to be
// decided on: it goes into the fingerprint and the cursor, and into Clone if it is
// a pointer, a slice or a map that changes, and then into this list.
var decided = map[string][]string{
	"Machine":   {"known", "signals", "rec", "task", "guard", "course", "deadlines", "absence", "planned", "events"},
	"known":     {"policy", "ledger", "seen", "foreign"},
	"signals":   {"cancelled", "broken", "hardStop", "woken", "frozen"},
	"guard":     {"traffic", "checkDue", "newsAt"},
	"course":    {"step", "cause", "anotherRound", "begun", "ending", "end"},
	"deadlines": {"forwardBy", "restoreBy"},
	"values":    {"Plan", "writes", "origin", "failing", "overridden", "failure"},
	"task": {
		"kind", "step", "at", "err", "note", "began", "by", "wait", "write", "setting", "repairing", "interrupted", "left", "waited", "extended", "polled",
		"repairs", "worker", "plan", "beat",
	},
	"waiting": {
		"kind", "pace", "read", "got", "polling", "rejudge", "refusals", "since", "until", "paused", "good", "wrong", "ready", "last", "err", "check", "moved",
	},
	"reading": {
		"status", "jobs", "noJobs", "staged", "snapshot", "autoscaling", "inspected", "worker", "refreshed", "job", "watched", "ruling", "news",
	},
	"absence":   {"since", "polls", "last"},
	"repairs":   {"todo", "fixing", "failed"},
	"heartbeat": {"first", "now", "held", "dead"},
	"writing":   {"Write", "want", "phase", "callErr", "answered", "open", "showed", "found", "retry", "refusals"},
	"setting":   {"key", "value", "queue", "err", "phase"},
	"recorder":  {"queue", "phase", "unacked", "err", "retry", "until", "lost"},
	"entry":     {"record", "events", "once"},
	"mismatch":  {"Drift", "verdict", "repair"},
	"written":   {"Write", "over", "confirmed", "unknown"},
	"tally":     {"passes", "failures", "last", "unknownSince"},
	"Ledger": {
		"values", "Endpoint", "Seq", "Owner", "RollingBack", "Reason", "Committed", "Next", "Pending", "Drift", "Failures", "Proof", "Began", "Hold",
		"Aborted", "Last", "Ahead", "AheadSeq", "firstWrite", "snapshot", "bakes", "skipped", "tallies", "suspended", "restored",
	},
}

func TestFingerprintHasEveryField(t *testing.T) {
	for _, v := range []any{
		Machine{}, known{}, signals{}, guard{}, course{}, deadlines{}, values{}, task{}, waiting{}, reading{}, writing{}, absence{}, repairs{}, heartbeat{}, setting{}, recorder{}, entry{}, mismatch{}, written{}, tally{}, Ledger{},
	} {
		typ := reflect.TypeOf(v)
		var fields []string
		for i := range typ.NumField() {
			fields = append(fields, typ.Field(i).Name)
		}
		known := decided[typ.Name()]
		for _, name := range fields {
			if !slices.Contains(known, name) {
				t.Errorf("%s.%s is new: decide whether Clone, AppendFingerprint and Cursor need it", typ.Name(), name)
			}
		}
		for _, name := range known {
			if !slices.Contains(fields, name) {
				t.Errorf("%s.%s is gone", typ.Name(), name)
			}
		}
	}
}
