package temporal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// errInvalidRequest is the type of the errors that no retry helps against.
const errInvalidRequest = "invalid request"

// advanced is what an activity hands back: when to go on, or the result.
type advanced struct {
	Next   time.Time `json:"next,omitzero"`
	Result *Result   `json:"result,omitempty"`
	Events []string  `json:"events,omitempty"`
	// Cursor is what the rollout has gathered since its newest record.
	Cursor []byte `json:"cursor,omitempty"`
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
const busyInterval = 30 * time.Second

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
	opts = append(opts[:len(opts):len(opts)], rollout.WithOwner(st.Owner), rollout.WithLabel(q.Label), rollout.WithObserver(events.add),
		rollout.WithCursor(st.Cursor))
	defer func() { a.Events = events.take() }()
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
	case st.Cancelled:
		a.Result = &Result{Refused: errCancelled.Error()}
		return a, nil
	}
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
	return drive(ctx, r, a, st.Cancelled)
}

// drive calls Advance until the rollout has ended, or next is not soon.
func drive(ctx context.Context, r *rollout.Rollout, a *advanced, cancelled bool) (*advanced, error) {
	rctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	if cancelled {
		cancel(errCancelled)
	}
	for until := time.Now().Add(span); ; {
		next, report, err := r.Advance(rctx)
		if next.IsZero() {
			return ended(a, report, err)
		}
		a.Next, a.Cursor = next, r.Cursor()
		if next.After(until) || time.Until(next) > soon {
			return a, nil
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done(): // the worker stops; another one goes on
			timer.Stop()
			return nil, context.Cause(ctx)
		}
	}
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
	ended          bool
	end            journal.Record
}

func newestOf(records []journal.Record) newest {
	var n newest
	for _, r := range records {
		switch r.Kind {
		case journal.KindPlan:
			n = newest{rollout: r.Rollout, owner: r.Owner}
		case journal.KindClaim:
			n.owner = r.Owner
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
	err := rollout.Decide(ctx, w.Store, q.Endpoint, d)
	switch {
	case err == nil:
		return fmt.Sprintf("%s by %s: on record", d.Verb, d.By), nil
	case errors.Is(err, rollout.ErrNothingToDecide), errors.Is(err, rollout.ErrDecided), errors.Is(err, endpoint.ErrInvalid):
		return err.Error(), nil
	}
	return "", err
}
