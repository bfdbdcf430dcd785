package strategy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// stamped is a store without a lock that keeps a stamp.
type stamped struct {
	unlocked
	strategy.Stamper
}

func newStamped() stamped {
	m := strategy.NewMemory()
	return stamped{unlocked{m}, m}
}

// lately is how long a driver that stamps no more is waited for.
const lately = 3*strategy.StampInterval + 30*time.Second // the settle time

// A driver that lives is not taken over: whoever tries is told who it is.
func TestLiveDriverIsNotTakenOver(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := newStamped()
		done := make(chan error)
		go func() {
			_, err := strategy.Run(t.Context(), store, fx, fx.strategy, fx.target, strategy.WithDriver("first"), strategy.WithBake(time.Hour))
			done <- err
		}()
		time.Sleep(10*time.Minute + 7*time.Second)
		before, err := store.Load(t.Context(), fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second"))
		if !errors.Is(err, endpoint.ErrBusy) || !strings.Contains(err.Error(), "held by first, last seen alive") {
			t.Errorf("Resume = %v, want it to be %v and to name the holder", err, endpoint.ErrBusy)
		}
		if took := time.Since(began); took > strategy.StampInterval {
			t.Errorf("it took %v to see that the first driver is alive", took)
		}
		if _, _, err := strategy.Next(t.Context(), store, fx, strategy.WithDriver("third")); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("Next = %v, want it to be %v", err, endpoint.ErrBusy)
		}
		_, err = strategy.Run(t.Context(), store, fx, fx.strategy, fx.target)
		if !errors.Is(err, strategy.ErrUnfinished) || !strings.Contains(err.Error(), "driven by first, last seen alive") {
			t.Errorf("Run = %v, want it to be %v and to name the holder", err, strategy.ErrUnfinished)
		}
		text, err := strategy.Explain(t.Context(), store, fx.Name())
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
func (fx *fixture) crashed(t *testing.T, store strategy.Store, ago time.Duration) {
	t.Helper()
	fx.crashAt(t, store, 1, strategy.WithDriver("first"))
	time.Sleep(ago)
}

// A driver that does not say that it is alive any more is taken over as soon as
// that is sure: at once if it has been long.
func TestDeadDriverIsTakenOver(t *testing.T) {
	for _, ago := range []time.Duration{0, time.Minute, lately, 24 * time.Hour} {
		eachWay(t, func(t *testing.T, fx *fixture) {
			store := newStamped()
			fx.crashed(t, store, ago)
			last, err := store.Stamped(t.Context(), fx.Name())
			if err != nil {
				t.Fatal(err)
			}
			began, taken := time.Now(), time.Duration(0)
			_, err = strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second"), strategy.WithObserver(func(e strategy.Event) {
				if e.Kind == strategy.EventResume {
					taken = time.Since(began)
				}
			}))
			if want := max(0, time.Until(last.Time.Add(lately))+time.Since(began)); taken != want {
				t.Errorf("taken over after %v, want %v", taken, want)
			}
			if !errors.Is(err, endpoint.ErrRolledBack) {
				t.Errorf("Resume = %v, want it to be %v", err, endpoint.ErrRolledBack)
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
		_, err := strategy.Run(ctx, store, fx, fx.strategy, fx.target, strategy.WithDetach(), strategy.WithObserver(func(e strategy.Event) {
			if e.Kind == strategy.EventWrite {
				cancel()
			}
		}))
		if !errors.Is(err, strategy.ErrDetached) {
			t.Fatalf("Run = %v, want it to be %v", err, strategy.ErrDetached)
		}
		began := time.Now()
		_, _, err = strategy.Next(t.Context(), store, fx, strategy.WithDriver("second"))
		if took := time.Since(began); err != nil || took != 0 {
			t.Errorf("Next = %v after %v, want it to take over at once", err, took)
		}
	})
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := newStamped()
		fx.crashed(t, store, 0)
		began := time.Now()
		_, err := strategy.Resume(t.Context(), store, fx, strategy.WithDriver("first"), strategy.WithForward(), strategy.WithObserver(func(e strategy.Event) {
			if took := time.Since(began); e.Kind == strategy.EventResume && took != 0 {
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
				last := records[len(records)-1]
				err = plain.Append(t.Context(), fx.Name(), strategy.Record{
					Version: 1, Seq: last.Seq + 1, Time: time.Now(), Rollout: last.Rollout, Kind: strategy.KindEnd, Outcome: strategy.RolledBack,
				})
			}
			done <- err
		}()
		n := len(fx.writes())
		r, err := strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second"))
		if err != nil || r.Outcome != strategy.Nothing || len(fx.writes()) != n {
			t.Errorf("Resume = %v, %v with %d writes, want nothing to do", r, err, len(fx.writes())-n)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// unsteady is a store whose stamps are never there.
type unsteady struct{ unlocked }

func (unsteady) Stamp(ctx context.Context, _ string, _ strategy.Stamp) error {
	<-ctx.Done()
	return ctx.Err()
}

func (unsteady) Stamped(context.Context, string) (strategy.Stamp, error) {
	return strategy.Stamp{}, errors.New("the network is down")
}

// A stamp that cannot be left, or not be read, holds nothing up: the journal is the fence.
func TestStampsThatFail(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := unsteady{unlocked{strategy.NewMemory()}}
		fx.crashed(t, store, 0)
		if _, err := strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second"), strategy.WithForward()); err != nil {
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
		_, err := strategy.Resume(ctx, store, fx, strategy.WithDriver("second"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 20*time.Second || len(fx.writes()) != n {
			t.Errorf("Resume = %v after %v with %d writes, want %v after 20s with none", err, time.Since(began), len(fx.writes())-n, context.DeadlineExceeded)
		}
	})
}

// A rollout that is driven action by action is driven all the same, however
// long one of them takes.
func TestNextSaysThatItLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx, store, engine := flushFixture(), newStamped(), strategy.WithDriver("engine")
		if _, err := strategy.Begin(t.Context(), store, fx, strategy.InPlace{}, fx.target, engine, strategy.WithBake(time.Hour)); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			for {
				if _, done, err := strategy.Next(t.Context(), store, fx, engine); done || err != nil {
					ended <- err
					return
				}
			}
		}()
		time.Sleep(30 * time.Minute)
		if _, err := strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second")); !errors.Is(err, endpoint.ErrBusy) {
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
	for after := range strategy.StampInterval / time.Second {
		bubble(t, func(t *testing.T) {
			fx, store := flushFixture(), newStamped()
			first, second := make(chan error), make(chan error)
			go func() {
				_, err := strategy.Run(t.Context(), store, fx, strategy.InPlace{}, fx.target, strategy.WithDriver("first"), strategy.WithBake(time.Hour))
				first <- err
			}()
			time.Sleep(10 * time.Minute)
			go func() { // which takes the first one for dead
				_, err := strategy.Resume(t.Context(), blind{store}, fx, strategy.WithDriver("second"), strategy.WithForward())
				second <- err
			}()
			time.Sleep(after*time.Second + time.Millisecond)
			if _, err := strategy.Resume(t.Context(), store, fx, strategy.WithDriver("third")); !errors.Is(err, endpoint.ErrBusy) || !strings.Contains(err.Error(), "held by second") {
				t.Errorf("Resume %d seconds after the second driver = %v, want it to be %v and to name it", after, err, endpoint.ErrBusy)
			}
			if err := <-second; err != nil {
				t.Errorf("the second driver ended with %v", err)
			}
			if err := <-first; !errors.Is(err, strategy.ErrDetached) {
				t.Errorf("the first driver ended with %v", err)
			}
		})
	}
}

// blind is a store with stamps that cannot be read.
type blind struct{ stamped }

func (blind) Stamped(context.Context, string) (strategy.Stamp, error) {
	return strategy.Stamp{}, errors.New("the network is down")
}

// Whose clock is ahead is not waited for any longer, however wrong it is.
func TestHolderAhead(t *testing.T) {
	for _, ahead := range []time.Duration{29 * time.Second, 24 * time.Hour} {
		bubble(t, func(t *testing.T) {
			fx, store := flushFixture(), newStamped()
			fx.crashed(t, store, 0)
			last, err := store.Stamped(t.Context(), fx.Name())
			if err != nil {
				t.Fatal(err)
			}
			last.Time = last.Time.Add(ahead)
			if err := store.Stamp(t.Context(), fx.Name(), last); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err = strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second"), strategy.WithObserver(func(e strategy.Event) {
				if took := time.Since(began); e.Kind == strategy.EventResume && took != lately {
					t.Errorf("taken over after %v, want %v", took, lately)
				}
			}))
			if !errors.Is(err, endpoint.ErrRolledBack) {
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
		last, err := store.Stamped(t.Context(), fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(strategy.StampInterval/2, func() {
			last.Time = last.Time.Add(-20 * time.Second)
			if err := store.Stamp(t.Context(), fx.Name(), last); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		_, err = strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second"))
		if took := time.Since(began); !errors.Is(err, endpoint.ErrBusy) || took != strategy.StampInterval {
			t.Errorf("Resume = %v after %v, want it to be %v after %v", err, took, endpoint.ErrBusy, strategy.StampInterval)
		}
	})
}

// hung is a store that keeps the first stamp, and no later one.
type hung struct {
	stamped
	n *int
}

func (h hung) Stamp(ctx context.Context, name string, s strategy.Stamp) error {
	if *h.n++; *h.n == 1 {
		return h.stamped.Stamp(ctx, name, s)
	}
	<-ctx.Done()
	return ctx.Err()
}

// A stamp that hangs does not keep a rollout from ending.
func TestHangingStamp(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		var ended time.Time
		_, err := strategy.Run(t.Context(), hung{newStamped(), new(int)}, fx, fx.strategy, fx.target, strategy.WithObserver(func(e strategy.Event) {
			if e.Kind == strategy.EventEnd {
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
	for name, store := range map[string]func() strategy.Store{
		"a lock":            func() strategy.Store { return strategy.NewMemory() },
		"another rollout's": func() strategy.Store { return newStamped() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx, store := flushFixture(), store()
				fx.crashed(t, store, 0)
				if name != "a lock" {
					earlier := strategy.Stamp{Rollout: "20260102-030405-abcdef", Driver: "first", Time: time.Now()}
					if err := store.(strategy.Stamper).Stamp(t.Context(), fx.Name(), earlier); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				_, err := strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second"), strategy.WithForward(), strategy.WithObserver(func(e strategy.Event) {
					if took := time.Since(began); e.Kind == strategy.EventResume && took != 0 {
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
				last := records[len(records)-1]
				err = store.Append(t.Context(), fx.Name(), strategy.Record{
					Version: 1, Seq: last.Seq + 1, Time: time.Now(), Rollout: last.Rollout, Kind: strategy.KindDone,
				})
			}
			if err != nil {
				t.Error(err)
			}
		})
		if _, err := strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second")); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("Resume = %v, want it to be %v", err, endpoint.ErrBusy)
		}
	})
	bubble(t, func(t *testing.T) {
		fx, store := flushFixture(), newStamped()
		fx.crashed(t, store, 0)
		last, err := store.Stamped(t.Context(), fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Second, func() {
			last.Driver, last.Time = "one before", time.Now()
			if err := store.Stamp(t.Context(), fx.Name(), last); err != nil {
				t.Error(err)
			}
		})
		if _, err := strategy.Resume(t.Context(), store, fx, strategy.WithDriver("second")); !errors.Is(err, endpoint.ErrRolledBack) {
			t.Errorf("Resume = %v, want it to be %v", err, endpoint.ErrRolledBack)
		}
	})
}
