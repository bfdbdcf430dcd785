package rollout

import (
	"time"

	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
)

// Describe says in words what a record tells, over one line and one more for
// each thing that remains. [Explain] has such a text for each record.
func Describe(r *journal.Record) string { return explainRecord(r) }

// NextAction says in words what would be next for the newest rollout in the
// records of an endpoint's journal. Its error is a [*journal.ReadError] if they
// are not understood; of no records it is "".
func NextAction(endpoint string, records []journal.Record) (string, error) {
	j, err := core.Fold(endpoint, records, time.Now())
	if err != nil || j.Plan == nil {
		return "", err
	}
	return nextAction(j), nil
}
