package strategy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// FormatVersion is the version of plans and journals that this module writes.
// It reads that version and every earlier one, and refuses later ones.
const FormatVersion = 1

// longestSettle is the longest settle time that a rollout may ask for.
const longestSettle = 24 * time.Hour

// Plan says in full what a rollout is going to do, before anything is changed.
// It is data: it can be printed, kept, and carried out by another process, and
// it holds no secret.
type Plan struct {
	Version  int    `json:"version"`
	Rollout  string `json:"rollout"`            // the rollout's own name
	Endpoint string `json:"endpoint"`           // endpoint.Updater.Name
	Identity string `json:"identity,omitempty"` // endpoint.Status.Identity
	Strategy string `json:"strategy"`

	// Source and Target are the revisions that the rollout moves between.
	Source endpoint.Revision `json:"source"`
	Target endpoint.Revision `json:"target"`
	// Options are the provider's own, handed to it with each update.
	Options json.RawMessage `json:"options,omitempty"`
	// Draft is the revision that the rollout makes first; nil if Target exists.
	Draft *endpoint.Draft `json:"draft,omitempty"`

	// Settings are the protective values as they were read: at its end, on
	// either way, the rollout leaves them so.
	Settings endpoint.Settings `json:"settings,omitempty"`
	// Protection is what will be done to the provider's autoscaling. The
	// snapshot that is restored is taken when the step begins, not here.
	Protection *endpoint.Protection `json:"protection,omitempty"`
	// Moved are settings that the provider's autoscaling goes on moving meanwhile.
	Moved []string `json:"moved,omitempty"`
	// Reset are the values that the update, or the one back, may give to settings.
	Reset map[string][]int `json:"reset,omitempty"`

	// Downtime says in words from when to when requests are not served; ""
	// means that the strategy causes none.
	Downtime string `json:"downtime,omitempty"`
	// Notes are what a person should know before agreeing: extra capacity,
	// what is overwritten, what cannot be interrupted, the provider's cautions.
	Notes []string `json:"notes,omitempty"`

	// Settle is how long a read may lag behind a write before it is believed.
	Settle time.Duration `json:"settle"`
	// Gates are the names of the checks that must pass while baking.
	Gates []string `json:"gates,omitempty"`
	// Probe is the name of the job that a worker of Target has to do; "" if none.
	Probe string `json:"probe,omitempty"`

	// Forward moves the endpoint to Target and contains one Commit. Back
	// brings it to Source from wherever Forward was left before that.
	Forward []Step `json:"forward"`
	Back    []Step `json:"back"`
}

// Step sets one thing to one value, or waits for one condition. It looks
// before it writes, so that it can be carried out again after a crash.
type Step struct {
	// Name is unique in its list: it is how journals and errors refer to it.
	Name string `json:"name"`
	Do   Action `json:"do"`
	// Key and Value are for the actions on a setting.
	Key   string `json:"key,omitempty"`
	Value int    `json:"value,omitempty"`
	// Until is for Await.
	Until Condition `json:"until,omitempty"`
	// For is how long Bake watches.
	For time.Duration `json:"for,omitempty"`
	// Timeout bounds the step. At its end it has failed.
	Timeout time.Duration `json:"timeout"`
}

// Action is what a step does.
type Action string

// The actions. Those above the line write, those below it only read.
const (
	Stage   Action = "stage"   // make the drafted revision
	Protect Action = "protect" // freeze the provider's autoscaling
	Restore Action = "restore" // put autoscaling back as it was
	Set     Action = "set"     // one setting to Value
	Raise   Action = "raise"   // one setting to at least Value
	Return  Action = "return"  // one setting to what it was before the rollout first wrote it
	Update  Action = "update"  // serve Target, or on the way back Source

	Drain  Action = "drain"  // wait until no job is in flight or queued
	Await  Action = "await"  // wait for Until
	Probe  Action = "probe"  // have the caller's job done by a worker of Target
	Bake   Action = "bake"   // watch for a while; all gates must pass
	Commit Action = "commit" // from here on only forward
	Verify Action = "verify" // read back the whole snapshot
)

// Condition is what Await waits for. The revision it speaks of is Target, or
// on the way back Source.
type Condition string

// The conditions.
const (
	Empty      Condition = "empty"      // no worker is left and no job is in flight
	Settled    Condition = "settled"    // no change is in progress
	Serving    Condition = "serving"    // all capacity is proven to run the revision, healthy
	Configured Condition = "configured" // as Serving, or nothing runs that could prove it
	Accepted   Condition = "accepted"   // the provider has accepted the revision, whatever its health
	Running    Condition = "running"    // all capacity in service runs the revision, and there may be too little
)

// writes reports whether s may change something.
func (s Step) writes() bool {
	switch s.Do {
	case Stage, Protect, Restore, Set, Raise, Return, Update:
		return true
	case Drain, Await, Probe, Bake, Commit, Verify:
	}
	return false
}

// restores reports whether s restores the value that the endpoint had before.
func (p *Plan) restores(s Step) bool {
	v, ok := p.Settings[s.Key]
	return s.Do == Return || s.Do == Restore || s.Do == Set && ok && v == s.Value
}

// moves reports whether autoscaling, or the update itself, moves a setting.
func (p *Plan) moves(key string) bool {
	return slices.Contains(p.Moved, key) || p.Protection != nil && slices.Contains(p.Protection.Moved, key)
}

// mayIdle reports whether nothing has to run on an endpoint that is configured
// for the wanted revision, and nothing else does.
func (p *Plan) mayIdle(s endpoint.Status) bool {
	stale := 0
	for _, pool := range s.Pools {
		stale += pool.Stale
	}
	if !s.Serving.IsZero() || s.Mixed || stale > 0 || s.Unhealthy() > 0 {
		return false
	}
	least, bounded := p.Settings[endpoint.WorkersMin]
	switch s.Phase {
	case endpoint.PhaseReady, endpoint.PhasePaused:
		return s.Live() == 0
	case endpoint.PhaseScaling:
		return bounded && least == 0 // a job has woken it
	case endpoint.PhaseUnknown, endpoint.PhaseUpdating, endpoint.PhaseDegraded, endpoint.PhaseFailed:
	}
	return false
}

// needs refuses a plan whose steps the endpoint has not the abilities for.
func (p *Plan) needs(u endpoint.Updater) error {
	for _, s := range slices.Concat(p.Forward, p.Back) {
		var err error
		switch s.Do {
		case Stage:
			_, err = endpoint.Need[endpoint.Stager](u)
		case Protect, Restore:
			_, err = endpoint.Need[endpoint.Protector](u)
		case Set, Raise, Return:
			_, err = endpoint.Need[endpoint.Scaler](u)
		case Drain:
			_, err = endpoint.Need[endpoint.Drainer](u)
		case Probe:
			_, err = endpoint.Need[endpoint.Tracer](u)
		case Update, Await, Bake, Commit, Verify:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// change is what the endpoint is asked for on the way forward or back.
func (p *Plan) change(back bool) endpoint.Change {
	if back {
		return endpoint.Change{To: p.Source, Options: p.Options, Back: true}
	}
	return endpoint.Change{To: p.Target, Options: p.Options, Draft: p.Draft, Protected: p.Protection != nil}
}

// highest are the settings that the rollout sets on its way, each with the
// highest value, so that the provider can be asked whether it would refuse one.
func (p *Plan) highest() endpoint.Settings {
	h := endpoint.Settings{}
	for _, s := range slices.Concat(p.Forward, p.Back) {
		if s.Do == Set || s.Do == Raise {
			h[s.Key] = max(h[s.Key], s.Value)
		}
	}
	return h
}

// DecodePlan reads a plan from JSON and checks it.
func DecodePlan(b []byte) (*Plan, error) {
	var p Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return &p, nil
}

// check refuses a plan that could not be carried out to a defined end.
func (p *Plan) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("plan %s: %w: %s", p.Rollout, endpoint.ErrInvalid, fmt.Sprintf(format, args...))
	}
	if p.Version < 1 || p.Version > FormatVersion {
		return bad("its format is version %d, this program knows up to %d", p.Version, FormatVersion)
	}
	if p.Rollout == "" || p.Endpoint == "" || p.Source.IsZero() || p.Target.IsZero() {
		return bad("rollout, endpoint, source and target must all be named")
	}
	if p.Settle < 0 || p.Settle > longestSettle {
		return bad("settle is %v, which is negative or more than %v", p.Settle, longestSettle)
	}
	commits := 0
	for _, list := range [][]Step{p.Forward, p.Back} {
		names := map[string]bool{}
		for _, s := range list {
			if err := p.checkStep(s); err != nil {
				return bad("step %q: %v", s.Name, err)
			}
			if names[s.Name] {
				return bad("two steps are named %q", s.Name)
			}
			names[s.Name] = true
			if s.Do == Commit {
				commits++
			}
		}
		if len(list) == 0 || list[len(list)-1].Do != Verify {
			return bad("both ways must end with a verification")
		}
	}
	if commits != 1 || slices.ContainsFunc(p.Back, func(s Step) bool { return s.Do == Commit }) {
		return bad("the way forward must commit exactly once, and the way back never")
	}
	return nil
}

func (p *Plan) checkStep(s Step) error {
	switch s.Do {
	case Set, Raise, Return:
		if s.Key == "" {
			return errors.New("names no setting")
		}
		if s.Value < 0 {
			return errors.New("the value is negative")
		}
	case Stage:
		if p.Draft == nil {
			return errors.New("there is no draft to stage")
		}
	case Await:
		if !slices.Contains([]Condition{Empty, Settled, Serving, Configured, Accepted, Running}, s.Until) {
			return fmt.Errorf("unknown condition %q", s.Until)
		}
	case Probe:
		if p.Probe == "" {
			return errors.New("there is no job to do")
		}
	case Bake:
		if s.For > forever {
			return fmt.Errorf("for %v is more than %v", s.For, forever)
		}
	case Protect, Restore, Update, Drain, Commit, Verify:
	default:
		return fmt.Errorf("unknown action %q", s.Do)
	}
	if s.Name == "" {
		return errors.New("has no name")
	}
	if s.Timeout <= 0 && s.Do != Commit {
		return errors.New("has no timeout")
	}
	return nil
}
