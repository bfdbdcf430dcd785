package rollout

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// set notes that an option was given.
func (o *options) set(name string) { o.given[name] = true }

// refuse notes what is wrong with an option.
func (o *options) refuse(name, format string, args ...any) {
	o.errs = append(o.errs, invalid(name, format, args...))
}

func invalid(name, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", name, endpoint.ErrInvalid, fmt.Sprintf(format, args...))
}

// within is a duration that must be from least to most.
func (o *options) within(name string, d, least, most time.Duration) time.Duration {
	o.set(name)
	switch {
	case d < 0:
		o.refuse(name, "%v is negative", d)
	case d < least:
		o.refuse(name, "%v is no time", d)
	case d > most:
		o.refuse(name, "%v is more than %v", d, most)
	}
	return d
}

// need refuses a value that is nil.
func (o *options) need(name, what string, v any) {
	o.set(name)
	if isNil(v) {
		o.refuse(name, "the %s is nil", what)
	}
}

// isNil reports whether v is nil, or an interface that holds a nil pointer.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() { //nolint:exhaustive // the others need nothing here
	case reflect.Pointer, reflect.Func, reflect.Chan, reflect.Map, reflect.Interface:
		return r.IsNil()
	default:
		return false
	}
}

// check refuses options that mean nothing, in themselves or for this call.
func (o *options) check(call string, meaningless ...string) error {
	errs := o.errs
	for _, name := range meaningless {
		if o.given[name] {
			errs = append(errs, invalid(name, "it means nothing for %s", call))
		}
	}
	if o.forward && call == "Run" && !o.resumeFirst {
		errs = append(errs, invalid("WithForward", "it means nothing for Run without WithResumeFirst"))
	}
	if o.prove == strategy.ProofProbe && o.job == nil && call != "Resume" {
		errs = append(errs, invalid("WithProof", "%q needs a job, by WithProbe", o.prove))
	}
	return errors.Join(errs...)
}

// checkUpdater refuses an endpoint that cannot be called.
func checkUpdater(u endpoint.Updater) error {
	switch {
	case isNil(u):
		return invalid("updater", "it is nil")
	case u.Name() == "":
		return invalid("updater", "its name is empty")
	}
	return nil
}

// checkStore refuses a store that cannot be called.
func checkStore(s journal.Store) error {
	if isNil(s) {
		return invalid("store", "it is nil; journal.NewMemory() is for rollouts that need no resume after a crash")
	}
	return nil
}

// checkMove refuses a strategy and a target that mean nothing for the endpoint. A
// refresh needs no target.
func checkMove(u endpoint.Updater, s strategy.Strategy, t Target, refresh bool) error {
	if isNil(s) {
		return invalid("strategy", "it is nil")
	}
	if c, ok := s.(interface{ Check() error }); ok {
		if err := c.Check(); err != nil {
			return fmt.Errorf("strategy %s: %w", s, err)
		}
	}
	if err := t.check(); err != nil && !(refresh && t == Target{}) {
		return err
	}
	if _, ok := s.(interface{ SuspendsAutoscaling() }); ok {
		if err := can[endpoint.AutoscalingSuspender](u, s); err != nil {
			return err
		}
	}
	if _, ok := s.(interface{ SplitsTraffic() }); ok {
		if err := can[endpoint.Shifter](u, s); err != nil {
			return err
		}
	}
	if _, ok := s.(interface {
		Base(live endpoint.Revision) (endpoint.Revision, error)
	}); ok {
		return can[endpoint.Stager](u, s)
	}
	return nil
}

// can refuses a strategy that the endpoint has not the ability for.
func can[A any](u endpoint.Updater, s strategy.Strategy) error {
	if _, err := endpoint.Need[A](u); err != nil {
		return fmt.Errorf("strategy %s: %w: this endpoint cannot be served by it: %w", s, endpoint.ErrInvalid, err)
	}
	return nil
}

// nameOf is the endpoint's name, for a report on an updater that may be nil.
func nameOf(u endpoint.Updater) string {
	if isNil(u) {
		return ""
	}
	return u.Name()
}

// checkCall refuses arguments that mean nothing.
func checkCall(s journal.Store, u endpoint.Updater, more func() error) error {
	if err := errors.Join(checkStore(s), checkUpdater(u)); err != nil || more == nil {
		return err
	}
	return more()
}
