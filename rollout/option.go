package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Option changes how a rollout is planned or driven.
type Option func(*options)

type options struct {
	bake        time.Duration
	checks      map[string]Check
	rules       []strategy.Check
	approvals   []strategy.Approval
	freeze      func(time.Time) (time.Time, string)
	override    string // why a freeze window is ignored
	settle      time.Duration
	patience    time.Duration
	capacity    time.Duration
	timeout     time.Duration
	readiness   time.Duration
	schedule    waiter.Schedule
	custom      bool // schedule is the caller's own
	errorGap    time.Duration
	history     *waiter.History
	wakes       <-chan struct{}
	shared      *waiter.Shared
	observe     func(Event)
	hardStop    <-chan struct{}
	detach      bool
	forward     bool
	allowPaused bool
	prove       strategy.Proof
	probe       string // the name of job
	job         Job
	change      json.RawMessage
	refresh     string // why
	refreshes   bool
	owner       string
	unrecorded  bool
}

func newOptions(opts []Option) options {
	o := options{
		checks:    map[string]Check{},
		settle:    30 * time.Second,
		patience:  30 * time.Minute,
		capacity:  time.Hour,
		readiness: 5 * time.Minute,
		schedule:  waiter.Learned(waiter.DefaultPrice),
		errorGap:  time.Second,
		prove:     strategy.ProofConfiguration,
		observe:   func(Event) {},
		owner:     defaultOwner(),
	}
	for _, f := range opts {
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
	p.Checks = map[string]bool{}
	for name, c := range o.checks {
		p.Checks[name] = c != nil
	}
	return p
}

// WithBake watches the new revision for d before the commit point. The default
// is not to, the most is 1000h.
func WithBake(d time.Duration) Option { return func(o *options) { o.bake = d } }

// WithSettle sets how long a read may lag behind a write before it is
// believed. It bounds every grace window, and every rollout ends with a
// verification no sooner than that after its last write. The default is 30s, the
// most a day.
func WithSettle(d time.Duration) Option { return func(o *options) { o.settle = d } }

// WithStepTimeout sets the longest that one wait for the provider may take. The
// default is 30m, the most 1000h.
func WithStepTimeout(d time.Duration) Option { return func(o *options) { o.patience = d } }

// WithCapacityTimeout sets how much longer than that one wait for the provider may
// take while it has no capacity for new workers or instances, as RunPod's
// throttled workers show: a lack of hardware is no fault of the new revision,
// and going back would need hardware too. The default is 1h; zero sets nothing
// apart for it. [WithTimeout] bounds it too.
func WithCapacityTimeout(d time.Duration) Option { return func(o *options) { o.capacity = d } }

// WithTimeout bounds the way forward as a whole; at its end the rollout goes
// back. The way back has a budget of its own, from the plan. The default, zero,
// sets no bound beside those of the steps.
func WithTimeout(d time.Duration) Option { return func(o *options) { o.timeout = d } }

// WithStartTimeout sets how long to wait, before anything is changed, for a
// change that is in progress to end. The default is 5m.
func WithStartTimeout(d time.Duration) Option { return func(o *options) { o.readiness = d } }

// WithInterval looks every d, and lets the back-off after errors start at d
// too. The default is [waiter.Learned] and one second.
func WithInterval(d time.Duration) Option {
	return func(o *options) { o.schedule, o.errorGap = waiter.Every(d), d }
}

// WithSchedule sets when to look again while waiting. The default is
// [waiter.Learned] with [waiter.DefaultPrice].
func WithSchedule(s waiter.Schedule) Option {
	return func(o *options) { o.schedule, o.custom = s, true }
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
func WithHistory(h *waiter.History) Option { return func(o *options) { o.history = h } }

// WithWake lets a push source cut waits short. See [waiter.WithWake].
func WithWake(wake <-chan struct{}) Option { return func(o *options) { o.wakes = wake } }

// WithShared lets waits for the provider share one poller with other rollouts
// of the account. See [waiter.WithShared]. What is read before a write, after
// it, and at the end is read by the rollout itself.
func WithShared(s *waiter.Shared) Option { return func(o *options) { o.shared = s } }

// WithObserver calls f with each event, on the rollout's goroutine.
func WithObserver(f func(Event)) Option { return func(o *options) { o.observe = f } }

// WithDetach leaves the rollout as it stands when the context is cancelled,
// to be resumed later. The default is to go back. It does not concern timeouts.
func WithDetach() Option { return func(o *options) { o.detach = true } }

// WithHardStop stops even the way back, at once, when c is closed. The rollout
// is then incomplete and can be resumed.
func WithHardStop(c <-chan struct{}) Option { return func(o *options) { o.hardStop = c } }

// WithForward lets [Resume] go on forward where the commit point was not
// reached. The default is to go back.
func WithForward() Option { return func(o *options) { o.forward = true } }

// AllowPaused agrees that the endpoint is paused and that it will be paused
// again at the end. Without it a paused endpoint is refused, because what is
// found may be what an accident left.
func AllowPaused() Option { return func(o *options) { o.allowPaused = true } }

// WithProof sets what an endpoint without a live worker has to show. The
// default is [ProofConfiguration].
func WithProof(p strategy.Proof) Option { return func(o *options) { o.prove = p } }

// Job has the endpoint do some work, waits for it, and returns the provider's
// ID of the worker that did it. It is called without a lock on another
// goroutine, and may be called again, after a crash. When ctx is done it has to
// return, and should take back what it asked for: the rollout does not wait for it.
type Job func(ctx context.Context) (worker string, err error)

// WithProbe has an endpoint without a live worker show [ProofProbe]: that a
// worker of the new revision does the job. The job is sent once the provider is
// configured for the new revision, before the bake and the commit point, and
// wakes a worker as any other does. The provider then has to show that worker,
// and that it runs the new revision: let it stay up for some seconds after the
// job (RunPod's idle timeout). An error of the job, and a worker that cannot be
// traced, turn the rollout back: [ErrCheck].
//
// The name goes into the plan: a rollout that is resumed forward without the
// job does not pass. The endpoint needs to be an [endpoint.WorkerInspector].
func WithProbe(name string, job Job) Option {
	return func(o *options) { o.prove, o.probe, o.job = strategy.ProofProbe, name, job }
}

// WithChangeOptions hands the provider its own options with each update. They
// are written to the journal, so they must hold no secret.
func WithChangeOptions(raw json.RawMessage) Option { return func(o *options) { o.change = raw } }

// WithOwner names who drives, for the journal. The default is host and process.
func WithOwner(name string) Option { return func(o *options) { o.owner = name } }

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
