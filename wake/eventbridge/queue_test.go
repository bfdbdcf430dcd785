package eventbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
	"github.com/changeover-dev/changeover/wake/eventbridge"
)

// stateChange is an event as AWS documents it, of now.
func stateChange(name, status string) string {
	return fmt.Sprintf(`{
  "version": "0",
  "id": "d2921b5a-b0ad-cace-a8e3-0f159d018e06",
  "detail-type": "SageMaker Endpoint State Change",
  "source": "aws.sagemaker",
  "account": "111122223333",
  "time": %q,
  "region": "eu-west-1",
  "resources": ["arn:aws:sagemaker:eu-west-1:111122223333:endpoint/%s"],
  "detail": {
    "EndpointName": %q,
    "EndpointArn": "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/%s",
    "EndpointConfigName": "config-2",
    "ProductionVariants": [{"DesiredWeight": 1.0, "DesiredInstanceCount": 1.0}],
    "EndpointStatus": %q,
    "CreationTime": 1592411992203.0,
    "LastModifiedTime": 1592411994287.0,
    "Tags": {}
  }
}`, time.Now().UTC().Format(time.RFC3339), strings.ToLower(name), name, strings.ToLower(name), status)
}

// remote is an endpoint that serves its target from a moment on.
type remote struct {
	name  string
	start time.Time
	ready time.Duration

	mu    sync.Mutex
	looks []time.Duration
}

var target = endpoint.Revision{Kind: "endpoint-config", ID: "config-2"}

func newRemote(name string, ready time.Duration) *remote {
	return &remote{name: name, start: time.Now(), ready: ready}
}

func (r *remote) Name() string                                  { return "sagemaker/" + r.name }
func (r *remote) Update(context.Context, endpoint.Change) error { return errors.ErrUnsupported }

func (r *remote) Status(context.Context) (endpoint.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.start)
	r.looks = append(r.looks, now)
	s := endpoint.Status{Phase: endpoint.PhaseUpdating, Desired: target, Pools: []endpoint.Pool{{Starting: 1}}}
	if now >= r.ready {
		s = endpoint.Status{Phase: endpoint.PhaseReady, Desired: target, Serving: target, Pools: []endpoint.Pool{{Ready: 1}}}
	}
	return s, nil
}

// await waits for the remote, woken by the queue, and returns how late it noticed.
func (r *remote) await(t *testing.T, q *eventbridge.Queue, opts ...waiter.Option) time.Duration {
	t.Helper()
	wake, stop := q.Watch(t.Context(), r.Name())
	defer stop()
	opts = append([]waiter.Option{waiter.WithWake(wake), waiter.WithSchedule(eventbridge.SafetyNet(0)), waiter.WithConsecutive(1)}, opts...)
	if _, err := waiter.Ready(t.Context(), r, target, opts...); err != nil {
		t.Errorf("%s: %v", r.name, err)
	}
	return time.Since(r.start) - r.ready
}

func minutes(ds ...float64) (out []time.Duration) {
	for _, d := range ds {
		out = append(out, time.Duration(d*float64(time.Minute)))
	}
	return out
}

// What events do, and what they cost.
func TestEvents(t *testing.T) {
	ready := 7 * time.Minute
	for _, tt := range []struct {
		name string
		send func(s *service)
		lag  time.Duration
		want []time.Duration // looks
	}{
		{
			name: "in time",
			send: func(s *service) { s.send(ready+1500*time.Millisecond, stateChange("sdxl", "IN_SERVICE")) },
			lag:  1500 * time.Millisecond,
			want: minutes(0, 5, 7.025),
		},
		{
			name: "in the other spelling",
			send: func(s *service) { s.send(ready+time.Second, stateChange("SDXL", "InService")) },
			lag:  time.Second,
			want: append(minutes(0, 5), ready+time.Second),
		},
		{
			name: "with a status that nobody knows",
			send: func(s *service) { s.send(ready+time.Second, stateChange("sdxl", "SHINY")) },
			lag:  time.Second,
			want: append(minutes(0, 5), ready+time.Second),
		},
		{
			name: "failed",
			send: func(s *service) { s.send(3*time.Minute, stateChange("sdxl", "FAILED")) },
			lag:  3 * time.Minute,
			want: minutes(0, 3, 5, 10),
		},
		{
			name: "lost",
			send: func(*service) {},
			lag:  3 * time.Minute,
			want: minutes(0, 5, 10),
		},
		{
			name: "late",
			send: func(s *service) { s.send(12*time.Minute, stateChange("sdxl", "IN_SERVICE")) },
			lag:  3 * time.Minute,
			want: minutes(0, 5, 10),
		},
		{
			name: "several for one change",
			send: func(s *service) {
				for i := range 5 {
					s.send(time.Minute+time.Duration(i)*300*time.Millisecond, stateChange("sdxl", "IN_SERVICE"))
				}
				s.send(ready+time.Second, stateChange("sdxl", "IN_SERVICE"))
			},
			lag:  time.Second,
			want: []time.Duration{0, time.Minute, time.Minute + 2*time.Second, 5 * time.Minute, ready + time.Second},
		},
		{
			name: "that lie, in a flood",
			send: func(s *service) {
				for i := range 600 {
					s.send(time.Minute+time.Duration(i)*100*time.Millisecond, stateChange("sdxl", "IN_SERVICE"))
				}
			},
			lag:  2 * time.Second,
			want: nil, // counted below
		},
		{
			name: "that say that it is still under way",
			send: func(s *service) {
				for i, status := range []string{"UPDATING", "Updating", "SYSTEM_UPDATING", "SystemUpdating", "ROLLING_BACK", "CREATING"} {
					s.send(time.Duration(i+1)*30*time.Second, stateChange("sdxl", status))
				}
			},
			lag:  3 * time.Minute,
			want: minutes(0, 5, 10),
		},
		{
			name: "of stages",
			send: func(s *service) {
				s.send(2*time.Minute, strings.Replace(stateChange("sdxl", "UPDATING"), "Endpoint State", "Endpoint Deployment State", 1))
			},
			lag:  3 * time.Minute,
			want: minutes(0, 2, 5, 10),
		},
		{
			name: "of others",
			send: func(s *service) {
				s.send(time.Minute, stateChange("sdxl-2", "IN_SERVICE"))
				s.send(time.Minute, strings.ReplaceAll(stateChange("sdxl", "IN_SERVICE"), "aws.sagemaker", "acme.sagemaker"))
				s.send(time.Minute, strings.ReplaceAll(stateChange("sdxl", "IN_SERVICE"), "Endpoint State", "Endpoint Config State"))
			},
			lag:  3 * time.Minute,
			want: minutes(0, 5, 10),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				r := newRemote("sdxl", ready)
				tt.send(s)
				lag := r.await(t, s.queue(t))
				if tt.want == nil { // a look every two seconds, for a minute
					if n := len(r.looks); n > 30+4 || lag > 5*time.Minute {
						t.Errorf("%d looks, noticed after %v", n, lag)
					}
					return
				}
				if lag != tt.lag || !slices.Equal(r.looks, tt.want) {
					t.Errorf("noticed after %v with looks at %v, want %v and %v", lag, r.looks, tt.lag, tt.want)
				}
			})
		})
	}
}

// A message is handed out twice, and once more after it was deleted.
func TestDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.again = true
		r := newRemote("sdxl", 7*time.Minute)
		s.send(time.Minute, stateChange("sdxl", "IN_SERVICE"))
		r.await(t, s.queue(t))
		if want := append(minutes(0, 1), time.Minute+2*time.Second, 5*time.Minute, 10*time.Minute); !slices.Equal(r.looks, want) {
			t.Errorf("looks at %v, want %v", r.looks, want)
		}
	})
}

// A wait that needs two looks in a row has the second one soon.
func TestSecondLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		r := newRemote("sdxl", 7*time.Minute)
		s.send(r.ready+time.Second, stateChange("sdxl", "IN_SERVICE"))
		if lag := r.await(t, s.queue(t), waiter.WithConsecutive(2)); lag != 3*time.Second || len(r.looks) != 4 {
			t.Errorf("noticed after %v with %d looks, want 3s and 4", lag, len(r.looks))
		}
	})
}

// However many wait, one goroutine makes one request at a time, three a minute.
func TestManyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		s := newService()
		q := s.queue(t)
		start, before := time.Now(), runtime.NumGoroutine()
		lags := make([]time.Duration, n)
		var wg sync.WaitGroup
		for i := range n {
			r := newRemote(fmt.Sprintf("ep-%d", i), 4*time.Minute+time.Duration(i)*97*time.Millisecond)
			s.send(r.ready+time.Second, stateChange(r.name, "IN_SERVICE"))
			wg.Go(func() {
				if lags[i] = r.await(t, q); len(r.looks) > 3 {
					t.Errorf("%s: looks at %v", r.name, r.looks)
				}
			})
		}
		time.Sleep(time.Minute)
		if got := runtime.NumGoroutine() - before; got > n+1 {
			t.Errorf("%d goroutines for %d waits", got, n)
		}
		if got := len(s.receives(start)); got > 4 {
			t.Errorf("%d requests in a minute in which nothing happened", got)
		}
		wg.Wait()
		if slowest := slices.Max(lags); slowest > 1500*time.Millisecond {
			t.Errorf("noticed after up to %v", slowest)
		}
		if _, most := s.atOnce(); most != 1 {
			t.Errorf("%d requests at once", most)
		}
		if left := s.left(); len(left) > 1 { // but for the one that ended the last wait
			t.Errorf("%d messages left", len(left))
		}
	})
}

// The queue is read while somebody watches, and then no more.
func TestReadsWhileWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		q := s.queue(t)
		start := time.Now()
		time.Sleep(time.Minute)
		if got := s.receives(start); len(got) > 0 {
			t.Errorf("requests at %v before anybody watches", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, first := q.Watch(ctx, "a")
		cancel() // lends its values only
		_, second := q.Watch(t.Context(), "b")
		time.Sleep(31 * time.Second)
		first()
		time.Sleep(30 * time.Second)
		second()
		second() // and once more, for a defer
		synctest.Wait()
		n := len(s.receives(start))
		if now, _ := s.atOnce(); n != 4 || now != 0 {
			t.Errorf("%d requests in a minute, %d under way after it, want 4 and none", n, now)
		}
		time.Sleep(time.Hour)
		if got := s.receives(start); len(got) != n {
			t.Errorf("requests at %v after nobody watches", got[n:])
		}
		if err := q.Err(); err != nil {
			t.Errorf("being stopped is an error: %v", err)
		}
		wake, third := q.Watch(t.Context(), "c")
		defer third()
		s.send(0, stateChange("c", "IN_SERVICE"))
		select {
		case <-wake:
		case <-time.After(time.Second):
			t.Error("not woken after the queue was read again")
		}
	})
}

func TestNew(t *testing.T) {
	if _, err := eventbridge.New(nil, queueURL); !errors.Is(err, endpoint.ErrInvalid) {
		t.Errorf("New without a client = %v", err)
	}
	if _, err := eventbridge.New(sqs.New(sqs.Options{}), ""); !errors.Is(err, endpoint.ErrInvalid) {
		t.Errorf("New without a URL = %v", err)
	}
}

// What SQS is asked for.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		_, stop := s.queue(t).Watch(t.Context(), "sdxl")
		defer stop()
		s.send(time.Second, stateChange("sdxl", "IN_SERVICE"))
		time.Sleep(time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.calls {
			b, err := json.Marshal(c.in)
			if err != nil {
				t.Fatal(err)
			}
			in := c.in
			if c.op == "ReceiveMessage" && (*in.WaitTimeSeconds != 20 || *in.MaxNumberOfMessages != 10 || *in.VisibilityTimeout != 2) {
				t.Errorf("%s: %s", c.op, b)
			}
		}
	})
}
