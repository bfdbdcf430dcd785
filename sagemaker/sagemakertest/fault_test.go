package sagemakertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

func TestFaults(t *testing.T) {
	tests := []struct {
		name    string
		fault   sagemakertest.Fault
		code    string
		is      error
		took    time.Duration
		pending string
	}{
		{"none", sagemakertest.Fault{}, "", nil, 0, "c2"},
		{"lost before", sagemakertest.Dropped(false), "", io.ErrUnexpectedEOF, 0, ""},
		{"lost after", sagemakertest.Dropped(true), "", io.ErrUnexpectedEOF, 0, "c2"},
		{"throttled", sagemakertest.Throttled(), "ThrottlingException", nil, 0, ""},
		{"refused", sagemakertest.Refused("AccessDeniedException", "no"), "AccessDeniedException", nil, 0, ""},
		{"refused after", sagemakertest.Fault{Code: "InternalFailure", Applied: true}, "InternalFailure", nil, 0, "c2"},
		{"slow", sagemakertest.Fault{Delay: time.Minute}, "", nil, time.Minute, "c2"},
		{"too slow", sagemakertest.Fault{Delay: time.Hour}, "", context.DeadlineExceeded, 4 * time.Minute, ""},
		{"too slow an answer", sagemakertest.Fault{Delay: time.Hour, Applied: true}, "", context.DeadlineExceeded, 4 * time.Minute, "c2"},
		{"late", sagemakertest.Fault{LandsAfter: time.Second}, "", io.ErrUnexpectedEOF, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := seeded()
				c := newClients(srv)
				srv.OnMutation(func(int, string) sagemakertest.Fault { return tt.fault })
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
				defer cancel()
				start := time.Now()
				_, err := c.sm.UpdateEndpoint(ctx, update("c2", nil))
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if code(err) != tt.code || tt.is != nil && !errors.Is(err, tt.is) || tt.is == nil && tt.code == "" && err != nil {
					t.Errorf("got %v", err)
				}
				srv.OnMutation(nil)
				if e := srv.Endpoint("sdxl"); e.Pending != tt.pending {
					t.Errorf("endpoint %+v", e)
				}
				if m := srv.Mutations()[0]; m.Applied != (tt.pending != "") || m.Action() != "sagemaker:UpdateEndpoint" {
					t.Errorf("log %+v", m)
				}
				if tt.fault.LandsAfter > 0 {
					time.Sleep(tt.fault.LandsAfter)
					if e := srv.Endpoint("sdxl"); e.Pending != "c2" || !srv.Mutations()[0].Applied {
						t.Errorf("landed: %+v", e)
					}
				}
			})
		})
	}
}

// Every write of every service is numbered, attempts of a retrying client
// included, and a fault may be for one of them.
func TestMutationsAreNumbered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		srv.Seed(register(1, 8))
		c := newClients(srv)
		c.sm = sagemaker.NewFromConfig(srv.Config()) // retries
		var log []string
		srv.OnMutation(func(n int, action string) sagemakertest.Fault {
			log = append(log, fmt.Sprint(n, " ", action))
			if n == 2 {
				return sagemakertest.Throttled()
			}
			return sagemakertest.Fault{}
		})
		_, err1 := c.as.PutScalingPolicy(t.Context(), trackingPolicy("p"))
		_ = describe(t, c)
		_, err2 := c.sm.UpdateEndpoint(t.Context(), update("c2", nil))
		_, err3 := c.cw.PutMetricAlarm(t.Context(), userAlarm("a"))
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Error(err)
		}
		want := []string{"1 application-autoscaling:PutScalingPolicy", "2 sagemaker:UpdateEndpoint", "3 sagemaker:UpdateEndpoint", "4 cloudwatch:PutMetricAlarm"}
		if diff := cmp.Diff(want, log); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	})
}

func TestFailChoosesCalls(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	srv.Fail(sagemakertest.Call{Action: "sagemaker:DescribeEndpoint", Nth: 2, Times: 2}, sagemakertest.HTTPStatus(http.StatusServiceUnavailable))
	var failed []int
	for i := range 5 {
		if _, err := c.sm.DescribeEndpoint(t.Context(), &sagemaker.DescribeEndpointInput{EndpointName: aws.String("sdxl")}); err != nil {
			failed = append(failed, i)
		}
	}
	if diff := cmp.Diff([]int{1, 2}, failed); diff != "" {
		t.Errorf("failed (-want +got):\n%s", diff)
	}
	called := false
	srv.Fail(sagemakertest.Call{Mutation: true}, sagemakertest.Fault{Then: func() { called = srv.Endpoint("sdxl").Pending == "c2" }})
	if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", nil)); err != nil || !called {
		t.Errorf("Then after the effect: %t, %v", called, err)
	}
}

func TestStaleReads(t *testing.T) {
	for _, flaps := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := seeded()
			srv.Behave(func(b *sagemakertest.Behaviour) { b.ReadLag, b.ReadFlaps = 30*time.Second, flaps })
			c := newClients(srv)
			if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", nil)); err != nil {
				t.Fatal(err)
			}
			var seen []types.EndpointStatus
			for range 4 {
				seen = append(seen, describe(t, c).EndpointStatus)
				time.Sleep(10 * time.Second)
			}
			const was, is = types.EndpointStatusInService, types.EndpointStatusUpdating
			want := []types.EndpointStatus{was, was, was, is}
			if flaps {
				want = []types.EndpointStatus{was, is, was, is}
			}
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Errorf("flaps=%t: statuses (-want +got):\n%s", flaps, diff)
			}
			// A write to one service is no reason for another to lag.
			srv.Seed(register(1, 8))
			if n := len(targets(t, c)); n != 1 {
				t.Errorf("%d targets", n)
			}
			if _, err := c.as.PutScalingPolicy(t.Context(), trackingPolicy("p")); err != nil {
				t.Fatal(err)
			}
			if n := len(policies(t, c)); n != 0 {
				t.Errorf("%d policies too early", n)
			}
			time.Sleep(30 * time.Second)
			if n := len(policies(t, c)); n != 1 {
				t.Errorf("%d policies", n)
			}
		})
	}
}

func TestSwitchesOfWhatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.NewNameWhileUpdating, b.ShowRollingBack = true, true })
		srv.SetOutcome("c2", sagemakertest.RollsBack, "")
		c := newClients(srv)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", nil)); err != nil {
			t.Fatal(err)
		}
		if d := describe(t, c); *d.EndpointConfigName != "c2" {
			t.Errorf("name %s", *d.EndpointConfigName)
		}
		time.Sleep(5 * time.Minute)
		if d := describe(t, c); d.EndpointStatus != types.EndpointStatusRollingBack {
			t.Errorf("status %s", d.EndpointStatus)
		}
		ended(srv)
		if d := describe(t, c); *d.EndpointConfigName != "c1" {
			t.Errorf("name %s", *d.EndpointConfigName)
		}

		srv.Seed(register(1, 8))
		srv.Behave(func(b *sagemakertest.Behaviour) { b.SamePolicyARNs = true })
		srv.Seed(stepPolicy("p", 1))
		was := *policies(t, c)[0].PolicyARN
		srv.Seed(deregister(), register(1, 8), stepPolicy("p", 1))
		if is := *policies(t, c)[0].PolicyARN; is != was {
			t.Errorf("%s became %s", was, is)
		}
	})
}

// The account goes on while nobody looks, and what others do then is seen to
// the instant.
func TestAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		start := time.Now()
		srv.At(start.Add(time.Hour), update("c2", nil))
		srv.At(start.Add(time.Hour+time.Minute), update("c1", nil)) // refused
		time.Sleep(24 * time.Hour)
		e := srv.Endpoint("sdxl")
		if e.Config != "c2" || e.Modified.Sub(start) != time.Hour+5*time.Minute+10*time.Second+time.Minute {
			t.Errorf("%s after %v", e.Config, e.Modified.Sub(start))
		}
		log := srv.Requests()
		a, b := log[len(log)-2], log[len(log)-1]
		if !a.Foreign || !a.Applied || !b.Foreign || b.Applied || b.Code != "ValidationException" || b.At.Sub(start) != time.Hour+time.Minute {
			t.Errorf("log %+v\n%+v", a, b)
		}
		if len(srv.Mutations()) != 0 {
			t.Error("others' calls are among the mutations")
		}
	})
}
