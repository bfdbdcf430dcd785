package fleet

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/waiter"
)

// runner is the one goroutine that a fleet has. Calls are made by others, at most
// set.calls at a time, which hand back a function for it to apply.
type runner struct {
	mover

	ledger    *ledger
	records   []waveRecord
	exclusive bool
	engine    bool // the members are moved by others; see Advance

	ctx           context.Context //nolint:containedctx // the caller's, for all that is begun
	forward       context.Context //nolint:containedctx // done when members that go forward have to go back
	cancelForward context.CancelCauseFunc

	waves    []*wave
	wave     int // the index of the present one
	queue    queue
	active   int // members under way
	forwards int // those of them that go forward
	failed   int
	remains  map[*member]string // members that something remains to be done for, and why
	undo     []*member          // what is left to undo, the next one first; nil before it is known

	work      chan func() applied
	callers   int // the goroutines that take it
	results   chan applied
	calls     int // under way
	reading   bool
	newsDue   time.Time
	beatDue   time.Time
	gate      *gate
	cancelled bool
	over      bool
	died      bool  // a call ended its goroutine
	lost      error // why this runner leaves the fleet

	woken struct {
		sync.Mutex
		members []*member
		signal  chan struct{}
	}
}

type wave struct {
	Wave
	members []*member
	next    int // the first member that may not have begun
	active  int
	told    bool
}

// applied is what a call came to. A nil function says that the call ended its
// goroutine.
type applied func()

func newRunner(ctx context.Context, store journal.Store, f Fleet, opts []Option) (*runner, error) {
	if store == nil {
		return nil, invalid("the store is nil")
	}
	set, err := newSettings(opts)
	if err != nil {
		return nil, err
	}
	records, err := f.plan()
	if err != nil {
		return nil, err
	}
	r := &runner{
		mover: mover{
			f: f, set: set, store: store, base: context.WithoutCancel(ctx), accounts: map[string]*account{}, observed: set.observe != nil,
		},
		records: records, ctx: ctx, ledger: newLedger(), remains: map[*member]string{}, work: make(chan func() applied), results: make(chan applied, set.calls),
	}
	r.forward, r.cancelForward = context.WithCancelCause(ctx)
	r.woken.signal = make(chan struct{}, 1)
	r.notify = r.wake
	for name, a := range f.Accounts {
		r.accounts[name] = newAccount(a)
	}
	byName := make(map[string]Member, len(f.Members))
	for _, m := range f.Members {
		byName[m.Endpoint.Name()] = m
	}
	for i, w := range f.waves() {
		wv := &wave{Wave: w}
		for _, name := range records[i].Members {
			wv.members = append(wv.members, &member{Member: byName[name], name: name, wave: wv, at: -1})
		}
		r.waves = append(r.waves, wv)
	}
	return r, nil
}

// loop runs until the fleet has ended, or this runner leaves it.
func (r *runner) loop() {
	r.beatDue, r.newsDue = time.Now(), time.Now().Add(newsInterval)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		if !r.died && r.lost == nil {
			r.decide(now)
		}
		leaving := r.over || r.died || r.lost != nil
		if leaving && r.calls == 0 {
			return
		}
		if !leaving {
			r.dispatch(now)
		}
		timer.Reset(time.Until(r.due(now, leaving)))
		var done <-chan struct{}
		if !r.cancelled {
			done = r.ctx.Done()
		}
		select {
		case f := <-r.results:
			r.apply(f)
		case <-r.woken.signal:
			r.wakeMembers()
		case <-done:
		case <-timer.C:
		}
	}
}

// apply takes in what a call came to.
func (r *runner) apply(f applied) {
	if r.calls--; f == nil {
		r.died = true
	}
	if !r.died {
		f()
	}
}

// call makes a call on another goroutine. There are as many as calls were ever
// under way, and each is kept: its stack has grown by then.
func (r *runner) call(f func() applied) {
	if r.calls++; r.callers < r.calls {
		r.callers++
		go func() {
			for f := range r.work {
				r.make(f)
			}
		}()
	}
	r.work <- f
}

// make makes a call, and hands back what it came to, also if the call ends its
// goroutine.
func (r *runner) make(f func() applied) {
	var result applied
	defer func() { r.results <- result }()
	result = f()
}

// due is when the loop has something to do next, unless something happens.
func (r *runner) due(now time.Time, leaving bool) time.Time {
	due := now.Add(time.Hour)
	if leaving {
		return due
	}
	times := []time.Time{r.beatDue, r.newsDue}
	if r.reading {
		times = nil
	}
	if r.gate != nil {
		times = append(times, r.gate.due)
	}
	if len(r.queue) > 0 && r.calls < r.set.calls {
		times = append(times, r.queue[0].due)
	}
	for _, t := range times {
		if !t.IsZero() && t.Before(due) {
			due = t
		}
	}
	return due
}

// newsInterval is how often the journal is read for decisions.
const newsInterval = 10 * time.Second

// dispatch begins the calls that are due.
func (r *runner) dispatch(now time.Time) {
	if !r.reading && (!now.Before(r.beatDue) || !now.Before(r.newsDue)) {
		r.housekeep(now)
	}
	for r.calls < r.set.calls && len(r.queue) > 0 && !r.queue[0].due.After(now) {
		m := heap.Pop(&r.queue).(*member)
		if a := r.accounts[m.Account]; a != nil && !m.reserved {
			if at := a.reserve(now); at.After(now) {
				m.reserved = true
				r.schedule(m, at)
				continue
			}
		}
		m.reserved, m.calling = false, true
		ctx := r.forward
		if m.undoing {
			ctx = r.base
		}
		r.call(func() applied { return r.step(ctx, m) })
	}
}

// housekeep says that this runner is alive, and reads what others have decided.
func (r *runner) housekeep(now time.Time) {
	beat := !now.Before(r.beatDue)
	if beat {
		r.beatDue = now.Add(journal.HeartbeatInterval)
	}
	r.newsDue, r.reading = now.Add(newsInterval), true
	seq := r.ledger.seq
	r.call(func() applied {
		if beat {
			r.heartbeat()
		}
		var records []journal.Record
		err := r.store1(func(ctx context.Context) (err error) {
			records, err = journal.LoadAfter(ctx, r.store, journalName(r.f.ID), seq)
			return err
		})
		return func() {
			r.reading = false
			for i := range records {
				if err == nil && r.lost == nil {
					r.lost = r.news(&records[i])
				}
			}
		}
	})
}

// heartbeat says that this runner is alive, if the store has a place for that. A fleet
// is right without it.
func (r *runner) heartbeat() {
	if h, ok := journal.As[journal.Heartbeater](r.store); ok {
		_ = r.store1(func(ctx context.Context) error {
			return h.Heartbeat(ctx, journalName(r.f.ID), journal.Heartbeat{Rollout: r.f.ID, Owner: r.set.owner, Time: time.Now().Round(0)})
		})
	}
}

// schedule makes a member due at a time.
func (r *runner) schedule(m *member, at time.Time) {
	if m.due = at; m.at >= 0 {
		heap.Fix(&r.queue, m.at)
		return
	}
	heap.Push(&r.queue, m)
}

// wakeAll makes all members under way due now.
func (r *runner) wakeAll(now time.Time) {
	for _, m := range append(queue(nil), r.queue...) {
		r.schedule(m, now)
	}
}

// wake is called from other goroutines when something happened to a member.
func (r *runner) wake(m *member) {
	r.woken.Lock()
	r.woken.members = append(r.woken.members, m)
	r.woken.Unlock()
	select {
	case r.woken.signal <- struct{}{}:
	default:
	}
}

func (r *runner) wakeMembers() {
	r.woken.Lock()
	members := r.woken.members
	r.woken.members = nil
	r.woken.Unlock()
	for _, m := range members {
		switch {
		case m.calling:
			m.woken = true
		case m.at >= 0 && m.r != nil:
			m.r.Wake()
			if now := time.Now(); m.due.After(now) && !m.reserved {
				r.schedule(m, now)
			}
		}
	}
}

// leave waits for the calls under way, and gives the locks back.
func (r *runner) leave(release func() error) {
	for r.calls > 0 {
		r.apply(<-r.results)
	}
	close(r.work)
	for _, w := range r.waves {
		for _, m := range w.members {
			m.close()
		}
	}
	r.cancelForward(nil)
	_ = release() // the lock dies with the process in any case
}

// queue is a heap of the members that wait, by when each is due.
type queue []*member //nolint:recvcheck // as its methods need it

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q *queue) Push(x any) {
	m := x.(*member)
	m.at = len(*q)
	*q = append(*q, m)
}

func (q *queue) Pop() any {
	old := *q
	m := old[len(old)-1]
	old[len(old)-1] = nil
	*q, m.at = old[:len(old)-1], -1
	return m
}

// account paces the calls of an account's members.
type account struct {
	shared *waiter.Shared
	gap    time.Duration // between two calls; 0 for no limit
	slack  time.Duration // by how much calls may come early
	next   time.Time     // when the next call is due, at an even pace
}

func newAccount(a Account) *account {
	acc := &account{}
	if a.Lister != nil {
		acc.shared = waiter.NewShared(a.Lister, a.ListInterval)
	}
	if a.PerSecond > 0 {
		acc.gap = time.Duration(float64(time.Second) / a.PerSecond)
		acc.slack = time.Duration(max(1, a.Burst)-1) * acc.gap
	}
	return acc
}

// reserve says when the next call may begin, and takes that place.
func (a *account) reserve(now time.Time) time.Time {
	if a.gap == 0 {
		return now
	}
	if a.next.Before(now) {
		a.next = now
	}
	at := a.next.Add(-a.slack)
	a.next = a.next.Add(a.gap)
	if at.Before(now) {
		return now
	}
	return at
}
