package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// swap is the command line that most tests use.
var swap = []string{"-strategy", "scale-protected", "-config", "c2"}

func (a *account) count(operation string) int {
	n := 0
	for _, m := range a.Mutations() {
		if m.Operation == operation {
			n++
		}
	}
	return n
}

func TestSuccess(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		args    []string
		config  string // "" for one that is made
		changed map[string]int
	}{
		{"in place, config", []string{"-strategy", "in-place", "-config", "c2"}, "c2", map[string]int{"UpdateEndpoint": 1}},
		{"in place, model", []string{"-strategy", "in-place", "-model", "m2"}, "", map[string]int{"CreateEndpointConfig": 1, "UpdateEndpoint": 1}},
		{"in place, one variant each", []string{"-strategy", "in-place", "-model", "main=m2,side=m2", "-protect", "retain"}, "", map[string]int{"CreateEndpointConfig": 1}},
		{"auto", swap, "c2", map[string]int{"DeregisterScalableTarget": 0, "RegisterScalableTarget": 4}},
		{"retain", with(swap, "-protect", "retain"), "c2", map[string]int{"RegisterScalableTarget": 0}},
		{"suspend", []string{"-strategy", "scale-protected", "-model", "m2", "-protect", "suspend"}, "", map[string]int{"DeregisterScalableTarget": 0, "RegisterScalableTarget": 4}},
		{
			"deregister and prescale",
			[]string{"-strategy", "scale-protected", "-model", "m2", "-protect", "deregister", "-prescale", "5"},
			"",
			// main goes to 5, side to its maximum of 4, and both back.
			map[string]int{"DeregisterScalableTarget": 2, "UpdateEndpointWeightsAndCapacities": 4, "CreateEndpointConfig": 1, "UpdateEndpoint": 1},
		},
		{"excluded", with(swap, "-exclude-retained", "DesiredWeight, DesiredInstanceCount"), "c2", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			plan := a.run(with(tt.args, "-plan")...).Exits(0)
			plan.Says(&plan.Stdout, tt.args[1]+" of sagemaker/"+name, "forward:", "back, if anything fails", "m2", "cannot be stopped")
			a.untouched()

			most := 0
			a.OnMutation(func(int, string) sagemakertest.Fault {
				most = max(most, int(a.Endpoint(name).Variants["main"].Desired)) // it is called for one at a time
				return sagemakertest.Fault{}
			})
			r := a.run(with(tt.args, "-journal", t.TempDir(), "-bake", "20ms", "-timeout", "1m")...).Exits(0)
			r.Says(&r.Stdout, "succeeded: sagemaker/"+name, "m2", "variant/main/instances=3")
			r.Says(&r.Stderr, "[1/", "✓")
			a.is(tt.config, "m2")
			for operation, want := range tt.changed {
				if got := a.count(operation); got != want {
					t.Errorf("%d × %s, want %d", got, operation, want)
				}
			}
			if want := map[bool]int{true: 5, false: 3}[strings.Contains(tt.name, "prescale")]; most != want {
				t.Errorf("at most %d instances of main, want %d", most, want)
			}

			n := len(a.Mutations())
			again := a.run(tt.args...)
			if tt.config == "" {
				// It would be one more configuration with the same content.
				again.Exits(2).Says(&again.Stderr, "same artifact")
			} else {
				again.Exits(0).Says(&again.Stdout, "no-op")
			}
			again.Says(&again.Stderr, "cannot be resumed") // no -journal
			if got := len(a.Mutations()); got != n {
				t.Errorf("%d mutations for nothing", got-n)
			}
		})
	}
}

func TestCanary(t *testing.T) {
	t.Parallel()
	t.Run("succeeds", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.Behave(func(b *sagemakertest.Behaviour) { b.Launch = 2 * time.Second }) // so that a poll sees it on a busy machine too
		r := a.run(with(swap, "-deployment", a.file(canary(1)))...).Exits(0)
		r.Says(&r.Stderr, "Launching 3 instance(s)", "Baking for 1 seconds")
		r.Says(&r.Stdout, "succeeded")
		a.is("c2", "m2")
		a.run("-strategy", "in-place", "-config", "c1", "-retain-deployment").Exits(0)
		a.is("c1", "m1")
		in, ok := a.Mutations()[len(a.Mutations())-1].Input.(*sm.UpdateEndpointInput)
		if !ok || !aws.ToBool(in.RetainDeploymentConfig) || !aws.ToBool(in.RetainAllVariantProperties) {
			t.Errorf("the last request is %+v", in)
		}
	})
	t.Run("alarm", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		r := a.run(with(swap, "-deployment", a.file(canary(600)), "-protect", "deregister")...)
		r.Until("Baking")
		if _, err := a.Do(state(metrics.StateValueAlarm)); err != nil {
			t.Fatal(err)
		}
		r.Exits(1).Says(&r.Stdout, "rolled back")
		r.Says(&r.Stderr, "errors")
		if _, err := a.Do(state(metrics.StateValueOk)); err != nil {
			t.Fatal(err)
		}
		a.is("c1", "m1")
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, protect := range []string{"auto", "retain", "suspend", "deregister"} {
		t.Run("silent rollback, "+protect, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			r := a.run("-strategy", "scale-protected", "-config", "cbad", "-protect", protect, "-prescale", "4", "-journal", t.TempDir()).Exits(1)
			r.Says(&r.Stdout, "rolled back: sagemaker/"+name, "c1")
			r.Says(&r.Stderr, "going back", "rolled back: ")
			a.is("c1", "m1")
		})
	}
	t.Run("silent rollback, in place", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		r := a.run("-strategy", "in-place", "-model", "mbad").Exits(1)
		r.Says(&r.Stdout, "rolled back", "left over: ")
		a.is("c1", "m1")
	})
	t.Run("failed", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		r := a.run("-strategy", "scale-protected", "-config", "cdead", "-journal", t.TempDir()).Exits(3)
		r.Says(&r.Stdout, "incomplete")
		r.Says(&r.Stderr, "deleted and made again", "unrecoverable", "remains: ", "resume with: ")
		a.protected()
	})
}

func TestSignals(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			r := a.run(with(swap, "-deployment", a.file(canary(1)), "-protect", "deregister", "-journal", t.TempDir())...)
			r.Until("Baking")
			r.Signal(s)
			r.Exits(1).Says(&r.Stdout, "rolled back")
			r.Says(&r.Stderr, s.String(), "going back")
			a.is("c1", "m1")
		})
	}
	t.Run("second", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		dir := t.TempDir()
		args := with(swap, "-journal", dir, "-deployment", a.file(canary(2)))
		r := a.run(args...)
		r.Until("Baking")
		r.Signal(os.Interrupt)
		r.Until("[back 1/")
		at := time.Now()
		r.Signal(os.Interrupt)
		r.Exits(3).Says(&r.Stderr, "stopping at once", "remains: ", "resume with: "+binary, "-journal "+dir, " -resume\n")
		if took := time.Since(at); took > 2*time.Second {
			t.Errorf("it took %v to stop", took)
		}
		a.run(with(args, "-resume")...).Exits(1)
		a.is("c1", "m1")
	})
	t.Run("detach", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		dir := t.TempDir()
		r := a.run(with(swap, "-bake", "1s", "-journal", dir, "-on-cancel", "detach")...)
		r.Until("] bake: ")
		n := len(a.Mutations())
		r.Signal(os.Interrupt)
		r.Exits(3).Says(&r.Stdout, "detached")
		r.Says(&r.Stderr, "remains: ", "resume with: ", "-resume-policy forward")
		if got := len(a.Mutations()); got != n {
			t.Errorf("%d mutations after detaching", got-n)
		}
		a.run("-journal", dir, "-resume", "-resume-policy", "forward").Exits(0)
		a.is("c2", "m2")
	})
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	r := a.run(with(swap, "-deployment", a.file(canary(1)), "-timeout", "500ms")...).Exits(1)
	r.Says(&r.Stdout, "rolled back")
	a.is("c1", "m1")
}

// A program that is killed while a write is on its way leaves a journal from
// which the same command line with -resume brings all back.
func TestKillAndResume(t *testing.T) {
	t.Parallel()
	args := []string{"-strategy", "scale-protected", "-model", "m2", "-protect", "deregister", "-prescale", "5"}
	for _, action := range []string{
		"sagemaker:CreateEndpointConfig", "application-autoscaling:DeregisterScalableTarget",
		"sagemaker:UpdateEndpointWeightsAndCapacities", "sagemaker:UpdateEndpoint",
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			dir := t.TempDir()
			document := a.file(canary(0))
			all := with(args, "-journal", dir, "-deployment", document)
			applied, dead := make(chan struct{}), make(chan struct{})
			a.Fail(sagemakertest.Call{Action: action}, sagemakertest.Fault{Applied: true, Then: func() {
				close(applied)
				<-dead
			}})
			r := a.run(all...)
			<-applied
			r.Signal(os.Kill)
			<-r.Done
			close(dead)

			explained := a.run("-journal", dir, "-explain").Exits(0)
			explained.Says(&explained.Stdout, "about to write", "next: resume")
			refused := a.run(all...).Exits(2)
			refused.Says(&refused.Stderr, "unfinished rollout", "resume with: "+binary)
			// The document is in the journal.
			if err := os.Remove(document); err != nil {
				t.Fatal(err)
			}
			again := a.run(with(all, "-resume")...).Exits(1)
			again.Says(&again.Stdout, "rolled back")
			a.is("c1", "m1")
			nothing := a.run(with(all, "-resume")...).Exits(0)
			nothing.Says(&nothing.Stdout, "nothing to resume")
		})
	}
}

// One lost answer is nothing that a person would have to hear of, and takes no
// longer because the SDK waits before it asks again.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name  string
		fault sagemakertest.Fault
	}{
		{"lost", sagemakertest.Dropped(false)}, {"lost, applied", sagemakertest.Dropped(true)}, {"throttled", sagemakertest.Throttled()},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			for _, action := range []string{
				"sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:UpdateEndpoint",
				"application-autoscaling:DescribeScalableTargets", "application-autoscaling:RegisterScalableTarget",
			} {
				a.Fail(sagemakertest.Call{Action: action}, f.fault)
			}
			a.run(swap...).Exits(0)
			a.is("c2", "m2")
		})
	}
}

// Scheduled actions that were due meanwhile are made up for by nobody.
func TestMissed(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Seed(schedule("once", "at("+time.Now().UTC().Add(3*time.Second).Format("2006-01-02T15:04:05")+")"))
	r := a.run(with(swap, "-bake", "3s")...).Exits(0)
	r.Says(&r.Stderr, "note: variant main: scheduled action once was due at")
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		args    []string
		exit    int
		kinds   string // the first and the last
		outcome string
	}{
		{"success", swap, 0, "plan end", "succeeded"},
		{"rolled back", with(swap, "-config", "cbad"), 1, "plan end", "rolled back"},
		{"refused", with(swap, "-config", "nosuch"), 2, "end end", "refused"},
		{"usage", nil, 2, "end end", "refused"},
		{"plan", with(swap, "-plan"), 0, "plan plan", ""},
		{"explain", []string{"-explain", "-journal", t.TempDir()}, 0, "explain explain", ""},
		{"nothing", []string{"-resume", "-journal", t.TempDir()}, 0, "end end", "nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			r := a.run(with(tt.args, "-json")...).Exits(tt.exit)
			type line struct {
				Kind, Outcome, Error string
				Exit                 *int
			}
			var all []line
			for s := bufio.NewScanner(strings.NewReader(r.Stdout.String())); s.Scan(); {
				var l line
				if err := json.Unmarshal(s.Bytes(), &l); err != nil {
					t.Fatalf("%q: %v", s.Text(), err)
				}
				if l.Kind != "poll" || len(all) > 0 { // before the rollout begins
					all = append(all, l)
				}
			}
			if len(all) == 0 {
				t.Fatalf("no lines; stderr:\n%s", &r.Stderr)
			}
			first, last := all[0], all[len(all)-1]
			if got := first.Kind + " " + last.Kind; got != tt.kinds {
				t.Errorf("kinds %s, want %s", got, tt.kinds)
			}
			if last.Outcome != tt.outcome || last.Kind == "end" && (last.Exit == nil || *last.Exit != tt.exit || (last.Error != "") != (tt.exit != 0)) {
				t.Errorf("last line %+v", last)
			}
		})
	}
}
