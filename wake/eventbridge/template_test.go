package eventbridge_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// template.json, as far as its meaning hangs together with the code.
type template struct {
	Resources struct {
		Queue struct {
			Type       string
			Properties struct {
				MessageRetentionPeriod, VisibilityTimeout int
			}
		}
		Rule struct {
			Type       string
			Properties struct {
				EventPattern map[string]any
				Targets      []struct{ Arn attribute }
			}
		}
		QueuePolicy, Reader struct {
			Type       string
			Properties struct {
				Queues         []map[string]string
				PolicyDocument struct{ Statement []statement }
			}
		}
	}
	Outputs map[string]struct{ Value map[string]string }
}

type attribute struct {
	Of []string `json:"Fn::GetAtt"`
}

type statement struct {
	Effect    string
	Principal map[string]string
	Action    any
	Resource  attribute
	Condition map[string]map[string]attribute
}

func readTemplate(t *testing.T) template {
	t.Helper()
	b, err := os.ReadFile("template.json")
	if err != nil {
		t.Fatal(err)
	}
	var tpl template
	if err := json.Unmarshal(b, &tpl); err != nil {
		t.Fatal(err)
	}
	return tpl
}

// resolved is a value of the template with the condition WithStages decided.
func resolved(v any, stages bool) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	branches, ok := m["Fn::If"].([]any)
	if !ok || len(branches) != 3 || branches[0] != "WithStages" {
		return v
	}
	if stages {
		return branches[1]
	}
	return branches[2]
}

// matches is how EventBridge matches: each field of the pattern lists the
// values that the event may have there.
func matches(t *testing.T, pattern map[string]any, stages bool, body string) bool {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	for key, v := range pattern {
		values, ok := resolved(v, stages).([]any)
		if !ok {
			t.Fatalf("%s: %v", key, v)
		}
		if !slices.Contains(values, e[key]) {
			return false
		}
	}
	return true
}

func TestTemplateRule(t *testing.T) {
	tpl := readTemplate(t)
	state := stateChange("sdxl", "IN_SERVICE")
	deployment := strings.Replace(state, "Endpoint State", "Endpoint Deployment State", 1)
	for _, tt := range []struct {
		name, body     string
		stages, always bool
	}{
		{"state change", state, true, true},
		{"stage", deployment, true, false},
		{"configuration", strings.Replace(state, "Endpoint State", "Endpoint Config State", 1), false, false},
		{"another source", strings.Replace(state, `"aws.sagemaker"`, `"acme.sagemaker"`, 1), false, false},
	} {
		pattern := tpl.Resources.Rule.Properties.EventPattern
		if got := matches(t, pattern, true, tt.body); got != tt.stages {
			t.Errorf("%s, with stages: matches %v", tt.name, got)
		}
		if got := matches(t, pattern, false, tt.body); got != tt.always {
			t.Errorf("%s, without stages: matches %v", tt.name, got)
		}
		// What the rule lets through is understood, and nothing else.
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			wake, stop := s.queue(t).Watch(t.Context(), "sdxl")
			defer stop()
			s.send(time.Second, tt.body)
			time.Sleep(2 * time.Second)
			if got := len(wake) == 1; got != tt.stages {
				t.Errorf("%s: woken %v", tt.name, got)
			}
		})
	}
}

func TestTemplateHangsTogether(t *testing.T) {
	r := readTemplate(t).Resources
	for _, tt := range []struct{ got, want string }{
		{r.Queue.Type, "AWS::SQS::Queue"},
		{r.Rule.Type, "AWS::Events::Rule"},
		{r.QueuePolicy.Type, "AWS::SQS::QueuePolicy"},
		{r.Reader.Type, "AWS::IAM::ManagedPolicy"},
	} {
		if tt.got != tt.want {
			t.Errorf("type %s, want %s", tt.got, tt.want)
		}
	}
	queue, rule := []string{"Queue", "Arn"}, []string{"Rule", "Arn"}
	if q := r.Queue.Properties; q.MessageRetentionPeriod < 60 || q.MessageRetentionPeriod > 300 || q.VisibilityTimeout != 2 {
		t.Errorf("the queue keeps messages for %d s", q.MessageRetentionPeriod)
	}
	if to := r.Rule.Properties.Targets; len(to) != 1 || !slices.Equal(to[0].Arn.Of, queue) {
		t.Errorf("the rule sends to %v", to)
	}
	if on := r.QueuePolicy.Properties.Queues; len(on) != 1 || on[0]["Ref"] != "Queue" {
		t.Errorf("the policy is on %v", on)
	}
	send := r.QueuePolicy.Properties.PolicyDocument.Statement
	if len(send) != 1 || send[0].Effect != "Allow" || send[0].Principal["Service"] != "events.amazonaws.com" || send[0].Action != "sqs:SendMessage" ||
		!slices.Equal(send[0].Resource.Of, queue) || !slices.Equal(send[0].Condition["ArnEquals"]["aws:SourceArn"].Of, rule) {
		t.Errorf("the policy of the queue: %+v", send)
	}
	if tpl := readTemplate(t); tpl.Outputs["QueueURL"].Value["Ref"] != "Queue" || tpl.Outputs["ReaderPolicy"].Value["Ref"] != "Reader" {
		t.Errorf("outputs %v", tpl.Outputs)
	}
	read := r.Reader.Properties.PolicyDocument.Statement
	if len(read) != 1 || read[0].Effect != "Allow" || !slices.Equal(read[0].Resource.Of, queue) {
		t.Fatalf("the reader's policy: %+v", read)
	}
	// The rights are those for the requests that are made, and no others.
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		_, stop := s.queue(t).Watch(t.Context(), "sdxl")
		defer stop()
		s.send(time.Second, stateChange("sdxl", "IN_SERVICE"))
		time.Sleep(time.Minute)
		var made []any
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.calls {
			if action := "sqs:" + strings.TrimSuffix(c.op, "Batch"); !slices.Contains(made, any(action)) { // a batch needs the right to one
				made = append(made, action)
			}
		}
		listed, ok := read[0].Action.([]any)
		if !ok || len(made) != len(listed) || slices.ContainsFunc(made, func(a any) bool { return !slices.Contains(listed, a) }) {
			t.Errorf("actions made %v, listed %v", made, read[0].Action)
		}
	})
}
