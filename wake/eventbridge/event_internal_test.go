package eventbridge

import (
	"encoding/json"
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	at := time.Date(2021, 10, 25, 1, 52, 12, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"2021-10-25T01:52:12Z"`: at, `"1635126732000"`: at, `1635126732000`: at, `1635126732000.0`: at,
		`"soon"`: {}, `null`: {}, `{}`: {}, `""`: {}, `true`: {},
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if got := moment(v); !got.Equal(want) {
			t.Errorf("moment(%s) = %v, want %v", text, got, want)
		}
	}
}

// Anybody who may send to the queue can write anything.
func FuzzParse(f *testing.F) {
	f.Add(`{"source":"aws.sagemaker","detail-type":"SageMaker Endpoint State Change","time":"2021-10-25T01:52:12Z",` +
		`"resources":["arn:aws:sagemaker:eu-west-1:111122223333:endpoint/sdxl"],"detail":{"EndpointName":"sdxl","EndpointStatus":"IN_SERVICE"}}`)
	f.Add(`{"source":"aws.sagemaker","detail-type":"SageMaker Endpoint Deployment State Change","time":1e300,"resources":[null],"detail":{"EndpointArn":"x"}}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		e, ok := parse(body)
		if ok && e.name == "" {
			t.Errorf("%q is about no endpoint: %+v", body, e)
		}
		w := newWatch(e.name)
		_, _ = w.concerns(e), w.news(e)
	})
}
