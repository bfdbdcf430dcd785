package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Cursor is what a machine has gathered since the newest record of its journal.
// Another machine of the same journal goes on from it without beginning its
// wait once more. It holds nothing that safety depends on.
type Cursor struct {
	Rollout   string    `json:"rollout,omitempty"`
	Seq       int       `json:"seq"` // of the newest record
	ForwardBy time.Time `json:"forwardBy,omitzero"`
	RestoreBy time.Time `json:"restoreBy,omitzero"`
	// AnotherRound is true if the list of steps starts over at its end.
	AnotherRound bool                 `json:"anotherRound,omitempty"`
	Seen         endpoint.Status      `json:"seen,omitzero"`
	Traffic      time.Time            `json:"traffic,omitzero"`
	CheckDue     []time.Time          `json:"checkDue,omitempty"`
	NewsAt       time.Time            `json:"newsAt,omitzero"`
	Foreign      map[string]time.Time `json:"foreign,omitempty"`
	GoneSince    time.Time            `json:"goneSince,omitzero"`
	GonePolls    int                  `json:"gonePolls,omitempty"`
	GoneLast     time.Time            `json:"goneLast,omitzero"`
	Step         string               `json:"step,omitempty"`
	Task         *savedTask           `json:"task,omitempty"`
}

type savedTask struct {
	Kind        taskKind       `json:"kind"`
	Step        string         `json:"step,omitempty"`
	At          int            `json:"at,omitempty"`
	Began       time.Time      `json:"began,omitzero"`
	By          time.Time      `json:"by,omitzero"`
	Left        time.Duration  `json:"left,omitempty"`
	Waited      time.Duration  `json:"waited,omitempty"`
	Extended    time.Duration  `json:"extended,omitempty"`
	Polled      time.Time      `json:"polled,omitzero"`
	Wait        *savedWait     `json:"wait,omitempty"`
	Interrupted *savedWait     `json:"interrupted,omitempty"`
	Repairing   bool           `json:"repairing,omitempty"`
	Write       *savedWrite    `json:"write,omitempty"`
	Setting     *savedSetting  `json:"setting,omitempty"`
	Repairs     *savedRepairs  `json:"repairs,omitempty"`
	Worker      string         `json:"worker,omitempty"`
	Note        string         `json:"note,omitempty"`
	Plan        *strategy.Plan `json:"plan,omitempty"` // that is not on record yet
}

type savedRepairs struct {
	Todo   []savedMismatch `json:"todo,omitempty"`
	Fixing savedMismatch   `json:"fixing,omitzero"`
	Failed *savedError     `json:"failed,omitempty"`
}

type savedWait struct {
	Kind     waitKind          `json:"kind"`
	Pace     waiter.State      `json:"pace"`
	Read     Kind              `json:"read"`
	Got      savedReading      `json:"got,omitzero"`
	Polling  bool              `json:"polling,omitempty"` // a poll has begun
	Refusals int               `json:"refusals,omitempty"`
	Since    time.Time         `json:"since,omitzero"`
	Until    time.Time         `json:"until,omitzero"`
	Paused   time.Time         `json:"paused,omitzero"`
	Good     int               `json:"good,omitempty"`
	Wrong    []savedMismatch   `json:"wrong,omitempty"`
	Ready    bool              `json:"ready,omitempty"` // a revision is judged
	Unproven bool              `json:"unproven,omitempty"`
	Bad      time.Time         `json:"bad,omitzero"`       // since when capacity is unhealthy
	Else     time.Time         `json:"elsewhere,omitzero"` // since when another revision is settled
	ElseRev  endpoint.Revision `json:"elsewhereRev,omitzero"`
	Last     *endpoint.Status  `json:"last,omitempty"`
	Err      *savedError       `json:"err,omitempty"`
	Check    int               `json:"check,omitempty"`
	Watched  bool              `json:"watched,omitempty"`
	News     bool              `json:"news,omitempty"`
	Ruling   *savedFinding     `json:"ruling,omitempty"` // of the status, while the poll goes on
}

type savedFinding struct {
	Done bool      `json:"done,omitempty"`
	Note string    `json:"note,omitempty"`
	Due  time.Time `json:"due,omitzero"`
}

type savedReading struct {
	Status      *endpoint.Status           `json:"status,omitempty"`
	Jobs        endpoint.Jobs              `json:"jobs,omitzero"`
	NoJobs      bool                       `json:"noJobs,omitempty"`
	Autoscaling *endpoint.AutoscalingState `json:"autoscaling,omitempty"`
}

type savedWrite struct {
	Write    journal.Write `json:"write"`
	Phase    writePhase    `json:"phase"`
	CallErr  *savedError   `json:"callErr,omitempty"`
	Answered time.Time     `json:"answered,omitzero"`
	Open     bool          `json:"open,omitempty"`
	Showed   bool          `json:"showed,omitempty"`
	Found    string        `json:"found,omitempty"`
	Retry    *waiter.State `json:"retry,omitempty"`
	Refusals int           `json:"refusals,omitempty"`
}

type savedSetting struct {
	Key   string          `json:"key"`
	Value int             `json:"value"`
	Queue []journal.Write `json:"queue,omitempty"`
	Err   *savedError     `json:"err,omitempty"`
	Phase settingPhase    `json:"phase"`
}

type savedMismatch struct {
	Drift   journal.Drift `json:"drift"`
	Verdict verdict       `json:"verdict"`
	Repair  journal.Write `json:"repair"`
}

// DecodeCursor reads a cursor.
func DecodeCursor(b []byte) (*Cursor, error) {
	var c Cursor
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("cursor: %w: %w", endpoint.ErrInvalid, err)
	}
	return &c, nil
}

// savedError is an error as a cursor has it: its text, and the conditions that
// decisions branch on.
type savedError struct {
	Text string   `json:"text"`
	Is   []string `json:"is,omitempty"`
}

// savedConditions are the conditions of a [savedError], by name.
var savedConditions = map[string]error{
	"not found": endpoint.ErrNotFound, "invalid": endpoint.ErrInvalid, "unauthorized": endpoint.ErrUnauthorized,
	"throttled": endpoint.ErrThrottled, "busy": endpoint.ErrBusy, "quota": endpoint.ErrQuota, "unavailable": endpoint.ErrUnavailable,
	"failed": endpoint.ErrFailed, "unhealthy": endpoint.ErrUnhealthy, "rolled back": endpoint.ErrRolledBack, "drift": endpoint.ErrDrift,
	"not applied": errNotApplied, "clamped": endpoint.ErrClamped, "panicked": ErrPanic, "unsupported": errors.ErrUnsupported, "late": context.DeadlineExceeded, "cancelled": context.Canceled,
}

func saveError(err error) *savedError {
	if err == nil {
		return nil
	}
	s := &savedError{Text: err.Error()}
	for name, condition := range savedConditions {
		if errors.Is(err, condition) {
			s.Is = append(s.Is, name)
		}
	}
	return s
}

// restore returns the error that was saved, nil if none was.
func (s *savedError) restore() error {
	if s == nil {
		return nil
	}
	e := &restoredError{text: s.Text}
	for _, name := range s.Is {
		if condition, ok := savedConditions[name]; ok {
			e.is = append(e.is, condition)
		}
	}
	return e
}

type restoredError struct {
	text string
	is   []error
}

func (e *restoredError) Error() string { return e.text }

func (e *restoredError) Unwrap() []error { return e.is }
