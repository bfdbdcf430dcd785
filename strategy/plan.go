package strategy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// FormatVersion is the version of plans and journals that this module writes.
// It reads that version and every earlier one, and refuses later ones.
const FormatVersion = 2

// longestBake is the longest time that a Bake may watch.
const longestBake = 1000 * time.Hour

// longestSettle is the longest settle time that a rollout may ask for.
const longestSettle = 24 * time.Hour

// longestLabel is the longest label of a plan, in bytes.
const longestLabel = 256

// Plan says in full what a rollout is going to do, before anything is changed.
// It is data: it can be printed, kept, and carried out by another process, and
// it holds no secret.
type Plan struct {
	Version  int    `json:"version"`
	Rollout  string `json:"rollout"`            // the rollout's own name
	Endpoint string `json:"endpoint"`           // endpoint.Updater.Name
	Identity string `json:"identity,omitempty"` // endpoint.Status.Identity
	Strategy string `json:"strategy"`
	// Label is what the caller calls the work that the rollout is part of, such
	// as a fleet; "" if nothing. It decides nothing.
	Label string `json:"label,omitempty"`

	// Trace is where the rollout's trace begins, as a W3C traceparent, so that a
	// runner that takes over goes on with it; "" if it is not traced.
	Trace string `json:"trace,omitempty"`

	// Source and Target are the revisions that the rollout moves between.
	Source endpoint.Revision `json:"source"`
	Target endpoint.Revision `json:"target"`
	// Options are the provider's own, handed to it with each update.
	Options json.RawMessage `json:"options,omitempty"`
	// Draft is the revision that the rollout makes first; nil if Target exists.
	Draft *endpoint.Draft `json:"draft,omitempty"`

	// Uninterruptible says that the provider carries an update out to its end before
	// it takes another one. A step that waits for the target waits for that.
	Uninterruptible bool `json:"uninterruptible,omitempty"`
	// Refresh says why what is served moves to new capacity; "" if the rollout moves
	// to another revision.
	Refresh string `json:"refresh,omitempty"`

	// Settings are the protective values as they were read: at its end, on
	// either way, the rollout leaves them so.
	Settings endpoint.Settings `json:"settings,omitempty"`
	// Autoscaling is what will be done to the provider's autoscaling. The
	// snapshot that is restored is taken when the step begins, not here.
	Autoscaling *endpoint.AutoscalingSnapshot `json:"autoscaling,omitempty"`
	// Autoscaled are settings that the provider's autoscaling goes on moving meanwhile.
	Autoscaled []string `json:"autoscaled,omitempty"`
	// ResetTo are the values that the update, or the one back, may give to settings:
	// a rollout that finds one of them sets it right. The provider says which, and a
	// strategy may add some.
	ResetTo map[string][]int `json:"resetTo,omitempty"`

	// Fields are the endpoint's other settings as they were read
	// ([endpoint.Status.Fields]). No rollout writes them.
	Fields map[string]string `json:"fields,omitempty"`

	// Downtime says in words from when to when requests are not served; ""
	// means that the strategy causes none.
	Downtime string `json:"downtime,omitempty"`
	// Notes are what a person should know before agreeing: extra capacity,
	// what is overwritten, what cannot be interrupted, the provider's cautions.
	Notes []string `json:"notes,omitempty"`

	// Settle is how long a read may lag behind a write before it is believed.
	Settle time.Duration `json:"settle"`
	// Canary is the revision that serves Source and Target side by side for a
	// while; nil if the rollout needs none.
	Canary *endpoint.Canary `json:"canary,omitempty"`
	// Checks judge Target while it has traffic.
	Checks []Check `json:"checks,omitempty"`
	// Probe is the name of the job that a worker of Target has to do; "" if none.
	Probe string `json:"probe,omitempty"`

	// Forward moves the endpoint to Target and contains one commit point.
	// Rollback brings it to Source from wherever Forward was left before that.
	Forward  []Step `json:"forward"`
	Rollback []Step `json:"rollback"`
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
	// Until is what Await waits for. For Bake it is what has to hold of Target all
	// the while: [UntilAccepted], [UntilRunning], [UntilConfigured] or [UntilServing],
	// of which the first asks for least; "" is UntilConfigured.
	Until Condition `json:"until,omitempty"`
	// For is how long Bake watches, and after how long Hold expires.
	For time.Duration `json:"for,omitempty"`
	// Then is what happens when Hold expires.
	Then OnExpiry `json:"then,omitempty"`
	// Timeout bounds the step. At its end it has failed.
	Timeout time.Duration `json:"timeout"`
}

// Action is what a step does.
type Action string

// The actions. Those above the line write, those below it only read.
const (
	ActionStage              Action = "stage"               // make the drafted revision
	ActionSuspendAutoscaling Action = "suspend autoscaling" // freeze the provider's autoscaling
	ActionRestoreAutoscaling Action = "restore autoscaling" // put autoscaling back as it was
	ActionSet                Action = "set"                 // one setting to Value
	ActionRaise              Action = "raise"               // one setting to at least Value
	ActionRestoreSetting     Action = "restore setting"     // one setting to what it was before the rollout first wrote it
	ActionUpdate             Action = "update"              // serve Target, or in a rollback Source
	ActionStageCanary        Action = "stage both"          // make the revision that serves Source and Target
	ActionUpdateCanary       Action = "update to both"      // serve that revision
	ActionShift              Action = "shift"               // give Target Value percent of the traffic
	ActionUnstage            Action = "unstage"             // delete the revision that Stage made; only in a rollback

	ActionDrain  Action = "drain"  // wait until no job is in flight or queued
	ActionAwait  Action = "await"  // wait for Until
	ActionProbe  Action = "probe"  // have the caller's job done by a worker of Target
	ActionBake   Action = "bake"   // watch for a while; all checks must pass
	ActionHold   Action = "hold"   // wait for a person to approve
	ActionCommit Action = "commit" // from here on only forward
	ActionVerify Action = "verify" // read back the whole snapshot
)

// Condition is what Await waits for. The revision it speaks of is Target, or
// in a rollback Source.
type Condition string

// The conditions.
const (
	UntilEmpty      Condition = "empty"      // no worker is left and no job is in flight
	UntilSettled    Condition = "settled"    // no change is in progress
	UntilServing    Condition = "serving"    // all capacity is proven to run the revision, healthy
	UntilConfigured Condition = "configured" // as Serving, or nothing runs that could prove it
	UntilAccepted   Condition = "accepted"   // the provider has accepted the revision, whatever its health
	UntilSplit      Condition = "split"      // the revision that serves Source and Target is in service, healthy
	UntilRunning    Condition = "running"    // all capacity in service runs the revision, and there may be too little
)

// ProviderSets reports whether autoscaling, or the update itself, moves a setting.
func (p *Plan) ProviderSets(key string) bool {
	return slices.Contains(p.Autoscaled, key) || p.Autoscaling != nil && slices.Contains(p.Autoscaling.Autoscaled, key)
}

// traceparent is the form of version 00 of W3C Trace Context.
var traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// DecodePlan reads a plan from JSON and checks it.
func DecodePlan(b []byte) (*Plan, error) {
	var p Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return &p, nil
}

// Check refuses a plan that could not be carried out to a defined end.
func (p *Plan) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("plan %s: %w: %s", p.Rollout, endpoint.ErrInvalid, fmt.Sprintf(format, args...))
	}
	if p.Version < 1 || p.Version > FormatVersion {
		return bad("its format is version %d, this program knows up to %d", p.Version, FormatVersion)
	}
	if p.Rollout == "" || p.Endpoint == "" || p.Source.IsZero() || p.Target.IsZero() {
		return bad("rollout, endpoint, source and target must all be named")
	}
	if len(p.Label) > longestLabel {
		return bad("the label has %d bytes, more than %d", len(p.Label), longestLabel)
	}
	if p.Settle < 0 || p.Settle > longestSettle {
		return bad("settle is %v, which is negative or more than %v", p.Settle, longestSettle)
	}
	if p.Trace != "" && !traceparent.MatchString(p.Trace) {
		return bad("trace %.80q is no traceparent", p.Trace)
	}
	for _, c := range p.Checks {
		if err := c.Validate(); err != nil {
			return bad("%v", err)
		}
	}
	commits := 0
	for _, list := range [][]Step{p.Forward, p.Rollback} {
		names := map[string]bool{}
		for _, s := range list {
			if err := p.checkStep(s); err != nil {
				return bad("step %q: %v", s.Name, err)
			}
			if names[s.Name] {
				return bad("two steps are named %q", s.Name)
			}
			names[s.Name] = true
			if s.Do == ActionCommit {
				commits++
			}
		}
		if len(list) == 0 || list[len(list)-1].Do != ActionVerify {
			return bad("both ways must end with a verification")
		}
	}
	if slices.ContainsFunc(p.Forward, func(s Step) bool { return s.Do == ActionUnstage }) {
		return bad("only the way back takes back what was staged")
	}
	if commits != 1 || slices.ContainsFunc(p.Rollback, func(s Step) bool { return s.Do == ActionCommit }) {
		return bad("the way forward must commit exactly once, and the way back never")
	}
	return nil
}

// Fits refuses a plan that the endpoint cannot carry out as it was read: each
// setting that a step writes, or that the update may reset, has to be one of
// status.Settings. Its error names the setting.
func (p *Plan) Fits(status endpoint.Status) error {
	missing := func(what, key string) error {
		return fmt.Errorf("plan %s: %w: %s: %s has no setting %q, it has %v",
			p.Rollout, endpoint.ErrInvalid, what, p.Endpoint, key, status.Settings.Keys())
	}
	for _, s := range slices.Concat(p.Forward, p.Rollback) {
		if _, ok := status.Settings[s.Key]; !ok && s.setsKey() {
			return missing(fmt.Sprintf("step %q", s.Name), s.Key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.ResetTo)) {
		if _, ok := status.Settings[key]; !ok {
			return missing("what the update resets", key)
		}
	}
	return nil
}

// setsKey reports whether the step writes the setting that Key names.
func (s Step) setsKey() bool {
	return s.Do == ActionSet || s.Do == ActionRaise || s.Do == ActionRestoreSetting
}

func (p *Plan) checkStep(s Step) error {
	if s.Until != "" && s.Do != ActionAwait && s.Do != ActionBake {
		return fmt.Errorf("condition %q says nothing to the action %s", s.Until, s.Do)
	}
	switch s.Do {
	case ActionSet, ActionRaise, ActionRestoreSetting:
		if s.Key == "" {
			return errors.New("names no setting")
		}
		if s.Value < 0 {
			return errors.New("the value is negative")
		}
	case ActionStage, ActionUnstage:
		if p.Draft == nil {
			return errors.New("there is no draft to stage")
		}
	case ActionAwait:
		if !slices.Contains([]Condition{UntilEmpty, UntilSettled, UntilServing, UntilConfigured, UntilAccepted, UntilRunning, UntilSplit}, s.Until) {
			return fmt.Errorf("unknown condition %q", s.Until)
		}
		if s.Until == UntilSplit && p.Canary == nil {
			return errors.New("there is no revision that serves both")
		}
	case ActionProbe:
		if p.Probe == "" {
			return errors.New("there is no job to do")
		}
	case ActionBake:
		if !slices.Contains([]Condition{"", UntilAccepted, UntilRunning, UntilConfigured, UntilServing}, s.Until) {
			return fmt.Errorf("condition %q cannot hold for a while", s.Until)
		}
		if s.For > longestBake {
			return fmt.Errorf("for %v is more than %v", s.For, longestBake)
		}
	case ActionStageCanary, ActionUpdateCanary:
		if p.Canary == nil {
			return errors.New("there is no revision that serves both")
		}
	case ActionShift:
		if p.Canary == nil || s.Value < 0 || s.Value > 100 {
			return fmt.Errorf("a share of %d%%, or nothing to shift it by", s.Value)
		}
	case ActionHold:
		return Approval{Name: s.Key, Expires: s.For, Then: s.Then}.Validate()
	case ActionSuspendAutoscaling, ActionRestoreAutoscaling, ActionUpdate, ActionDrain, ActionCommit, ActionVerify:
	default:
		return fmt.Errorf("unknown action %q", s.Do)
	}
	if s.Name == "" {
		return errors.New("has no name")
	}
	if s.Timeout <= 0 && s.Do != ActionCommit {
		return errors.New("has no timeout")
	}
	return nil
}
