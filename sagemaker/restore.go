package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	aastypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// RestoreAutoscaling puts autoscaling back as the snapshot holds it, target by target and
// in the order that keeps half a set of policies from acting: register,
// suspended; tags; policies; scheduled actions; the actions of alarms; and last
// of all the flags of what is suspended. Then it reads everything back.
//
// It may be called again after any failure, and by another process. What is
// there already is not written again. Values that another program changed are
// left alone, also while it is at work, and the others are restored all the
// same; [Endpoint.InspectAutoscaling] names both. What goes wrong with one target does not
// keep the others from being restored. A target of a variant that is gone stays
// gone, and so does a scheduled action that can never fire again.
//
// AWS moves capacity into the bounds of a target whenever that is registered
// or resumed.
func (e *Endpoint) RestoreAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	s, err := e.openSnapshot(p.Data)
	if err != nil {
		return e.wrap("restore autoscaling", err)
	}
	return e.wrap("restore autoscaling", e.restore(ctx, s))
}

func (as *autoscaling) restore(ctx context.Context, s *snapshot) error {
	// What this call has registered, and reads may not show yet.
	registered := map[string]*target{}
	var errs []error
	for _, was := range s.Targets {
		err := as.repeat(ctx, func() (bool, error) { return as.restoreTarget(ctx, s, was, registered) })
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", was, err))
		}
		if contextError(ctx) != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// restoreTarget makes one pass over one target: all that is missing, and if
// there was anything, a poll of the result.
func (as *autoscaling) restoreTarget(ctx context.Context, s *snapshot, was *target, registered map[string]*target) (progress bool, err error) {
	one := &snapshot{ARN: s.ARN, Created: s.Created, Targets: []*target{was}, Alarms: s.Alarms}
	// What AWS refuses keeps only that away which depends on it.
	refused := refusedParts{}
	for polls := 0; ; polls++ {
		st, err := as.read(ctx, one)
		if err != nil {
			return progress, err
		}
		if have := registered[was.key()]; have != nil && st.targets[was.key()] == nil {
			c := *have
			c.Policies, c.Schedules = nil, nil
			st.targets[was.key()] = &c
		}
		wrote := false
		for {
			w := as.nextWrite(one, was, st, time.Now(), refused)
			if w == nil {
				break
			}
			if polls > 0 {
				// It was written, and does not show: that is not getting further.
				return false, fmt.Errorf("%s: %w", w.name, errPassing)
			}
			if wrote && w.foreign != nil { // some writes ago it was missing
				foreign, err := w.foreign(ctx)
				if err != nil {
					return progress, fmt.Errorf("%s: %w", w.name, err)
				}
				if foreign {
					continue
				}
			}
			if err := w.send(ctx); err != nil {
				if errors.Is(err, endpoint.ErrNotFound) {
					err = errors.Join(err, errPassing) // a registration takes its time to be seen
				}
				err = fmt.Errorf("%s: %w", w.name, err)
				if !w.part || errors.Is(err, errPassing) || endpoint.Transient(err) || !endpoint.Unapplied(err) {
					return progress, errors.Join(refused.err(), err)
				}
				refused[w.name] = err
				continue
			}
			w.apply()
			wrote, progress = true, true
			if w.registers {
				registered[was.key()] = st.targets[was.key()]
			}
		}
		if !wrote {
			return progress, refused.err()
		}
	}
}

// write is one write that brings a target closer to the snapshot.
type write struct {
	name      string
	registers bool
	// part: only what is named to depend on it has to wait for it.
	part bool
	// foreign reads whether another program has written it since, and if so
	// takes that over into the state.
	foreign func(ctx context.Context) (bool, error)
	send    func(ctx context.Context) error
	// apply does to the state what send did to AWS. Without send it tells what
	// restoring would come to.
	apply func()
}

// refusedParts are the errors of parts that AWS refused, by their names.
type refusedParts map[string]error

func (r refusedParts) err() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r)) {
		errs = append(errs, r[name])
	}
	return errors.Join(errs...)
}

// nextWrite is the first write that is missing and not among the refused; nil if
// there is nothing that this package would write. A target of which a part was
// refused stays suspended: half a set of policies must not act.
func (as *autoscaling) nextWrite(s *snapshot, was *target, st *state, now time.Time, refused refusedParts) *write {
	have := st.targets[was.key()]
	switch {
	case was.Mode == AutoscalingRetain, st.gone(was), have == nil && was.Mode == AutoscalingSuspend:
		return nil
	case have == nil:
		return as.register(was, st)
	case was.Mode == AutoscalingDeregister:
		if w := as.nextPart(s, was, have, st, now, refused); w != nil {
			w.part = true
			return w
		}
		if len(refused) > 0 {
			return nil
		}
	}
	if have.Suspended == allSuspended && was.Suspended != allSuspended {
		return &write{
			name: "resume", apply: func() { have.Suspended = was.Suspended },
			foreign: func(ctx context.Context) (bool, error) {
				found, err := as.targets(ctx, map[string]string{was.ResourceID: was.Variant})
				for _, t := range found {
					if t.key() == was.key() {
						have.Suspended = t.Suspended
					}
				}
				return have.Suspended != allSuspended, err
			},
			send: func(ctx context.Context) error { return as.setSuspended(ctx, was, was.Suspended) },
		}
	}
	return nil
}

// register makes a target, with all scaling suspended.
func (as *autoscaling) register(was *target, st *state) *write {
	made := &target{
		ResourceID: was.ResourceID, Dimension: was.Dimension, Variant: was.Variant, Min: was.Min, Max: was.Max,
		Suspended: allSuspended, Tags: was.Tags,
	}
	return &write{
		name: "register", registers: true,
		send: func(ctx context.Context) error {
			// The role is Application Auto Scaling's own, and is left out.
			out, err := call(ctx, as.aas.RegisterScalableTarget, &aas.RegisterScalableTargetInput{
				ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceId: &was.ResourceID, ScalableDimension: was.Dimension,
				MinCapacity: &was.Min, MaxCapacity: &was.Max, SuspendedState: allSuspended.state(), Tags: was.Tags,
			}, onceAAS)
			if err != nil {
				// It may have been made by a request whose answer was lost, and
				// AWS takes tags for a new target only.
				if errors.Is(err, endpoint.ErrInvalid) && len(was.Tags) > 0 {
					return as.suspendExisting(ctx, was, err)
				}
				return err
			}
			made.ARN = deref(out.ScalableTargetARN)
			return nil
		},
		apply: func() { st.targets[was.key()] = made },
	}
}

// suspendExisting tells a target that is there already, and only not shown
// yet, from one that AWS does not take.
func (as *autoscaling) suspendExisting(ctx context.Context, was *target, refused error) error {
	found, err := as.targets(ctx, map[string]string{was.ResourceID: was.Variant})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(t *target) bool { return t.key() == was.key() }) {
		return errors.Join(errPassing, refused) // the next pass takes it from there
	}
	return refused
}

// nextPart is the first thing that is missing of what hangs on a target.
func (as *autoscaling) nextPart(s *snapshot, was, have *target, st *state, now time.Time, refused refusedParts) *write {
	if tags := lackingTags(was, have); len(tags) > 0 && have.ARN != "" && refused["tag"] == nil {
		return &write{
			name: "tag",
			send: func(ctx context.Context) error {
				_, err := call(ctx, as.aas.TagResource, &aas.TagResourceInput{ResourceARN: &have.ARN, Tags: tags}, onceAAS)
				return err
			},
			apply: func() {
				all := maps.Clone(tags)
				maps.Copy(all, have.Tags)
				have.Tags = all
			},
		}
	}
	for _, p := range was.Policies {
		if have.policy(p.Name) == nil && refused["policy "+p.Name] == nil {
			return as.putPolicy(p, was, have)
		}
	}
	for _, a := range was.Schedules {
		if !have.hasSchedule(a.Name) && !a.over(now) && refused["scheduled action "+a.Name] == nil {
			return as.putSchedule(a, was, have, now)
		}
	}
	for _, then := range s.Alarms {
		current := st.alarms[then.Name]
		if current == nil || refused["alarm "+then.Name] != nil {
			continue
		}
		if fixed := repaired(then, current, was, have); fixed != nil {
			return &write{
				name:  "alarm " + then.Name,
				send:  func(ctx context.Context) error { return as.putAlarm(ctx, then, was, have) },
				apply: func() { *current = *fixed },
			}
		}
	}
	return nil
}

// lackingTags are those that are not there at all.
func lackingTags(was, have *target) map[string]string {
	tags := map[string]string{}
	for k, v := range was.Tags {
		if _, ok := have.Tags[k]; !ok {
			tags[k] = v
		}
	}
	return tags
}

func (as *autoscaling) putPolicy(p policy, was, have *target) *write {
	arn := p.ARN
	return &write{
		name: "policy " + p.Name,
		foreign: func(ctx context.Context) (bool, error) {
			now := &target{ResourceID: was.ResourceID, Dimension: was.Dimension}
			err := as.policies(ctx, now)
			q := now.policy(p.Name)
			if q != nil {
				have.Policies = append(have.Policies, *q)
			}
			return q != nil, err
		},
		send: func(ctx context.Context) error {
			out, err := call(ctx, as.aas.PutScalingPolicy, &aas.PutScalingPolicyInput{
				ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceId: &was.ResourceID, ScalableDimension: was.Dimension,
				PolicyName: &p.Name, PolicyType: p.Type,
				StepScalingPolicyConfiguration: p.Step, TargetTrackingScalingPolicyConfiguration: p.TargetTracking,
			}, onceAAS)
			if err == nil {
				arn = deref(out.PolicyARN)
			}
			return err
		},
		apply: func() {
			q := p
			q.ARN = arn
			have.Policies = append(have.Policies, q)
		},
	}
}

func (as *autoscaling) putSchedule(a schedule, was, have *target, now time.Time) *write {
	in := &aas.PutScheduledActionInput{
		ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceId: &was.ResourceID, ScalableDimension: was.Dimension,
		ScheduledActionName: &a.Name, Schedule: &a.Schedule, EndTime: a.End,
		ScalableTargetAction: &aastypes.ScalableTargetAction{MinCapacity: a.Min, MaxCapacity: a.Max},
	}
	if a.Timezone != "" {
		in.Timezone = &a.Timezone
	}
	if a.Start != nil && a.Start.After(now) { // a start in the past says nothing any more
		in.StartTime = a.Start
	}
	return &write{
		name: "scheduled action " + a.Name,
		foreign: func(ctx context.Context) (bool, error) {
			now := &target{ResourceID: was.ResourceID, Dimension: was.Dimension}
			err := as.schedules(ctx, now)
			for _, b := range now.Schedules {
				if b.Name == a.Name {
					have.Schedules = append(have.Schedules, b)
				}
			}
			return have.hasSchedule(a.Name), err
		},
		send: func(ctx context.Context) error {
			_, err := call(ctx, as.aas.PutScheduledAction, in, onceAAS)
			return err
		},
		apply: func() { have.Schedules = append(have.Schedules, a) },
	}
}
