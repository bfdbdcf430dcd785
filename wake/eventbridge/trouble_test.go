package eventbridge_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"
)

// Queues that are shared, crowded, odd or broken.

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
