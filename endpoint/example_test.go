package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

func newWorkers() *endpointtest.Workers {
	return endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
	})
}

// An endpoint is looked at and changed through the one interface, whoever
// provides it.
func ExampleUpdater() {
	ctx := context.Background()
	var ep endpoint.Updater = newWorkers()

	if err := ep.Update(ctx, endpoint.Change{To: endpoint.Revision{Kind: "template", ID: "b"}}); err != nil {
		fmt.Println(err)
		return
	}
	s, err := ep.Status(ctx)
	fmt.Println(s.Phase, err)
	fmt.Println("accepted:", s.Desired)
	fmt.Println("serving: ", s.Serving, s.Mixed)
	// Output:
	// updating <nil>
	// accepted: template b (acme/sdxl:v2)
	// serving:  nothing false
}

// audited says who did it; it knows nothing of what else an endpoint can do.
type audited struct {
	endpoint.Updater
	who string
}

// Unwrap lets abilities be found through the wrapper.
func (a audited) Unwrap() endpoint.Updater { return a.Updater }

func (a audited) Update(ctx context.Context, c endpoint.Change) error {
	fmt.Printf("%s updates %s to %s\n", a.who, a.Name(), c.To)
	return a.Updater.Update(ctx, c)
}

func ExampleAs() {
	ep := audited{newWorkers(), "CI"}

	if d, ok := endpoint.As[endpoint.Drainer](ep); ok {
		jobs, err := d.Jobs(context.Background())
		fmt.Println(jobs.InFlight, jobs.Queued, err)
	}
	_, ok := endpoint.As[endpoint.AutoscalingSuspender](ep)
	fmt.Println(ok)
	// Output:
	// 0 0 <nil>
	// false
}

func ExampleNeed() {
	_, err := endpoint.Need[endpoint.AutoscalingSuspender](newWorkers())
	fmt.Println(err)
	fmt.Println(errors.Is(err, errors.ErrUnsupported))
	// Output:
	// use fake/workers: no AutoscalingSuspender: unsupported operation
	// true
}

func ExampleRevision_Same() {
	want := endpoint.Revision{Kind: "template", ID: "b"}
	found := endpoint.Revision{Kind: "template", ID: "b", Artifact: "acme/sdxl:v2", Digest: "sha256:1c2d"}
	rewritten := endpoint.Revision{Kind: "template", ID: "b", Artifact: "acme/sdxl:v3", Digest: "sha256:9f00"}
	fmt.Println(want.Same(found), found.Same(rewritten))
	// Unknown is never a match.
	fmt.Println(endpoint.Revision{}.Same(endpoint.Revision{}))
	// Output:
	// true false
	// false
}

// A write that failed is of one of two kinds: it changed nothing for sure, or
// only reading tells.
func ExampleUnapplied() {
	ctx := context.Background()
	ep := newWorkers()
	ep.OnMutation(func(n int, _ string) endpointtest.Fault {
		return []endpointtest.Fault{1: endpointtest.Refuse(endpoint.ErrQuota), 2: endpointtest.LostAfter()}[n]
	})
	for range 2 {
		err := ep.Set(ctx, endpoint.WorkersMax, 5)
		s, _ := ep.Status(ctx)
		fmt.Println(endpoint.Unapplied(err), s.Settings[endpoint.WorkersMax])
	}
	// Output:
	// true 3
	// false 5
}

func ExampleTransient() {
	for _, err := range []error{endpoint.ErrThrottled, endpoint.ErrBusy, endpoint.ErrUnavailable, endpoint.ErrQuota} {
		fmt.Println(endpoint.Transient(&endpoint.Error{Op: "update", Endpoint: "runpod/abc", Err: err}), err)
	}
	// Output:
	// true throttled
	// true another change is in progress
	// true unavailable
	// false quota exceeded
}

func ExampleRetryAfter() {
	ep := newWorkers()
	ep.OnRead(func(int, string) endpointtest.Fault { return endpointtest.Throttle(7 * time.Second) })

	_, err := ep.Status(context.Background())
	fmt.Println(errors.Is(err, endpoint.ErrThrottled), endpoint.RetryAfter(err))
	// Output: true 7s
}

func ExampleError() {
	err := newWorkers().Set(context.Background(), endpoint.WorkersMin, 9)
	var e *endpoint.Error
	if errors.As(err, &e) {
		fmt.Println(e.Op)
		fmt.Println(e.Endpoint)
		fmt.Println(errors.Is(err, endpoint.ErrInvalid))
	}
	// Output:
	// set workers.min=9
	// fake/workers
	// true
}

func ExampleSettings_Keys() {
	s, err := newWorkers().Status(context.Background())
	for _, key := range s.Settings.Keys() {
		fmt.Println(key, s.Settings[key])
	}
	fmt.Println(err)
	// Output:
	// workers.max 3
	// workers.min 1
	// <nil>
}
