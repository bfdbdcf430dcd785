package eventbridge

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// event is what is needed of an event of EventBridge. Nothing in it is
// trusted further than to be worth a poll.
type event struct {
	name string // of the endpoint, in lower case
	arn  string // likewise; empty if it is not told
	at   time.Time
	rest bool // the endpoint may have come to rest, or its stage has changed
}

const (
	source          = "aws.sagemaker"
	typeState       = "SageMaker Endpoint State Change"
	typeDeployment  = "SageMaker Endpoint Deployment State Change"
	endpointSection = ":endpoint/"
)

// parse reads an event about an endpoint; ok is false for everything else.
func parse(body string) (e event, ok bool) {
	var doc struct {
		Source    string   `json:"source"`
		Type      string   `json:"detail-type"`
		Time      any      `json:"time"`
		Resources []string `json:"resources"`
		Detail    struct {
			Name   string `json:"EndpointName"`
			ARN    string `json:"EndpointArn"`
			Status string `json:"EndpointStatus"`
		} `json:"detail"`
	}
	if json.Unmarshal([]byte(body), &doc) != nil || doc.Source != source || doc.Type != typeState && doc.Type != typeDeployment {
		return event{}, false
	}
	e = event{
		name: strings.ToLower(doc.Detail.Name), arn: strings.ToLower(doc.Detail.ARN), at: moment(doc.Time),
		rest: doc.Type == typeDeployment || !underWay(doc.Detail.Status),
	}
	if e.arn == "" && len(doc.Resources) > 0 {
		e.arn = strings.ToLower(doc.Resources[0])
	}
	if e.name == "" {
		_, e.name, _ = strings.Cut(e.arn, endpointSection)
	}
	return e, e.name != ""
}

// underWay reports whether a status is one that an endpoint does not stay in.
// AWS spells it "UPDATING" in events, and "Updating" elsewhere. One that is not
// known may be anything.
func underWay(status string) bool {
	switch strings.ToLower(strings.ReplaceAll(status, "_", "")) {
	case "creating", "updating", "systemupdating", "rollingback":
		return true
	}
	return false
}

// moment is the time of an event: a date, or milliseconds, of which AWS's
// documentation shows both. It is zero if it is neither.
func moment(v any) time.Time {
	switch v := v.(type) {
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t
		}
		if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
			return time.UnixMilli(ms)
		}
	case float64:
		return time.UnixMilli(int64(v))
	}
	return time.Time{}
}
