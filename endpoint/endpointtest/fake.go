package endpointtest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// machine is the state of one fake service. It moves only when it is stepped.
type machine[S any] interface {
	// next says when the machine changes by itself next; ok is false for never.
	next() (at time.Time, ok bool)
	// step carries out whatever is due, which may be nothing.
	step(at time.Time)
	// clone returns a copy that later steps and writes do not reach.
	clone() S
}

// fake is what both shapes have in common: it numbers the calls, lets hooks
// spoil them, brings the machine up to the present, and remembers the past.
type fake[S machine[S]] struct {
	name string

	mu      sync.Mutex // never held while a hook runs
	state   S
	now     time.Time
	later   []event[S] // in order of time
	past    []past[S]  // in order of time
	log     []Call
	fates   *fates
	drafts  int
	faults  faults
	stale   time.Duration
	flicker bool
	flipped bool
}

// event is an edit that is going to happen: a write that lands late, or
// a third party's change.
type event[S any] struct {
	at   time.Time
	name string
	n    int
	do   func(S) error
}

func newFake[S machine[S]](name string, state S, fs *fates) fake[S] {
	return fake[S]{name: name, state: state, now: time.Now(), fates: fs}
}

// Name returns the name that the configuration gave.
func (f *fake[S]) Name() string { return f.name }

// advance brings the state up to now, one happening after the other. What the
// service does by itself comes before what is done to it at the same moment.
func (f *fake[S]) advance() {
	now := time.Now()
	for {
		at, ok := f.state.next()
		if len(f.later) > 0 && (!ok || f.later[0].at.Before(at)) {
			e := f.later[0]
			if e.at.After(now) {
				break
			}
			f.later = f.later[1:]
			f.moveTo(e.at)
			_ = f.apply(e.name, e.n, e.do) // no caller waits for the answer; the log has it
			continue
		}
		if !ok || at.After(now) {
			break
		}
		f.moveTo(at)
	}
	f.moveTo(now)
}

func (f *fake[S]) moveTo(at time.Time) {
	if at.After(f.now) {
		f.now = at
	}
	f.state.step(f.now)
}

// apply carries out one change of the state, and keeps what was there before
// for those who read late. A change that answers an error has changed nothing.
func (f *fake[S]) apply(name string, n int, do func(S) error) error {
	var before S
	if f.stale > 0 {
		before = f.state.clone()
	}
	err := do(f.state)
	if err == nil {
		if f.stale > 0 {
			f.past = append(f.past, past[S]{f.now, before})
		}
		f.state.step(f.now)
	}
	f.log = append(f.log, Call{At: f.now, Name: name, Write: n, Applied: err == nil, Err: err})
	return err
}

func (f *fake[S]) schedule(e event[S]) {
	i, _ := slices.BinarySearchFunc(f.later, e.at, func(e event[S], at time.Time) int {
		if e.at.After(at) {
			return 1
		}
		return -1 // what was scheduled first for a moment happens first
	})
	f.later = slices.Insert(f.later, i, e)
}

// edit makes a third party's change, at once or later.
func (f *fake[S]) edit(at time.Time, do func(S)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	e := event[S]{at: at, name: "foreign change", do: func(s S) error { do(s); return nil }}
	if at.After(f.now) {
		f.schedule(e)
		return
	}
	_ = f.apply(e.name, 0, e.do) // an edit is never refused
}

// mutate makes one remote write. The error it returns is wrapped for callers.
func (f *fake[S]) mutate(ctx context.Context, name string, do func(S) error) error {
	if err := f.write(ctx, name, do); err != nil {
		return &endpoint.Error{Op: name, Endpoint: f.name, Err: err}
	}
	return nil
}

func (f *fake[S]) write(ctx context.Context, name string, do func(S) error) error {
	if err := ended(ctx); err != nil {
		return err
	}
	n, fault := f.faults.meet(&f.mu, true, name)
	if err := fault.request(ctx); err != nil {
		f.note(Call{Name: name, Write: n, Err: err})
		return err
	}
	err := f.land(n, name, fault, do)
	fault.then()
	if err := fault.reply(ctx); err != nil {
		return err // the answer is lost with the context; the write may not be
	}
	return err
}

// land is the moment at which a request reaches the service, if it does.
func (f *fake[S]) land(n int, name string, fault Fault, do func(S) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	answer := fault.answer()
	switch {
	case fault.Kind == FaultForgotten:
		err := do(f.state.clone())
		f.log = append(f.log, Call{At: f.now, Name: name, Write: n, Err: err})
		return err
	case fault.Kind.Applies():
		if err := f.apply(name, n, do); answer == nil {
			return err
		}
		return answer // whatever came of it, the caller does not hear it
	case fault.Kind == FaultLate:
		f.schedule(event[S]{at: f.now.Add(fault.After), name: name, n: n, do: do})
	}
	f.log = append(f.log, Call{At: f.now, Name: name, Write: n, Err: answer})
	return answer
}

// read reads the state once, as an old copy of it if reads are stale.
func (f *fake[S]) read(ctx context.Context, name string, show func(S) error) error {
	if err := f.answer(ctx, name, show); err != nil {
		return &endpoint.Error{Op: name, Endpoint: f.name, Err: err}
	}
	return nil
}

func (f *fake[S]) answer(ctx context.Context, name string, show func(S) error) error {
	if err := ended(ctx); err != nil {
		return err
	}
	_, fault := f.faults.meet(&f.mu, false, name)
	if err := fault.request(ctx); err != nil {
		f.note(Call{Name: name, Err: err})
		return err
	}
	err := func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.advance()
		err := fault.answer()
		if err == nil {
			err = show(f.view())
		}
		f.log = append(f.log, Call{At: f.now, Name: name, Err: err})
		return err
	}()
	fault.then()
	if err := fault.reply(ctx); err != nil {
		return err
	}
	return err
}

// truth runs show on the state as it is: no hook, no staleness, no log.
func (f *fake[S]) truth(show func(S)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
	show(f.state)
}
