package journal

import (
	"encoding/json"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// UnmarshalJSON reads a record of this version, and compares its checksum, or
// of version 1, which had none and named some fields, kinds and things
// otherwise.
func (r *Record) UnmarshalJSON(b []byte) error {
	type record Record // without this method
	if err := json.Unmarshal(b, (*record)(r)); err != nil {
		return err
	}
	switch {
	case r.Version > strategy.FormatVersion:
		return nil // of another format, which Check refuses
	case r.Version != 1:
		return verify(b, r.Sum)
	case r.Sum != "" || r.Prev != "":
		return fmt.Errorf("%w: a checksum in a record of version 1", ErrDamaged)
	}
	var v1 struct {
		Owner     string `json:"driver"`
		Exclusive bool   `json:"alone"`
		Before    struct {
			ProviderOverrides endpoint.Settings    `json:"imposed"`
			UpdateStage       endpoint.UpdateStage `json:"stage"`
		} `json:"before"`
		Write struct {
			Suspend *strategy.AutoscalingV1 `json:"protect"`
		} `json:"write"`
	}
	if err := json.Unmarshal(b, &v1); err != nil {
		return err
	}
	r.Version, r.Owner, r.Exclusive = strategy.FormatVersion, v1.Owner, v1.Exclusive
	if kind, ok := kindsV1[r.Kind]; ok {
		r.Kind = kind
	}
	if r.Before != nil {
		r.Before.ProviderOverrides, r.Before.UpdateStage = v1.Before.ProviderOverrides, v1.Before.UpdateStage
	}
	if r.Write != nil {
		r.Write.Suspend = v1.Write.Suspend.Snapshot()
		r.Write.Thing = thingV1(r.Write.Thing)
	}
	if r.Drift != nil {
		r.Drift.Thing = thingV1(r.Drift.Thing)
	}
	return nil
}

// thingV1 is today's name of a thing of version 1.
func thingV1(thing string) string {
	if thing == "protection" {
		return ThingAutoscaling
	}
	return thing
}

// kindsV1 are the kinds that version 1 named otherwise.
var kindsV1 = map[RecordKind]RecordKind{"turn": KindRollback, "imposed": KindOverridden}
