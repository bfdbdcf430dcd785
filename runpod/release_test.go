package runpod

import (
	"encoding/json"
	"testing"
)

// A release counts as somebody else's if it changed what the settings do not
// show, and nothing of what they do.
func TestUnseenReleases(t *testing.T) {
	for name, tt := range map[string]struct {
		diffs [][]string // fields, newest release first; versions count down from 9
		want  int
	}{
		"none":                      {nil, 0},
		"an image":                  {[][]string{{"template.imageName"}}, 0},
		"a field that nobody knows": {[][]string{{"template.startScript"}}, 9},
		"before an image":           {[][]string{{"template.imageName"}, {"template.startScript"}}, 8},
		"the newest one":            {[][]string{{"compliance"}, {"template.imageName"}, {"template.startScript"}}, 9},
		"along with an image":       {[][]string{{"template.imageName", "template.startScript"}}, 0},
		"along with hardware":       {[][]string{{"gpuIds", "gpuTypePriority"}}, 0},
		"along with bounds":         {[][]string{{"workers.max", "template.startScript"}}, 9},
		"bounds":                    {[][]string{{"workers.max"}, {"workersMin", "workersStandby"}, {"scaling.queueDelay"}, {"scalerValue"}, {"idleTimeout"}, {"executionTimeoutMs"}, {"timeout"}}, 0},
		"hardware":                  {[][]string{{"gpuCount"}, {"gpu.pools"}, {"locations"}, {"networkVolumeId"}, {"flashBootType"}, {"templateId"}}, 0},
		"nothing, as for a build":   {[][]string{{}}, 0},
		"what describes":            {[][]string{{"name"}, {"template.name"}, {"template.readme"}, {"template.isPublic"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := &releaseList{}
			for i, fields := range tt.diffs {
				r := release{version: 9 - i}
				for _, f := range fields {
					r.diff = append(r.diff, difference{Field: f, Old: json.RawMessage("null"), New: json.RawMessage("null")})
				}
				l.releases = append(l.releases, r)
			}
			if got := l.unseen(); got != tt.want {
				t.Errorf("unseen = %d, want %d", got, tt.want)
			}
		})
	}
}
