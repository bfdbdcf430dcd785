package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// State is where a fleet stands, by its journal.
type State struct {
	Fleet string `json:"fleet"`
	// Outcome is [Pending] while the fleet is in progress.
	Outcome Outcome `json:"outcome"`
	// Breach says why nothing more begins; "" if nothing was breached.
	Breach string    `json:"breach,omitempty"`
	Runner string    `json:"runner"`
	Began  time.Time `json:"began"`
	At     time.Time `json:"at"`  // of the newest record
	Seq    int       `json:"seq"` // of the newest record
	// Failed is how many members have failed, and Allowed how many may.
	Failed  int         `json:"failed"`
	Allowed int         `json:"allowed"`
	Waves   []WaveState `json:"waves"`
}

// WavePhase is how far a wave is.
type WavePhase string

// The phases.
const (
	WaveToCome  WavePhase = "to come"
	WaveActive  WavePhase = "in progress"
	WaveSoaking WavePhase = "soaking"
	WaveHeld    WavePhase = "waits for a decision"
	WavePassed  WavePhase = "passed"
	WaveEnded   WavePhase = "ended" // the fleet ended before it had passed
)

// WaveState is where a wave stands.
type WaveState struct {
	Name  string    `json:"name"`
	Phase WavePhase `json:"phase"`
	// Until is when a soak ends or an approval expires; zero otherwise.
	Until time.Time `json:"until,omitzero"`
	// Approval is the name of the approval that is waited for.
	Approval string        `json:"approval,omitempty"`
	Members  []MemberState `json:"members"`
}

// MemberState is where a member stands: [Pending] until it has ended.
type MemberState struct {
	Endpoint string  `json:"endpoint"`
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason,omitempty"`
	Rollout  string  `json:"rollout,omitempty"`
}

// JournalPrefix begins the names of fleets' journals in a store, before the fleet's ID.
const JournalPrefix = "fleet/"

// Inspect reads where a fleet stands. It changes nothing, and any process with the
// store may call it. The error is [endpoint.ErrNotFound] if the store has no such
// fleet. How far members in progress are, their own journals say.
func Inspect(ctx context.Context, store journal.Store, id string) (*State, error) {
	records, err := journal.Load(ctx, store, journalName(id))
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("fleet %s: %w", id, endpoint.ErrNotFound)
	}
	l, err := fold(id, records)
	if err != nil {
		return nil, err
	}
	s := &State{
		Fleet: id, Outcome: Pending, Breach: l.breach, Runner: l.owner, Began: l.began, At: records[len(records)-1].Time, Seq: records[len(records)-1].Seq,
		Failed: l.failures(), Allowed: l.def.Allowed,
	}
	if l.last != nil {
		s.Outcome = Outcome(l.last.Outcome)
	}
	reached := true // every wave before has passed
	for _, w := range l.def.Waves {
		s.Waves = append(s.Waves, l.wave(w, reached))
		reached = reached && l.passed[w.Name]
	}
	return s, nil
}

func (l *ledger) wave(w waveRecord, reached bool) WaveState {
	s := WaveState{Name: w.Name, Phase: WaveToCome}
	ended := 0
	for _, name := range w.Members {
		m := MemberState{Endpoint: name, Outcome: Pending}
		if r, ok := l.ended[name]; ok {
			m.Outcome, m.Reason, m.Rollout = Outcome(r.Outcome), r.Error, r.Note
			ended++
		}
		s.Members = append(s.Members, m)
	}
	h, until := l.holds[w.Name], l.soaks[w.Name]
	switch {
	case l.passed[w.Name]:
		s.Phase = WavePassed
	case l.last != nil && l.last.Kind == journal.KindEnd && (reached || ended > 0):
		s.Phase = WaveEnded
	case h != nil && h.decision == nil:
		s.Phase, s.Until, s.Approval = WaveHeld, h.expires, h.approval
	case !until.IsZero():
		s.Phase, s.Until = WaveSoaking, until
	case reached && l.breach == "":
		s.Phase = WaveActive
	}
	return s
}

// String is the state in words, a line for the fleet and one for each wave.
func (s *State) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fleet %s: %s, %d failed, %d allowed", s.Fleet, s.Outcome, s.Failed, s.Allowed)
	if s.Breach != "" {
		fmt.Fprintf(&b, "; breached: %s", s.Breach)
	}
	for _, w := range s.Waves {
		ended := 0
		for _, m := range w.Members {
			if m.Outcome != Pending {
				ended++
			}
		}
		fmt.Fprintf(&b, "\n  %s: %s, %d of %d ended", w.Name, w.Phase, ended, len(w.Members))
		if w.Approval != "" {
			fmt.Fprintf(&b, ", approval %s", w.Approval)
		}
	}
	b.WriteByte('\n')
	return b.String()
}
