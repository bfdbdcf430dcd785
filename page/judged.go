package page

import (
	"time"

	"github.com/changeover-dev/changeover/journal"
)

// check is what one check said over time.
type check struct {
	name     string
	verdicts []verdict
}

// verdict is one answer of a check.
type verdict struct {
	at           time.Time
	result       string // "pass", "fail" or "unknown"
	value, limit *float64
	reason       string
}

// hold is a stop of the rollout until a person decides.
type hold struct {
	seq          int
	name         string // of the approval
	step         string
	began, ended time.Time // ended is zero while it waits
	expires      time.Time
	decision     string // what was decided, and by which person
	superseded   bool   // by what came after it
}

// judged takes in a record of a check, a hold or a decision.
func (s *story) judged(*journal.Record) {}
