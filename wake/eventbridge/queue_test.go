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
	"github.com/aws/smithy-go"

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

// What is not understood, or for nobody here, is left for whom it may concern.
func TestLeavesOthersMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		odd := []string{
			"", "{", "null", "[]", `"text"`, `{"source":"aws.sagemaker"}`, `{"source":7}`,
			`{"source":"aws.sagemaker","detail-type":"SageMaker Endpoint State Change","detail":{"EndpointName":7}}`,
			`{"source":"aws.sagemaker","detail-type":"SageMaker Endpoint State Change","detail":{}}`,
			stateChange("other", "IN_SERVICE"),
		}
		for _, body := range odd {
			s.send(time.Second, body)
		}
		s.send(2*time.Second, stateChange("sdxl", "IN_SERVICE"))
		q := s.queue(t)
		wake, stop := q.Watch(t.Context(), "sdxl")
		defer stop()
		time.Sleep(3 * time.Second)
		select {
		case <-wake:
		default:
			t.Error("not woken")
		}
		left := s.left()
		slices.Sort(left)
		slices.Sort(odd)
		if !slices.Equal(left, odd) {
			t.Errorf("left %q, want %q", left, odd)
		}
		// Another process waits for the other endpoint.
		other, stopOther := s.queue(t).Watch(t.Context(), "other")
		defer stopOther()
		select {
		case <-other:
		case <-time.After(15 * time.Second):
			t.Error("the other process was not woken")
		}
		time.Sleep(s.retention)
		if left := s.left(); len(left) > 0 {
			t.Errorf("left %q when the queue forgets", left)
		}
		select {
		case <-wake:
			t.Error("woken by what is not for it")
		default:
		}
	})
}

// Two processes share a queue, and each gets all its events.
func TestSharedQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		var wg sync.WaitGroup
		var sum time.Duration
		var mu sync.Mutex
		for p := range 2 {
			q := s.queue(t)
			for i := range 20 {
				r := newRemote(fmt.Sprintf("p%d-%d", p, i), 3*time.Minute+time.Duration(i*7)*time.Second)
				s.send(r.ready+time.Second, stateChange(r.name, "IN_SERVICE"))
				wg.Go(func() {
					lag := r.await(t, q)
					mu.Lock()
					defer mu.Unlock()
					sum += lag
				})
			}
		}
		wg.Wait()
		// Two seconds each time that the wrong one gets it, which is chance.
		if mean := sum / 40; mean > 8*time.Second {
			t.Errorf("noticed after %v", mean)
		}
	})
}

// Requests that fail are made again, later and later, and end no wait.
func TestErrors(t *testing.T) {
	for name, f := range map[string]fault{
		"throttled": {status: 400, code: "com.amazonaws.sqs#RequestThrottled", message: "Rate exceeded"},
		"denied":    {status: 403, code: "AccessDenied", message: "no"},
		"gone":      {status: 400, code: "com.amazonaws.sqs#QueueDoesNotExist", message: "no such queue"},
		"broken":    {status: 503, code: "ServiceUnavailable", message: "later"},
		"dropped":   {drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				start := time.Now()
				until := start.Add(10 * time.Minute)
				s.befall = func(op string, _ int) fault {
					if op == "ReceiveMessage" && time.Now().Before(until) {
						return f
					}
					return fault{}
				}
				q := s.queue(t)
				r := newRemote("sdxl", 12*time.Minute)
				s.send(time.Minute, stateChange("sdxl", "IN_SERVICE")) // forgotten before anybody can read it
				s.send(r.ready+time.Second, stateChange("sdxl", "IN_SERVICE"))
				time.AfterFunc(9*time.Minute, func() {
					var api smithy.APIError
					if err := q.Err(); err == nil || errors.As(err, &api) && !strings.HasSuffix(f.code, api.ErrorCode()) {
						t.Errorf("Err = %v", err)
					}
				})
				if lag := r.await(t, q); lag != time.Second {
					t.Errorf("noticed after %v, looks at %v", lag, r.looks)
				}
				failed := 0
				for _, at := range s.receives(start) {
					if at < 10*time.Minute {
						failed++
					}
				}
				// 1, 2, 4, … 60 s, each with the SDK's own three tries.
				if failed > 3*16 {
					t.Errorf("%d requests in ten minutes in which all failed", failed)
				}
				if err := q.Err(); err != nil {
					t.Errorf("Err after it went well = %v", err)
				}
			})
		})
	}
}

// Messages that cannot be deleted come again, and again, and do not hold up others.
func TestNotDeleted(t *testing.T) {
	for name, f := range map[string]fault{
		"denied":  {status: 403, code: "AccessDenied", message: "no"},
		"dropped": {drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				s.befall = func(op string, _ int) fault {
					if op == "DeleteMessageBatch" {
						return f
					}
					return fault{}
				}
				q := s.queue(t)
				r := newRemote("sdxl", 4*time.Minute)
				s.send(time.Minute, stateChange("sdxl", "IN_SERVICE"))
				s.send(r.ready+time.Second, stateChange("sdxl", "IN_SERVICE"))
				lag := r.await(t, q)
				// Every two seconds until the queue forgets it, two minutes long.
				if lag > 10*time.Second || len(r.looks) > 2+60 {
					t.Errorf("noticed after %v, %d looks", lag, len(r.looks))
				}
				if q.Err() == nil {
					t.Error("Err = nil")
				}
			})
		})
	}
}

// A queue that answers at once with nothing, or with nothing but what others
// wait for, is not asked again at once.
func TestNoBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.hasty = true
		start := time.Now()
		_, stop := s.queue(t).Watch(t.Context(), "sdxl")
		time.Sleep(time.Minute)
		stop()
		if n := len(s.receives(start)); n > 61 {
			t.Errorf("%d requests in a minute, all answered at once with nothing", n)
		}
		crowded := newService()
		for i := range 5000 {
			crowded.send(0, stateChange(fmt.Sprint("other-", i), "IN_SERVICE"))
		}
		start = time.Now()
		_, stop = crowded.queue(t).Watch(t.Context(), "sdxl")
		time.Sleep(time.Minute)
		stop()
		if n := len(crowded.receives(start)); n > 601 {
			t.Errorf("%d requests in a minute, all answered with what others wait for", n)
		}
	})
}

// Old news are taken from the queue, and wake nobody.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.retention = time.Hour
		for range 100 {
			s.send(0, stateChange("sdxl", "IN_SERVICE"))
		}
		time.Sleep(10 * time.Minute)
		r := newRemote("sdxl", 4*time.Minute)
		s.send(r.ready+time.Second, stateChange("sdxl", "IN_SERVICE"))
		// One that does not tell its time may be new.
		s.send(2*time.Minute, strings.Replace(stateChange("sdxl", "IN_SERVICE"), `"time":`, `"when":`, 1))
		if lag := r.await(t, s.queue(t)); lag != time.Second || len(r.looks) != 3 {
			t.Errorf("noticed after %v, looks at %v", lag, r.looks)
		}
		if left := s.left(); len(left) > 1 { // but for the one that ended the last wait
			t.Errorf("%d messages left", len(left))
		}
	})
}

// Names are told apart as far as they can be.
func TestNames(t *testing.T) {
	const ours, theirs = "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/sdxl", "arn:aws:sagemaker:us-east-1:111122223333:endpoint/sdxl"
	elsewhere := strings.ReplaceAll(stateChange("SDXL", "IN_SERVICE"), ours, theirs)
	nameless := strings.ReplaceAll(strings.ReplaceAll(stateChange("sdxl", "IN_SERVICE"), `"EndpointName"`, `"Name"`), `"EndpointArn"`, `"Arn"`)
	for _, tt := range []struct {
		watched, body string
		want          bool
	}{
		{"sdxl", stateChange("SDXL", "IN_SERVICE"), true},
		{"SDXL", stateChange("SDXL", "IN_SERVICE"), true},
		{"sagemaker/sdxl", stateChange("sdxl", "IN_SERVICE"), true},
		{ours, stateChange("sdxl", "IN_SERVICE"), true},
		{strings.Replace(ours, "sdxl", "SDXL", 1), stateChange("sdxl", "IN_SERVICE"), true},
		{"sdxl", elsewhere, true}, // in another region: only a look
		{ours, elsewhere, false},
		{theirs, elsewhere, true},
		{"sdxl", nameless, true},
		{ours, nameless, true},
		{"sdxl-2", stateChange("sdxl", "IN_SERVICE"), false},
		{"sdx", stateChange("sdxl", "IN_SERVICE"), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			wake, stop := s.queue(t).Watch(t.Context(), tt.watched)
			defer stop()
			s.send(time.Second, tt.body)
			time.Sleep(2 * time.Second)
			got := len(wake) == 1
			if got != tt.want {
				t.Errorf("watching %s, woken %v, want %v, by %s", tt.watched, got, tt.want, tt.body)
			}
		})
	}
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
