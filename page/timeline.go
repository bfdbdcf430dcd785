package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// Timeline is one rollout, as it was when it was read. It is safe for
// concurrent use.
type Timeline struct {
	endpoint  string
	plan      *strategy.Plan
	records   []journal.Record   // of this rollout
	series    *rollout.Series    // what the polls showed, nil if that was not kept
	heartbeat *journal.Heartbeat // of the runner that the journal names, nil if there is none
	next      string             // what is next, if the rollout is unfinished
	damage    error              // why the journal cannot be read any further
	read      time.Time
	rollouts  []string // of the journal, the newest one last

	told *story // by all of that
}

// Load reads the newest rollout of an endpoint's journal. If the journal has no
// rollout the error is [endpoint.ErrNotFound]. Of a journal that can only be read
// in part, it returns that part and a [*journal.ReadError].
func Load(ctx context.Context, store journal.Store, name string) (*Timeline, error) {
	return LoadRollout(ctx, store, name, "")
}

// LoadRollout reads one rollout of an endpoint's journal, by its name
// ([strategy.Plan]), as [Load] does.
func LoadRollout(ctx context.Context, store journal.Store, name, id string) (*Timeline, error) {
	records, err := journal.Load(ctx, store, name)
	var partly *journal.ReadError
	if errors.As(err, &partly) {
		records = partly.Records
	} else if err != nil {
		return nil, err
	}
	t := &Timeline{endpoint: name, read: time.Now()}
	if err != nil {
		t.damage = err
	}
	if !t.pick(records, id) {
		if err == nil {
			err = fmt.Errorf("%s: %w: its journal has no rollout %s", name, endpoint.ErrNotFound, id)
		}
		return nil, err
	}
	newest := t.plan.Rollout == t.rollouts[len(t.rollouts)-1]
	if newest && t.last().Kind != journal.KindEnd && t.damage == nil {
		if t.next, err = rollout.NextAction(name, records); err != nil {
			t.damage = err
		}
	}
	t.readBeside(ctx, store)
	t.told = newStory(t)
	return t, t.damage
}

// pick takes the records of one rollout, or of the newest one.
func (t *Timeline) pick(records []journal.Record, id string) bool {
	from, to := -1, len(records)
	for i, r := range records {
		if r.Kind != journal.KindPlan || r.Plan == nil {
			continue
		}
		t.rollouts = append(t.rollouts, r.Rollout)
		switch {
		case id == "" || r.Rollout == id:
			from, to = i, len(records)
		case from >= 0 && to == len(records):
			to = i
		}
	}
	if from < 0 {
		return false
	}
	t.plan, t.records = records[from].Plan, slices.Clip(records[from:to])
	return true
}

// readBeside reads what is kept beside the journal. A page is right without it.
func (t *Timeline) readBeside(ctx context.Context, store journal.Store) {
	if s, err := rollout.LoadSeries(ctx, store, t.endpoint, t.plan.Rollout); err == nil {
		t.series = s
	}
	if h, ok := journal.As[journal.Heartbeater](store); ok {
		if beat, err := h.LastHeartbeat(ctx, t.endpoint); err == nil && beat.Rollout == t.plan.Rollout {
			t.heartbeat = &beat
		}
	}
}

func (t *Timeline) last() *journal.Record { return &t.records[len(t.records)-1] }

// WriteHTML writes the rollout as one HTML page, which fetches nothing and runs
// no script.
func (t *Timeline) WriteHTML(w io.Writer) error {
	return execute(w, &document{Title: t.title(), Timelines: []*view{newView(t)}})
}

// WriteMarkdown writes a summary of the rollout in Markdown, as GitHub renders
// it: append it to the file that GITHUB_STEP_SUMMARY names.
func (t *Timeline) WriteMarkdown(w io.Writer) error {
	_, err := io.WriteString(w, markdown(newView(t)))
	return err
}

func (t *Timeline) title() string {
	return fmt.Sprintf("%s: %s", t.endpoint, t.told.headline())
}
