package temporal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// errInvalidRequest is the type of the errors that no retry helps against.
const errInvalidRequest = "invalid request"

// advanced is what an activity hands back: when to go on, or what it has come to.
type advanced struct {
	Next   time.Time `json:"next,omitzero"`
	Result *Result   `json:"result,omitempty"`
	// Member is what became of a member of a fleet.
	Member *fleet.MemberReport `json:"member,omitempty"`
	Events []string            `json:"events,omitempty"`
	// Cursor is what the rollout has gathered since its newest record.
	Cursor []byte `json:"cursor,omitempty"`
	seen
}

// lines are events, one line each.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(_ context.Context, e rollout.Event) {
	if e.Kind == rollout.EventPoll {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e.String())
}

// take returns the newest lines.
func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[max(0, len(l.all)-keptEvents):]
}

// span is how long one activity goes on while the rollout wants to be called again
// soon: a timer of the workflow would cost more than it saves.
const span = time.Minute

var soon = 5 * time.Second

// heartbeatInterval is how often an activity says that it is alive, also while a
// call of the provider takes its time.
var heartbeatInterval = 10 * time.Second

// alive says so until the returned function is called.
func alive(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(heartbeatInterval)
		defer tick.Stop()
		for {
			activity.RecordHeartbeat(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// busyInterval is how long to wait for another runner to end.
var busyInterval = 30 * time.Second

var errCancelled = errors.New("the workflow was cancelled")

// advance goes on with a rollout until it has something to wait for.
func (w *Worker) advance(ctx context.Context, q Request, st state) (*advanced, error) {
	u, s, opts, err := w.find(q)
	if err != nil {
		return nil, temporal.NewNonRetryableApplicationError(err.Error(), errInvalidRequest, err)
	}
	target, err := q.target()
	if err != nil {
		return nil, temporal.NewNonRetryableApplicationError(err.Error(), errInvalidRequest, err)
	}
	defer alive(ctx)()
	a := &advanced{}
	var events lines
	opts = append(slices.Clip(opts), rollout.WithOwner(st.Owner), rollout.WithLabel(q.Label), rollout.WithObserver(events.add),
		rollout.WithCursor(st.Cursor))
	defer func() {
		a.Events = events.take()
		a.look(ctx, w.Store, q.Endpoint, st.Seq)
	}()
	records, err := journal.Load(ctx, w.Store, q.Endpoint)
	if err != nil {
		return nil, err
	}
	begin := func() (*rollout.Rollout, error) { return rollout.Begin(ctx, w.Store, u, s, target, opts...) }
	switch newest := newestOf(records); {
	case newest.owner == st.Owner && newest.ended:
		a.Result = newest.result() // the answer of an activity before was lost
		return a, nil
	case newest.owner == st.Owner:
		begin = func() (*rollout.Rollout, error) {
			return rollout.Attach(ctx, w.Store, u, append(opts, rollout.WithForward())...)
		}
	case st.Begun:
		a.Result = &Result{Outcome: rollout.OutcomeDetached, Cause: "taken over by " + newest.owner, Rollout: newest.rollout}
		return a, nil
	case st.Cancelled:
		a.Result = &Result{Refused: errCancelled.Error()}
		return a, nil
	}
	if _, err := a.goOn(ctx, st.Cancelled, begin); err != nil {
		return nil, err
	}
	return a, a.again(ctx, w.Store, q.Endpoint, st)
}

// again has a rollout gone on with that lost a race for a record to an activity of its
// own, which was given up and was still under way: nobody has taken it over.
func (a *advanced) again(ctx context.Context, store journal.Store, name string, st state) error {
	if a.Result == nil || a.Result.Outcome != rollout.OutcomeDetached {
		return nil
	}
	records, err := journal.Load(ctx, store, name)
	if newest := newestOf(records); err == nil && newest.owner == st.Owner && !newest.ended && !newest.stopped {
		a.Result, a.Next, a.Cursor = nil, time.Now(), nil
	}
	return err
}

// goOn begins a rollout, or attaches to it, and drives it.
func (a *advanced) goOn(ctx context.Context, cancelled bool, begin func() (*rollout.Rollout, error)) (*advanced, error) {
	r, err := begin()
	switch {
	case ctx.Err() != nil: // the worker stops; another one goes on
		if err == nil {
			r.Close()
		}
		return nil, context.Cause(ctx)
	case err != nil:
		return ended(a, nil, err)
	}
	defer r.Close()
	var report *rollout.Report
	var failed error
	next, err := drive(ctx, cancelled, func(ctx context.Context) (next time.Time) {
		next, report, failed = r.Advance(ctx)
		return next
	})
	switch {
	case err != nil:
		return nil, err
	case next.IsZero():
		return ended(a, report, failed)
	}
	a.Next, a.Cursor = next, r.Cursor()
	return a, nil
}

// drive calls advance until it has ended, which a zero time says, or is not to be
// called again soon.
func drive(ctx context.Context, cancelled bool, advance func(context.Context) time.Time) (next time.Time, err error) {
	inner, cancel := inContext(ctx, cancelled)
	defer cancel()
	for until := time.Now().Add(span); ; {
		next := advance(inner)
		if next.IsZero() || next.After(until) || time.Until(next) > soon {
			return next, nil
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done(): // the worker stops; another one goes on
			timer.Stop()
			return next, context.Cause(ctx)
		}
	}
}

// inContext is a context that is done if the workflow was cancelled, and not because
// the worker stops.
func inContext(ctx context.Context, cancelled bool) (context.Context, func()) {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	if cancelled {
		cancel(errCancelled)
	}
	return inner, func() { cancel(nil) }
}

// ended makes the result of a rollout that has ended. One that another runner has
// for the moment is tried again.
func ended(a *advanced, report *rollout.Report, err error) (*advanced, error) {
	if report == nil {
		if errors.Is(err, endpoint.ErrBusy) {
			a.Next = time.Now().Add(busyInterval)
			return a, nil
		}
		if endpoint.Transient(err) { // of the store: it is asked again
			return nil, err
		}
		a.Result = &Result{Refused: err.Error()}
		return a, nil
	}
	a.Result = &Result{Outcome: report.Outcome, Residue: report.Residue}
	if report.Plan != nil {
		a.Result.Rollout = report.Plan.Rollout
	}
	if err != nil {
		a.Result.Cause = err.Error()
	}
	return a, nil
}

// newest is the newest rollout of a journal.
type newest struct {
	owner, rollout string
	ended, stopped bool // stopped: left as the caller asked, by rollout.WithDetach
	end            journal.Record
}

func newestOf(records []journal.Record) newest {
	var n newest
	for _, r := range records {
		switch r.Kind {
		case journal.KindPlan:
			n = newest{rollout: r.Rollout, owner: r.Owner}
		case journal.KindClaim:
			n.owner, n.stopped = r.Owner, false
		case journal.KindStop:
			n.stopped = true
		case journal.KindEnd:
			n.ended, n.end = true, r
		}
	}
	return n
}

func (n newest) result() *Result {
	return &Result{Outcome: rollout.Outcome(n.end.Outcome), Cause: n.end.Error, Rollout: n.rollout}
}

// decide puts a decision on record, and says what came of it. A decision that
// nothing waits for is an answer, not a failure of the workflow.
func (w *Worker) decide(ctx context.Context, q Request, d rollout.Decision) (string, error) {
	return said(rollout.Decide(ctx, w.Store, q.Endpoint, d), d)
}

// said is what came of a decision.
func said(err error, d rollout.Decision) (string, error) {
	switch {
	case err == nil:
		return fmt.Sprintf("%s by %s: on record", d.Verb, d.By), nil
	case errors.Is(err, rollout.ErrNothingToDecide), errors.Is(err, rollout.ErrDecided), errors.Is(err, endpoint.ErrInvalid):
		return err.Error(), nil
	}
	return "", err
}
