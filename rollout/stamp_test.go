package rollout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// stamped is a store without a lock that keeps a stamp.
type stamped struct {
	unlocked
	journal.Heartbeater
}

func newStamped() stamped {
	m := journal.NewMemory()
	return stamped{unlocked{m}, m}
}

// lately is how long a driver that stamps no more is waited for.
const lately = 3*journal.HeartbeatInterval + 30*time.Second // the settle time

// A driver that lives is not taken over: whoever tries is told who it is.
func TestLiveDriverIsNotTakenOver(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := newStamped()
		done := make(chan error)
		go func() {
			_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithOwner("first"), rollout.WithBake(time.Hour))
			done <- err
		}()
		time.Sleep(10*time.Minute + 7*time.Second)
		before, err := store.Load(t.Context(), fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second"))
		if !errors.Is(err, endpoint.ErrBusy) || !strings.Contains(err.Error(), "held by first, last seen alive") {
			t.Errorf("Resume = %v, want it to be %v and to name the holder", err, endpoint.ErrBusy)
		}
		if took := time.Since(began); took > journal.HeartbeatInterval {
			t.Errorf("it took %v to see that the first driver is alive", took)
		}
		third, err := rollout.Attach(t.Context(), store, fx, rollout.WithOwner("third"))
		if err != nil {
			t.Fatal(err)
		}
		defer third.Close()
		if err := claim(t, third, store, fx.Name(), "third"); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("Advance = %v, want it to be %v", err, endpoint.ErrBusy)
		}
		_, err = rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
		if !errors.Is(err, rollout.ErrUnfinished) || !strings.Contains(err.Error(), "run by first, last seen alive") {
			t.Errorf("Run = %v, want it to be %v and to name the holder", err, rollout.ErrUnfinished)
		}
		text, err := rollout.Explain(t.Context(), store, fx.Name())
		if err != nil || !strings.Contains(text, "first was last seen alive") {
			t.Errorf("Explain = %s, %v", text, err)
		}
		after, err := store.Load(t.Context(), fx.Name())
		if err != nil || len(after) != len(before) {
			t.Errorf("the journal has %d records, and had %d before somebody tried to take over: %v", len(after), len(before), err)
		}
		if err := <-done; err != nil {
			t.Errorf("the first driver ended with %v", err)
		}
	})
}

// crashed is a rollout whose driver has died a while ago.
func (fx *fixture) crashed(t *testing.T, store journal.Store, ago time.Duration) {
	t.Helper()
	fx.crashAt(t, store, 1, rollout.WithOwner("first"))
	time.Sleep(ago)
}

// A driver that does not say that it is alive any more is taken over as soon as
// that is sure: at once if it has been long.
func TestDeadDriverIsTakenOver(t *testing.T) {
	for _, ago := range []time.Duration{0, time.Minute, lately, 24 * time.Hour} {
		eachWay(t, func(t *testing.T, fx *fixture) {
			store := newStamped()
			fx.crashed(t, store, ago)
			last, err := store.LastHeartbeat(t.Context(), fx.Name())
			if err != nil {
				t.Fatal(err)
			}
			began, taken := time.Now(), time.Duration(0)
			_, err = rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second"), rollout.WithHook(func(e rollout.Event) {
				if e.Kind == rollout.EventResume {
					taken = time.Since(began)
				}
			}))
			if want := max(0, time.Until(last.Time.Add(lately))+time.Since(began)); taken != want {
				t.Errorf("taken over after %v, want %v", taken, want)
			}
			if !errors.Is(err, rollout.ErrRolledBack) {
				t.Errorf("Resume = %v, want it to be %v", err, rollout.ErrRolledBack)
			}
			fx.wantAsBefore(t)
		})
	}
}

// What nobody drives, because it was stopped, is taken over at once, and so is
// one's own.
func TestStoppedRolloutIsTakenOverAtOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := newStamped()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := rollout.Run(ctx, store, fx, fx.strategy, fx.target, rollout.WithDetach(), rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventWrite {
				cancel()
			}
		}))
		if !errors.Is(err, rollout.ErrDetached) {
			t.Fatalf("Run = %v, want it to be %v", err, rollout.ErrDetached)
		}
		began := time.Now()
		second, err := rollout.Attach(t.Context(), store, fx, rollout.WithOwner("second"))
		if err != nil {
			t.Fatal(err)
		}
		err = claim(t, second, store, fx.Name(), "second")
		if took := time.Since(began); err != nil || took != 0 {
			t.Errorf("Advance = %v after %v, want it to take over at once", err, took)
		}
	})
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := newStamped()
		fx.crashed(t, store, 0)
		began := time.Now()
		_, err := rollout.Resume(t.Context(), store, fx, rollout.WithOwner("first"), rollout.WithForward(), rollout.WithHook(func(e rollout.Event) {
			if took := time.Since(began); e.Kind == rollout.EventResume && took != 0 {
				t.Errorf("it waited %v for its own death", took)
			}
		}))
		if err != nil {
			t.Errorf("Resume = %v", err)
		}
	})
}

// If the holder ends the rollout while somebody waits for its death, nothing is left to do.
func TestHolderEndsMeanwhile(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := newStamped()
		fx.crashed(t, store, 0)
		plain := store.unlocked // in which the same driver leaves no stamp
		done := make(chan error)
		go func() {
			time.Sleep(5 * time.Second)
			records, err := store.Load(t.Context(), fx.Name())
			if err == nil {
				end := journal.Record{Kind: journal.KindEnd, Outcome: string(rollout.OutcomeRolledBack)}
				err = plain.Append(t.Context(), fx.Name(), next(t, records[len(records)-1], end))
			}
			done <- err
		}()
		n := len(fx.writes())
		r, err := rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second"))
		if err != nil || r.Outcome != rollout.OutcomeNothing || len(fx.writes()) != n {
			t.Errorf("Resume = %v, %v with %d writes, want nothing to do", r, err, len(fx.writes())-n)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// unsteady is a store whose stamps are never there.
type unsteady struct{ unlocked }

func (unsteady) Heartbeat(ctx context.Context, _ string, _ journal.Heartbeat) error {
	<-ctx.Done()
	return ctx.Err()
}

func (unsteady) LastHeartbeat(context.Context, string) (journal.Heartbeat, error) {
	return journal.Heartbeat{}, errors.New("the network is down")
}

// A stamp that cannot be left, or not be read, holds nothing up: the journal is the fence.
func TestStampsThatFail(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := unsteady{unlocked{journal.NewMemory()}}
		fx.crashed(t, store, 0)
		if _, err := rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second"), rollout.WithForward()); err != nil {
			t.Errorf("Resume = %v", err)
		}
	})
}

// Whoever waits for a death stops when its context is done, with nothing changed.
func TestAwaitingDeathHeedsContext(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := newStamped()
		fx.crashed(t, store, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		n, began := len(fx.writes()), time.Now()
		_, err := rollout.Resume(ctx, store, fx, rollout.WithOwner("second"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 20*time.Second || len(fx.writes()) != n {
			t.Errorf("Resume = %v after %v with %d writes, want %v after 20s with none", err, time.Since(began), len(fx.writes())-n, context.DeadlineExceeded)
		}
	})
}

// A rollout that is driven action by action is driven all the same, however
// long one of them takes.
func TestAdvanceSaysThatItLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx, store, engine := flushFixture(), newStamped(), rollout.WithOwner("engine")
		r, err := rollout.Begin(t.Context(), store, fx, strategy.InPlace{}, fx.target, engine, rollout.WithBake(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			for {
				next, _, err := r.Advance(t.Context())
				if next.IsZero() {
					ended <- err
					return
				}
				time.Sleep(time.Until(next))
			}
		}()
		time.Sleep(30 * time.Minute)
		if _, err := rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second")); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("Resume = %v, want it to be %v", err, endpoint.ErrBusy)
		}
		if err := <-ended; err != nil {
			t.Errorf("the engine ended with %v", err)
		}
	})
}

// A driver that was taken over while it slept does not hide, when it wakes in
// the middle of a wait, that the one after it lives.
func TestDriverBeforeDoesNotHideTheHolder(t *testing.T) {
	for after := range journal.HeartbeatInterval / time.Second {
		bubble(t, func(t *testing.T) {
			fx, store := flushFixture(), newStamped()
			first, second := make(chan error), make(chan error)
			go func() {
				_, err := rollout.Run(t.Context(), store, fx, strategy.InPlace{}, fx.target, rollout.WithOwner("first"), rollout.WithBake(time.Hour))
				first <- err
			}()
			time.Sleep(10 * time.Minute)
			go func() { // which takes the first one for dead
				_, err := rollout.Resume(t.Context(), blind{store}, fx, rollout.WithOwner("second"), rollout.WithForward())
				second <- err
			}()
			time.Sleep(after*time.Second + time.Millisecond)
			if _, err := rollout.Resume(t.Context(), store, fx, rollout.WithOwner("third")); !errors.Is(err, endpoint.ErrBusy) || !strings.Contains(err.Error(), "held by second") {
				t.Errorf("Resume %d seconds after the second driver = %v, want it to be %v and to name it", after, err, endpoint.ErrBusy)
			}
			if err := <-second; err != nil {
				t.Errorf("the second driver ended with %v", err)
			}
			if err := <-first; !errors.Is(err, rollout.ErrDetached) {
				t.Errorf("the first driver ended with %v", err)
			}
		})
	}
}

// blind is a store with stamps that cannot be read.
type blind struct{ stamped }

func (blind) LastHeartbeat(context.Context, string) (journal.Heartbeat, error) {
	return journal.Heartbeat{}, errors.New("the network is down")
}

// Whose clock is ahead is not waited for any longer, however wrong it is.
func TestHolderAhead(t *testing.T) {
	for _, ahead := range []time.Duration{29 * time.Second, 24 * time.Hour} {
		bubble(t, func(t *testing.T) {
			fx, store := flushFixture(), newStamped()
			fx.crashed(t, store, 0)
			last, err := store.LastHeartbeat(t.Context(), fx.Name())
			if err != nil {
				t.Fatal(err)
			}
			last.Time = last.Time.Add(ahead)
			if err := store.Heartbeat(t.Context(), fx.Name(), last); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err = rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second"), rollout.WithHook(func(e rollout.Event) {
				if took := time.Since(began); e.Kind == rollout.EventResume && took != lately {
					t.Errorf("taken over after %v, want %v", took, lately)
				}
			}))
			if !errors.Is(err, rollout.ErrRolledBack) {
				t.Errorf("Resume = %v", err)
			}
		})
	}
}

// A driver whose clock is set back while it drives is seen to live.
func TestHolderSetBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx, store := flushFixture(), newStamped()
		fx.crashed(t, store, 0)
		last, err := store.LastHeartbeat(t.Context(), fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(journal.HeartbeatInterval/2, func() {
			last.Time = last.Time.Add(-20 * time.Second)
			if err := store.Heartbeat(t.Context(), fx.Name(), last); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		_, err = rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second"))
		if took := time.Since(began); !errors.Is(err, endpoint.ErrBusy) || took != journal.HeartbeatInterval {
			t.Errorf("Resume = %v after %v, want it to be %v after %v", err, took, endpoint.ErrBusy, journal.HeartbeatInterval)
		}
	})
}

// hung is a store that keeps the first stamp, and no later one.
type hung struct {
	stamped
	n *int
}

func (h hung) Heartbeat(ctx context.Context, name string, s journal.Heartbeat) error {
	if *h.n++; *h.n == 1 {
		return h.stamped.Heartbeat(ctx, name, s)
	}
	<-ctx.Done()
	return ctx.Err()
}

// A stamp that hangs does not keep a rollout from ending.
func TestHangingStamp(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		var ended time.Time
		_, err := rollout.Run(t.Context(), hung{newStamped(), new(int)}, fx, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventEnd {
				ended = e.Time
			}
		}))
		if late := time.Since(ended); err != nil || late != 0 {
			t.Errorf("Run = %v, %v after its end", err, late)
		}
	})
}

// Only what concerns the holder is waited for: not with a lock, which proves
// that it is dead, nor for the stamp of an earlier rollout.
func TestNothingToWaitFor(t *testing.T) {
	for name, store := range map[string]func() journal.Store{
		"a lock":            func() journal.Store { return journal.NewMemory() },
		"another rollout's": func() journal.Store { return newStamped() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx, store := flushFixture(), store()
				fx.crashed(t, store, 0)
				if name != "a lock" {
					earlier := journal.Heartbeat{Rollout: "20260102-030405-abcdef", Owner: "first", Time: time.Now()}
					if err := store.(journal.Heartbeater).Heartbeat(t.Context(), fx.Name(), earlier); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				_, err := rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second"), rollout.WithForward(), rollout.WithHook(func(e rollout.Event) {
					if took := time.Since(began); e.Kind == rollout.EventResume && took != 0 {
						t.Errorf("taken over after %v", took)
					}
				}))
				if err != nil {
					t.Errorf("Resume = %v", err)
				}
			})
		})
	}
}

// A holder whose stamps do not arrive lives if its records do; one that is
// silent is dead whoever else stamps.
func TestWhoIsAlive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx, store := flushFixture(), newStamped()
		fx.crashed(t, store, 0)
		time.AfterFunc(5*time.Second, func() {
			records, err := store.Load(t.Context(), fx.Name())
			if err == nil {
				err = store.Append(t.Context(), fx.Name(), next(t, records[len(records)-1], journal.Record{Kind: journal.KindDone}))
			}
			if err != nil {
				t.Error(err)
			}
		})
		if _, err := rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second")); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("Resume = %v, want it to be %v", err, endpoint.ErrBusy)
		}
	})
	bubble(t, func(t *testing.T) {
		fx, store := flushFixture(), newStamped()
		fx.crashed(t, store, 0)
		last, err := store.LastHeartbeat(t.Context(), fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Second, func() {
			last.Owner, last.Time = "one before", time.Now()
			if err := store.Heartbeat(t.Context(), fx.Name(), last); err != nil {
				t.Error(err)
			}
		})
		if _, err := rollout.Resume(t.Context(), store, fx, rollout.WithOwner("second")); !errors.Is(err, rollout.ErrRolledBack) {
			t.Errorf("Resume = %v, want it to be %v", err, rollout.ErrRolledBack)
		}
	})
}
