package strategy

import (
	"encoding/json"

	"github.com/changeover-dev/changeover/endpoint"
)

// UnmarshalJSON reads a plan of this version or of version 1, which named
// some fields and actions otherwise.
func (p *Plan) UnmarshalJSON(b []byte) error {
	type plan Plan // without this method
	var read struct {
		plan

		V1Autoscaling *AutoscalingV1   `json:"protection"`
		V1Autoscaled  []string         `json:"moved"`
		V1ResetTo     map[string][]int `json:"reset"`
		V1Rollback    []Step           `json:"back"`
		V1Gates       []string         `json:"gates"`
	}
	if err := json.Unmarshal(b, &read); err != nil {
		return err
	}
	if *p = Plan(read.plan); p.Version != 1 {
		return nil
	}
	p.Version = FormatVersion
	p.Autoscaling, p.Autoscaled = read.V1Autoscaling.Snapshot(), read.V1Autoscaled
	p.ResetTo, p.Rollback = read.V1ResetTo, read.V1Rollback
	for _, name := range read.V1Gates { // which rolled back on any error
		p.Checks = append(p.Checks, Check{Name: name, Unknown: UnknownRollback}.WithDefaults())
	}
	for _, list := range [][]Step{p.Forward, p.Rollback} {
		for i := range list {
			if now, ok := actionsV1[list[i].Do]; ok {
				list[i].Do = now
			}
		}
	}
	return nil
}

// actionsV1 are the actions that version 1 named otherwise.
var actionsV1 = map[Action]Action{
	"protect": ActionSuspendAutoscaling, "restore": ActionRestoreAutoscaling, "return": ActionRestoreSetting,
}

// AutoscalingV1 is an [endpoint.AutoscalingSnapshot] as plans and journals of
// version 1 have it.
type AutoscalingV1 struct {
	Summary    string            `json:"summary"`
	Autoscaled []string          `json:"moved"`
	ResetTo    map[string][]int  `json:"reset"`
	Max        endpoint.Settings `json:"most"`
	Data       json.RawMessage   `json:"data"`
}

// Snapshot is the snapshot as it is today, nil for none.
func (v *AutoscalingV1) Snapshot() *endpoint.AutoscalingSnapshot {
	if v == nil {
		return nil
	}
	s := endpoint.AutoscalingSnapshot(*v)
	return &s
}
