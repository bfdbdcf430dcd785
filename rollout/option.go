package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Option changes how a rollout is planned or run. A value that means nothing is
// refused by the call that gets it, before its first request, with an error that
// is [endpoint.ErrInvalid] and names the option. So is an option that means
// nothing for that call. [Resume] takes those that shape a plan, so that one list
// of options serves it and [Run]: the plan in the journal decides.
type Option func(*options)

type options struct {
	running

	bake        time.Duration
	rules       []strategy.Check
	approvals   []strategy.Approval
	settle      time.Duration
	patience    time.Duration
	capacity    time.Duration
	timeout     time.Duration
	readiness   time.Duration
	schedule    waiter.Schedule
	custom      bool // the schedule is the caller's own
	errorGap    time.Duration
	history     *waiter.History
	trace       string
	detach      bool
	forward     bool
	resumeFirst bool
	allowPaused bool
	prove       strategy.Proof
	probe       string // the name of job
	change      json.RawMessage
	refresh     string // why
	refreshes   bool
	owner       string
	unrecorded  bool
	cursor      []byte
	label       string

	given map[string]bool // the options by name
	errs  []error
}

// running are the options that a rollout needs as long as it goes on. The others
// are in its plan, or in the policy of the core.
type running struct {
	checks    map[string]Check
	job       Job
	freeze    func(time.Time) (time.Time, string)
	override  string // why a freeze window is ignored
	wakes     <-chan struct{}
	notify    func()
	shared    *waiter.Shared
	observers []*observer
	hook      func(Event) // for tests: called on the rollout's goroutine
	hardStop  <-chan struct{}
	keep      int
}

func newOptions(opts []Option) options {
	o := options{
		settle:    30 * time.Second,
		patience:  30 * time.Minute,
		capacity:  time.Hour,
		readiness: 5 * time.Minute,
		schedule:  waiter.Learned(waiter.DefaultPrice),
		errorGap:  time.Second,
		prove:     strategy.ProofConfiguration,
		owner:     defaultOwner(),
		running:   running{keep: journal.KeepRollouts},
		given:     map[string]bool{},
	}
	for i, f := range opts {
		if f == nil {
			o.refuse(fmt.Sprintf("option %d", i+1), "is nil")
			continue
		}
		f(&o)
	}
	return o
}

// defaultOwner names this process, for people who find its claim.
func defaultOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}

// policy is what the machine has to know of the options.
func (o *options) policy(p core.Policy) core.Policy {
	p.RestoreUnrecorded = o.unrecorded
	p.Owner, p.Forward, p.Detach = o.owner, o.forward, o.detach
	p.Settle, p.StartTimeout, p.CapacityTimeout, p.Timeout = o.settle, o.readiness, o.capacity, o.timeout
	p.Schedule, p.ErrorInterval, p.History, p.Shared = o.schedule, o.errorGap, o.history, o.shared != nil
	if o.job != nil {
		p.Job = o.probe
	}
	if len(o.checks) > 0 {
		p.Checks = map[string]bool{}
	}
	for name, c := range o.checks {
		p.Checks[name] = c != nil
	}
	return p
}

// The longest times that options take.
const (
	longestSettle = 24 * time.Hour
	longestBake   = 1000 * time.Hour
)

// WithBake watches the new revision for d before the commit point. The default
// is not to, the most is 1000h.
func WithBake(d time.Duration) Option {
	return func(o *options) { o.bake = o.within("WithBake", d, 0, longestBake) }
}

// WithSettle sets how long a read may lag behind a write. It bounds every grace
// window, and every rollout ends with a verification no sooner than that after
// its last write. The default is 30s, the most a day; zero says that reads never
// lag.
func WithSettle(d time.Duration) Option {
	return func(o *options) { o.settle = o.within("WithSettle", d, 0, longestSettle) }
}

// WithStepTimeout sets the longest that one wait for the provider may take,
// beside what the provider is configured to take. At its end the cause is
// [ErrStepTimeout]. The default is 30m; more than 1000h counts as that.
func WithStepTimeout(d time.Duration) Option {
	return func(o *options) { o.patience = o.within("WithStepTimeout", d, 1, math.MaxInt64) }
}

// WithCapacityTimeout sets how much longer than that one wait for the provider may
// take while it has no capacity for new workers or instances, as RunPod's
// throttled workers show: a lack of hardware is no fault of the new revision,
// and a rollback would need hardware too. The default is 1h; zero sets nothing
// apart for it. [WithTimeout] bounds it too.
func WithCapacityTimeout(d time.Duration) Option {
	return func(o *options) { o.capacity = o.within("WithCapacityTimeout", d, 0, math.MaxInt64) }
}

// WithTimeout bounds the forward part as a whole; at its end the rollout rolls
// back, by [ErrTimeout]. The rollback has a budget of its own, from the plan. The
// default, zero, sets no bound beside those of the steps.
func WithTimeout(d time.Duration) Option {
	return func(o *options) { o.timeout = o.within("WithTimeout", d, 0, math.MaxInt64) }
}

// WithStartTimeout sets how long to wait, before anything is changed, for a
// change that is in progress to end. The default is 5m.
func WithStartTimeout(d time.Duration) Option {
	return func(o *options) { o.readiness = o.within("WithStartTimeout", d, 1, math.MaxInt64) }
}

// WithInterval polls every d, and lets the back-off after errors start at d
// too. Zero is the default: [waiter.Learned] and one second.
func WithInterval(d time.Duration) Option {
	return func(o *options) {
		if d = o.within("WithInterval", d, 0, math.MaxInt64); d > 0 {
			o.schedule, o.errorGap = waiter.Every(d), d
		}
	}
}

// WithSchedule sets when to poll again while waiting. The default is
// [waiter.Learned] with [waiter.DefaultPrice].
func WithSchedule(s waiter.Schedule) Option {
	return func(o *options) { o.need("WithSchedule", "schedule", s); o.schedule, o.custom = s, true }
}

// guardedSchedule is a schedule of the caller's, whose panic does not end the
// rollout.
type guardedSchedule struct {
	waiter.Schedule

	breaks func(error)
}

func (g guardedSchedule) Next(p waiter.Progress) (d time.Duration) {
	err := recovered("the schedule", func() error { d = g.Schedule.Next(p); return nil })
	if err != nil {
		g.breaks(err)
		return waiter.Learned(waiter.DefaultPrice).Next(p)
	}
	return d
}

// WithHistory lets the schedule learn from the durations of earlier waits, and
// adds this rollout's. Without it every rollout waits as if it were the first.
// One History serves any number of rollouts, on all endpoints.
func WithHistory(h *waiter.History) Option {
	return func(o *options) { o.need("WithHistory", "history", h); o.history = h }
}

// WithWake lets a push source cut waits short. See [waiter.WithWake].
func WithWake(wake <-chan struct{}) Option {
	return func(o *options) { o.need("WithWake", "channel", wake); o.wakes = wake }
}

// WithShared lets waits for the provider share one poller with other rollouts
// of the account. See [waiter.WithShared]. Reads before a write, after it, and at
// the end are made by the rollout itself.
func WithShared(s *waiter.Shared) Option {
	return func(o *options) { o.need("WithShared", "poller", s); o.shared = s }
}

// WithObserver calls f with each event, in order, one call at a time. Further
// observers are added to it, and do not wait for each other.
//
// An observer cannot hold a rollout up: at each event it is waited for, for
// 100ms at most, and not any more once it has taken longer. Up to 1,024 events
// are queued then, and at the end of the rollout there are two seconds to work
// them off. Events beyond that, and those on which f panics, are counted in
// [Report.DroppedEvents].
//
// The context has the values of the one that the rollout was called with, such
// as its trace. It is done when the rollout waits for f no longer.
func WithObserver(f func(ctx context.Context, e Event)) Option {
	return func(o *options) {
		if f == nil {
			o.refuse("WithObserver", "the observer is nil")
			return
		}
		o.observers = append(o.observers, &observer{f: f})
	}
}

// WithTrace keeps in the plan where the rollout's trace begins, as a W3C
// traceparent, so that a runner that takes over can go on with the trace. It
// changes nothing else. A resumed rollout keeps the one in its plan.
func WithTrace(traceparent string) Option {
	return func(o *options) { o.set("WithTrace"); o.trace = traceparent }
}

// WithDetach leaves the rollout as it is when the context is cancelled,
// to be resumed later. The default is to roll back. It does not concern timeouts.
func WithDetach() Option {
	return func(o *options) { o.set("WithDetach"); o.detach = true }
}

// WithHardStop stops even the rollback, at once, when c is closed. The rollout
// is then incomplete and can be resumed.
func WithHardStop(c <-chan struct{}) Option {
	return func(o *options) { o.need("WithHardStop", "channel", c); o.hardStop = c }
}

// WithForward lets [Resume] go on forward where the commit point was not
// reached. The default is to roll back. [Run] takes it with [WithResumeFirst].
func WithForward() Option {
	return func(o *options) { o.set("WithForward"); o.forward = true }
}

// WithResumeFirst lets [Run] and [Apply] first finish a rollout that the journal
// holds, as [Resume] would, and then begin their own: the one call that is right
// in CI. [Report.Resumed] says what was found. If that rollout stays unfinished,
// the new one is not begun, and the call ends as the resume did.
func WithResumeFirst() Option {
	return func(o *options) { o.set("WithResumeFirst"); o.resumeFirst = true }
}

// AllowPaused agrees that the endpoint is paused and that it will be paused
// again at the end. Without it a paused endpoint is refused, because what is
// found may be what an accident left.
func AllowPaused() Option {
	return func(o *options) { o.set("AllowPaused"); o.allowPaused = true }
}

// WithProof sets what an endpoint without a live worker has to show. The
// default is [strategy.ProofConfiguration]. [strategy.ProofProbe] is set by
// [WithProbe].
func WithProof(p strategy.Proof) Option {
	return func(o *options) {
		if !slices.Contains([]strategy.Proof{strategy.ProofConfiguration, strategy.ProofWorkers, strategy.ProofProbe}, p) {
			o.refuse("WithProof", "%q is not %q or %q", p, strategy.ProofConfiguration, strategy.ProofWorkers)
		}
		o.set("WithProof")
		o.prove = p
	}
}

// Job has the endpoint do some work, waits for it, and returns the provider's
// ID of the worker that did it. It is called without a lock on another
// goroutine, and may be called again, after a crash. When ctx is done it has to
// return, and should take back what it asked for: the rollout does not wait for it.
type Job func(ctx context.Context) (worker string, err error)

// WithProbe has an endpoint without a live worker show [strategy.ProofProbe]:
// that a worker of the new revision does the job. The job is sent once the
// provider is configured for the new revision, before the bake and the commit
// point, and wakes a worker as any other does. The provider then has to show that
// worker, and that it runs the new revision: let it stay up for some seconds after
// the job (RunPod's idle timeout). An error of the job, and a worker that cannot be
// traced, roll the rollout back: [ErrCheck].
//
// The name goes into the plan: a rollout that is resumed forward without the
// job does not pass. The endpoint needs to be an [endpoint.WorkerInspector].
func WithProbe(name string, job Job) Option {
	return func(o *options) {
		switch {
		case name == "":
			o.refuse("WithProbe", "the name is empty")
		case job == nil:
			o.refuse("WithProbe", "the job %q is nil", name)
		}
		o.set("WithProbe")
		o.prove, o.probe, o.job = strategy.ProofProbe, name, job
	}
}

// WithChangeOptions hands the provider its own options with each update. They
// are written to the journal, so they must hold no secret. None are nil.
func WithChangeOptions(raw json.RawMessage) Option {
	return func(o *options) {
		if len(raw) > 0 {
			o.set("WithChangeOptions")
			if !json.Valid(raw) {
				o.refuse("WithChangeOptions", "the options are not JSON")
			}
		}
		o.change = raw
	}
}

// WithOwner names the runner, for the journal. The default is host and process.
func WithOwner(name string) Option {
	return func(o *options) {
		if name == "" {
			o.refuse("WithOwner", "the name is empty")
		}
		o.owner = name
	}
}

// WithKeep sets how many rollouts of the endpoint the journal keeps, with the
// newest, if its store is a [journal.Trimmer]: when a rollout has ended, older
// ones are taken out. The default is [journal.KeepRollouts]; [math.MaxInt] keeps all.
func WithKeep(rollouts int) Option {
	return func(o *options) {
		if rollouts < 1 {
			o.refuse("WithKeep", "%d is less than 1", rollouts)
		}
		o.keep = rollouts
	}
}

// WithCursor lets [Begin] and [Attach] go on where another process left off: b
// is what its [Rollout.Cursor] returned after its last [Rollout.Advance], under
// the same owner ([WithOwner]). One that does not fit the journal, because
// records were appended since, is ignored, as is an empty one; one that is no
// cursor is refused. With [Begin] the cursor of a rollout that has begun by now
// goes on with that rollout. [Resume] takes no cursor.
func WithCursor(b []byte) Option { return func(o *options) { o.cursor = b } }

func (o *options) decodeCursor() (*core.Cursor, error) {
	if len(o.cursor) == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	return core.DecodeCursor(o.cursor)
}

// WithRestoreUnrecorded restores what the journal holds at once where the journal
// cannot be written any more, such as while S3 is away. Without it a runner whose
// store has no lock ([journal.Locker]) waits for the store, for ten minutes, and is
// then incomplete, whatever is down by then.
//
// The default is the safe one. A runner that cannot reach its store cannot know
// whether it is the only one: another that does reach it may count this one as
// dead, take the rollout over, and go on forward, and nothing would fence this
// one's writes off then. Where that cannot be, because only one machine runs
// rollouts or resumes never go forward, restoring is safe: both would write the
// values of one plan. The report's leftovers say that the journal needs a resume.
func WithRestoreUnrecorded() Option { return func(o *options) { o.unrecorded = true } }
