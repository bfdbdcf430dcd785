package sagemaker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/aws/smithy-go"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/waiter"
)

// fleet is an account with many endpoints, and one poller for all of them.
type fleet struct {
	srv    *sagemakertest.Server
	client *sm.Client
	lister *sagemaker.Lister
	shared *waiter.Shared
	from   time.Time
}

func newFleet(n int) *fleet {
	srv := sagemakertest.New()
	seed := []any{
		createModel("model-1"), createModel("model-2"), createModel("bad"),
		createConfig("c1", productionVariant("main", "model-1", 2)), createConfig("c2", productionVariant("main", "model-2", 2)),
		createConfig("bad", productionVariant("main", "bad", 2)),
	}
	for i := range n {
		seed = append(seed, &sm.CreateEndpointInput{EndpointName: aws.String(member(i)), EndpointConfigName: aws.String("c1")})
	}
	srv.Seed(seed...)
	f := &fleet{srv: srv, client: sm.NewFromConfig(srv.Config()), from: time.Now()}
	f.lister = sagemaker.NewLister(f.client)
	f.shared = waiter.NewShared(f.lister, 0)
	return f
}

func member(i int) string { return fmt.Sprintf("ep-%04d", i) }

func (f *fleet) endpoint(t *testing.T, name string) *sagemaker.Endpoint {
	t.Helper()
	cfg := f.srv.Config()
	e, err := sagemaker.New(name, f.client, aas.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (f *fleet) do(t *testing.T, in any) {
	t.Helper()
	if _, err := f.srv.Do(in); err != nil {
		t.Error(err)
	}
}

func (f *fleet) update(t *testing.T, name, to string) {
	t.Helper()
	f.do(t, &sm.UpdateEndpointInput{EndpointName: &name, EndpointConfigName: &to})
}

// ready waits by the shared poller.
func (f *fleet) ready(t *testing.T, name, want string) (endpoint.Status, error) {
	t.Helper()
	return waiter.Ready(t.Context(), f.endpoint(t, name), config(want), waiter.WithShared(f.shared), waiter.WithFrom(config("c1")))
}

// calls are what was sent, by operation: when, and for DescribeEndpoint of which.
func (f *fleet) calls(op string) (at []time.Duration, of map[string]int) {
	of = map[string]int{}
	for _, r := range f.srv.Requests() {
		if r.Operation != op || r.Foreign {
			continue
		}
		at = append(at, r.At.Sub(f.from))
		if in, ok := r.Input.(*sm.DescribeEndpointInput); ok {
			of[*in.EndpointName]++
		}
	}
	return at, of
}

// busiest is the most calls within a minute.
func busiest(at []time.Duration) int {
	most := 0
	for i, t := range at {
		j, _ := slices.BinarySearch(at, t+time.Minute)
		most = max(most, j-i)
	}
	return most
}

func most(of map[string]int) int { return slices.Max(slices.Collect(maps.Values(of))) }

// A thousand waits take 120 calls a minute at most, beside describing each
// endpoint once at its beginning and once at its end.
func TestThousandWaits(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 250
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(n)
		lags := make([]time.Duration, n)
		before := runtime.NumGoroutine()
		var wg sync.WaitGroup
		for i := range n {
			f.update(t, member(i), "c2")
			end := time.Now().Add(6*time.Minute + 10*time.Second) // launch, shift, terminate
			wg.Go(func() {
				if s, err := f.ready(t, member(i), "c2"); err != nil || s.Serving.ID != "c2" {
					t.Errorf("%s: %+v, %v", member(i), s, err)
				}
				lags[i] = time.Since(end)
			})
			time.Sleep(203 * time.Millisecond) // no two things at the same moment
		}
		if got := runtime.NumGoroutine() - before; got > n+1 {
			t.Errorf("%d goroutines for %d waits", got, n)
		}
		wg.Wait()
		// The next list shows that an update is over, and the one after that it still is.
		if slowest := slices.Max(lags); slowest > 10*time.Second || slices.Min(lags) < 0 {
			t.Errorf("noticed after %v to %v", slices.Min(lags), slowest)
		}
		lists, _ := f.calls("ListEndpoints")
		if got, want := busiest(lists), 12*(n+99)/100; got > want || got < want/2 {
			t.Errorf("%d pages in a minute, want up to %d", got, want)
		}
		if _, describes := f.calls("DescribeEndpoint"); len(describes) != n || most(describes) > 2 {
			t.Errorf("%d endpoints were described up to %d times, want %d and 2", len(describes), most(describes), n)
		}
		if configs, _ := f.calls("DescribeEndpointConfig"); len(configs) > n {
			t.Errorf("%d configurations described, want one per endpoint", len(configs))
		}
		time.Sleep(time.Hour)
		if after, _ := f.calls("ListEndpoints"); len(after) != len(lists) {
			t.Errorf("it lists while nobody waits")
		}
	})
}

// Whatever an endpoint becomes when it is off the pages, its wait finds out.
func TestLeavesThePages(t *testing.T) {
	over := 6*time.Minute + 10*time.Second
	for _, tt := range []struct {
		name string
		to   string
		act  func(t *testing.T, f *fleet)
		is   error
		text string
		most int // describes
		by   time.Duration
	}{
		{name: "serves", to: "c2", most: 2, by: over + 10*time.Second},
		{name: "rolled back", to: "bad", is: endpoint.ErrRolledBack, text: "it does not start", most: 6, by: 7 * time.Minute, act: func(_ *testing.T, f *fleet) {
			f.srv.SetOutcome("bad", sagemakertest.RollsBack, "it does not start")
		}},
		{name: "rolled back, and shown as RollingBack", to: "bad", is: endpoint.ErrRolledBack, text: "it does not start", most: 18, by: 7 * time.Minute, act: func(_ *testing.T, f *fleet) {
			f.srv.SetOutcome("bad", sagemakertest.RollsBack, "it does not start")
			f.srv.Behave(func(b *sagemakertest.Behaviour) { b.ShowRollingBack = true })
		}},
		{name: "failed", to: "bad", is: endpoint.ErrFailed, text: "unrecoverable", most: 2, by: over, act: func(_ *testing.T, f *fleet) {
			f.srv.SetOutcome("bad", sagemakertest.Fails, "unrecoverable")
		}},
		{name: "deleted", to: "c2", is: endpoint.ErrNotFound, text: "Could not find endpoint", most: 2, by: over + 10*time.Second, act: func(t *testing.T, f *fleet) {
			t.Helper()
			time.AfterFunc(over, func() { f.do(t, &sm.DeleteEndpointInput{EndpointName: aws.String(member(0))}) })
		}},
		{name: "maintained", to: "c2", most: 60, by: 2 * over, act: func(_ *testing.T, f *fleet) {
			f.srv.Maintain(member(0), time.Now().Add(time.Second), 5*time.Minute)
		}},
		{name: "another update at once", to: "c2", is: endpoint.ErrDrift, text: "c3", most: 6, by: 2*over + 50*time.Second, act: func(t *testing.T, f *fleet) {
			t.Helper()
			f.do(t, createConfig("c3", productionVariant("main", "model-1", 2)))
			time.AfterFunc(over+time.Second, func() { f.update(t, member(0), "c3") })
		}},
		{name: "scaled at once, and AWS keeps the time", to: "c2", most: 3, by: over + 3*time.Minute + 12*time.Second, act: func(t *testing.T, f *fleet) {
			t.Helper()
			f.srv.Behave(func(b *sagemakertest.Behaviour) { b.RareTimes = true })
			time.AfterFunc(over+time.Millisecond, func() {
				f.do(t, &sm.UpdateEndpointWeightsAndCapacitiesInput{EndpointName: aws.String(member(0)), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{
					{VariantName: aws.String("main"), DesiredInstanceCount: aws.Int32(5)},
				}})
			})
		}},
		{name: "reads lag and flap", to: "c2", most: 40, by: over + time.Minute, act: func(_ *testing.T, f *fleet) {
			f.srv.Behave(func(b *sagemakertest.Behaviour) { b.ReadLag, b.ReadFlaps = 20*time.Second, true })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(3)
				if tt.act != nil {
					tt.act(t, f)
				}
				f.update(t, member(0), tt.to)
				time.Sleep(2 * time.Second) // so that nothing ends as a list begins
				_, err := f.ready(t, member(0), tt.to)
				took := time.Since(f.from)
				if !errors.Is(err, tt.is) || tt.is != nil && !strings.Contains(err.Error(), tt.text) || took > tt.by {
					t.Errorf("after %v: %v; want %v by %v", took, err, tt.is, tt.by)
				}
				if _, describes := f.calls("DescribeEndpoint"); describes[member(0)] > tt.most || len(describes) > 1 {
					t.Errorf("described %v, want at most %d of the first", describes, tt.most)
				}
			})
		})
	}
}

// Whether or not anything shows in the list, an update is described once in a while.
func TestNothingIsUnseenForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(1)
		f.srv.SetOutcome("bad", sagemakertest.Stalls, "")
		f.update(t, member(0), "bad")
		ctx, cancel := context.WithTimeout(t.Context(), 170*time.Minute)
		defer cancel()
		_, err := waiter.Ready(ctx, f.endpoint(t, member(0)), config("bad"), waiter.WithShared(f.shared))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ready = %v", err)
		}
		at, _ := f.calls("DescribeEndpoint")
		for i, d := range at {
			if i > 0 && (d-at[i-1]).Round(10*time.Second) != 30*time.Minute || len(at) != 6 {
				t.Fatalf("described at %v, want every half an hour", at)
			}
		}
	})
}

// A page that does not come takes nothing away from the others, and says
// nothing about who is on it.
func TestThrottledPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 250
		f := newFleet(n)
		for i := range n {
			f.update(t, member(i), "c2")
		}
		// Each third page is throttled, for five minutes.
		stop := time.Now().Add(5 * time.Minute)
		page := 0
		f.lister = sagemaker.NewLister(paged{f.client, func(in *sm.ListEndpointsInput) error {
			if page++; in.NextToken == nil {
				page = 1
			}
			if page == 3 && time.Now().Before(stop) {
				return &apiError{"ThrottlingException", "Rate exceeded"}
			}
			return nil
		}})
		f.shared = waiter.NewShared(f.lister, 0)
		found, err := f.lister.List(t.Context())
		if len(found) != 200 || !errors.Is(err, endpoint.ErrThrottled) {
			t.Fatalf("List = %d, %v; want two pages, throttled", len(found), err)
		}
		for name, s := range found {
			if !s.Updating || s.Fingerprint == "" {
				t.Errorf("%s: %+v", name, s)
			}
		}
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if _, err := f.ready(t, member(i), "c2"); err != nil {
					t.Errorf("%s: %v", member(i), err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(f.from); took > 7*time.Minute {
			t.Errorf("took %v", took)
		}
		lists, _ := f.calls("ListEndpoints")
		if n := len(lists); n > 2*20+3*40 {
			t.Errorf("%d pages: it did not slow down", n)
		}
		_, describes := f.calls("DescribeEndpoint")
		last := map[string]int{}
		for i := 200; i < n; i++ {
			last[member(i)] = describes[member(i)]
			delete(describes, member(i))
		}
		// The last fifty are on the page that does not come: who waits for one
		// of them looks for itself meanwhile, as the others do at the beginning
		// until the slower poller comes.
		if most(describes) > 8 || most(last) > 60 || most(last) < 20 {
			t.Errorf("described up to %d times, and what is on the missing page up to %d times", most(describes), most(last))
		}
	})
}

// paged lets lists go wrong page by page.
type paged struct {
	sm.ListEndpointsAPIClient

	before func(*sm.ListEndpointsInput) error
}

func (p paged) ListEndpoints(ctx context.Context, in *sm.ListEndpointsInput, fns ...func(*sm.Options)) (*sm.ListEndpointsOutput, error) {
	if err := p.before(in); err != nil {
		return nil, err
	}
	return p.ListEndpointsAPIClient.ListEndpoints(ctx, in, fns...)
}

// apiError is an error of AWS.
type apiError struct{ code, message string }

func (e *apiError) Error() string                 { return e.code + ": " + e.message }
func (e *apiError) ErrorCode() string             { return e.code }
func (e *apiError) ErrorMessage() string          { return e.message }
func (e *apiError) ErrorFault() smithy.ErrorFault { return smithy.FaultClient }

// An update that is rolled back, and followed by another change, while no list
// comes at all.
func TestRolledBackUnseen(t *testing.T) {
	for _, rare := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(1)
			f.srv.Behave(func(b *sagemakertest.Behaviour) { b.RareTimes, b.Scale = rare, 20*time.Minute })
			f.srv.SetOutcome("bad", sagemakertest.RollsBack, "")
			f.update(t, member(0), "bad")
			time.AfterFunc(3*time.Minute, func() {
				f.srv.Fail(sagemakertest.Call{Action: "sagemaker:ListEndpoints", Times: 5}, sagemakertest.HTTPStatus(503))
			})
			time.AfterFunc(6*time.Minute+5*time.Second, func() { // it is back on c1
				f.do(t, &sm.UpdateEndpointWeightsAndCapacitiesInput{EndpointName: aws.String(member(0)), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{
					{VariantName: aws.String("main"), DesiredInstanceCount: aws.Int32(3)},
				}})
			})
			_, err := f.ready(t, member(0), "bad")
			if took := time.Since(f.from); !errors.Is(err, endpoint.ErrRolledBack) || took > 32*time.Minute {
				t.Errorf("times are rare: %v: after %v: %v", rare, took, err)
			}
		})
	}
}

func TestSightings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(2)
		list := func() map[string]endpoint.ListEntry {
			t.Helper()
			found, err := f.lister.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		name := "sagemaker/" + member(0)
		if found := list(); len(found) != 0 {
			t.Errorf("at rest: %v", found)
		}
		f.update(t, member(0), "c2")
		first := list()[name]
		if !first.Updating || first.Incomplete || first.Fingerprint == "" {
			t.Errorf("updating: %+v", first)
		}
		time.Sleep(6 * time.Minute)
		if again := list(); len(again) != 1 || again[name] != first {
			t.Errorf("updating still: %v, then %v", first, again)
		}
		time.Sleep(time.Minute)
		left := list()[name]
		if left.Updating || left.Fingerprint == "" || left.Fingerprint == first.Fingerprint {
			t.Errorf("has left: %+v", left)
		}
		if again := list(); len(again) != 1 || again[name] != left {
			t.Errorf("has left still: %v, then %v", left, again)
		}
		if found := list(); len(found) != 0 {
			t.Errorf("long after it has left: %v", found)
		}
		f.update(t, member(0), "c1")
		if again := list()[name]; !again.Updating || again.Fingerprint == first.Fingerprint {
			t.Errorf("another update: %+v, the first %+v", again, first)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if found, err := f.lister.List(ctx); !errors.Is(err, context.Canceled) || len(found) > 0 {
			t.Errorf("with a done context: %v, %v", found, err)
		}
		if found := list()[name]; !found.Updating {
			t.Errorf("after a list that failed: %+v", found)
		}
	})
}

// What cannot be read is an error, and no endpoint that left.
func TestListsThatCannotBeRead(t *testing.T) {
	now := aws.Time(time.Now())
	for name, page := range map[string]types.EndpointSummary{
		"no name": {EndpointStatus: types.EndpointStatusUpdating, LastModifiedTime: now},
		"no time": {EndpointStatus: types.EndpointStatusUpdating, EndpointName: aws.String("x")},
	} {
		t.Run(name, func(t *testing.T) {
			l := sagemaker.NewLister(canned{types.EndpointSummary{
				EndpointName: aws.String("y"), EndpointStatus: types.EndpointStatusUpdating, LastModifiedTime: now,
			}, page})
			if found, err := l.List(t.Context()); len(found) != 1 || !errors.Is(err, endpoint.ErrUnavailable) {
				t.Errorf("List = %v, %v", found, err)
			}
		})
	}
	// A service that ignores what it was asked for.
	l := sagemaker.NewLister(canned{types.EndpointSummary{EndpointName: aws.String("x"), EndpointStatus: types.EndpointStatusInService, LastModifiedTime: now}})
	if found, err := l.List(t.Context()); len(found) != 0 || err != nil {
		t.Errorf("List = %v, %v", found, err)
	}
}

// canned is a client that lists always the same.
type canned []types.EndpointSummary

func (c canned) ListEndpoints(context.Context, *sm.ListEndpointsInput, ...func(*sm.Options)) (*sm.ListEndpointsOutput, error) {
	return &sm.ListEndpointsOutput{Endpoints: c}, nil
}
