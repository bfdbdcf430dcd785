package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Series is what the polls of one rollout showed over time. It is kept beside
// the journal, where the store has a place for it ([journal.Attacher]), so that a
// rollout can be drawn later and elsewhere. Nothing is decided by it.
type Series struct {
	Rollout string
	// Points are in order of time. A point holds until the next one, the last
	// one until Until. A long series is thinned: see [Point].
	Points []Point
	Until  time.Time
	// Polls is how many polls were answered, and Unanswered how many were not.
	Polls, Unanswered int
}

// Point is the capacity of an endpoint from a time on, in workers or instances.
// To keep a series below [journal.MaxAttachment] bytes, points that differ least
// and shortest from the one before are left out of it; those at which nothing is
// ready stay longest.
type Point struct {
	At time.Time
	// Source and Target are ready, or in whatever state while the provider moves
	// on to the other revision. Starting ones also wait for the provider's
	// capacity, Failed ones are unhealthy, and Other ones are of a third revision.
	Source, Target, Starting, Failed, Other int
	// Share is the target's share of the traffic in percent, -1 if it is not known.
	Share int
}

// Ready is the capacity that may be serving, of whatever revision.
func (p Point) Ready() int { return p.Source + p.Target + p.Other }

// seriesVersion is the version of the document.
const seriesVersion = 1

// seriesDocument is a series as it is kept: a point is an array of the
// milliseconds since Began and the counts.
type seriesDocument struct {
	Version    int        `json:"v"`
	Rollout    string     `json:"rollout"`
	Began      time.Time  `json:"began"`
	Until      int64      `json:"until"`
	Polls      int        `json:"polls"`
	Unanswered int        `json:"unanswered,omitempty"`
	Points     [][7]int64 `json:"points"`
}

// LoadSeries reads what the polls of a rollout showed. The error is
// [endpoint.ErrNotFound] if that was not kept.
func LoadSeries(ctx context.Context, store journal.Store, name, rollout string) (*Series, error) {
	if err := checkStore(store); err != nil {
		return nil, err
	}
	a, ok := journal.As[journal.Attacher](store)
	if !ok {
		return nil, fmt.Errorf("polls of %s: the store keeps none: %w", name, endpoint.ErrNotFound)
	}
	b, err := a.Attachment(ctx, name, rollout)
	if err != nil {
		return nil, err
	}
	s, err := decodeSeries(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("polls of %s: %w", name, err)
	case s.Rollout != rollout:
		return nil, fmt.Errorf("polls of %s: of rollout %q, want %q: %w", name, s.Rollout, rollout, endpoint.ErrInvalid)
	}
	return s, nil
}

func decodeSeries(b []byte) (*Series, error) {
	var d seriesDocument
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%w: %v", endpoint.ErrInvalid, err) //nolint:errorlint // what the decoder says is for people
	}
	if d.Version != seriesVersion {
		return nil, fmt.Errorf("%w: the series has version %d, this program knows %d", endpoint.ErrInvalid, d.Version, seriesVersion)
	}
	at := func(ms int64) time.Time {
		return d.Began.Add(time.Duration(min(max(0, ms), maxSeries.Milliseconds())) * time.Millisecond)
	}
	count := func(n int64) int { return int(min(max(0, n), maxCount)) }
	s := &Series{Rollout: d.Rollout, Until: at(d.Until), Polls: max(0, d.Polls), Unanswered: max(0, d.Unanswered)}
	for _, p := range d.Points {
		s.Points = append(s.Points, Point{
			At: at(p[0]), Source: count(p[1]), Target: count(p[2]), Starting: count(p[3]), Failed: count(p[4]), Other: count(p[5]),
			Share: int(min(max(-1, p[6]), 100)),
		})
	}
	slices.SortStableFunc(s.Points, func(a, b Point) int { return a.At.Compare(b.At) })
	return s, nil
}

// The bounds of what is drawn of a series, which somebody may have edited.
const (
	maxSeries = 10_000 * time.Hour
	maxCount  = 1_000_000
)

// encode renders the series, and thins it until it fits.
func (s *Series) encode() ([]byte, error) {
	for {
		d := seriesDocument{Version: seriesVersion, Rollout: s.Rollout, Polls: s.Polls, Unanswered: s.Unanswered, Points: [][7]int64{}}
		if len(s.Points) > 0 {
			d.Began = s.Points[0].At.UTC().Round(0)
			d.Until = s.Until.Sub(d.Began).Milliseconds()
		}
		for _, p := range s.Points {
			d.Points = append(d.Points, [7]int64{
				p.At.Sub(d.Began).Milliseconds(),
				int64(p.Source), int64(p.Target), int64(p.Starting), int64(p.Failed), int64(p.Other), int64(p.Share),
			})
		}
		b, err := json.Marshal(d)
		if err != nil || len(b) <= journal.MaxAttachment || len(s.Points) < 4 {
			return b, err
		}
		s.thin(len(s.Points) * 3 / 4)
	}
}

// add takes in what a poll showed.
func (s *Series) add(p Point) {
	s.Until = p.At
	if n := len(s.Points); n > 0 {
		last := s.Points[n-1]
		if last.At = p.At; last == p {
			return
		}
	}
	s.Points = append(s.Points, p)
}

// thin leaves out points until n are left.
func (s *Series) thin(n int) {
	for len(s.Points) > max(2, n) {
		cheapest, least := 0, 0.0
		for i := 1; i < len(s.Points)-1; i++ {
			if c := s.cost(i); cheapest == 0 || c < least {
				cheapest, least = i, c
			}
		}
		s.Points = slices.Delete(s.Points, cheapest, cheapest+1)
	}
}

// cost is how much is lost if the point before i holds through i as well.
func (s *Series) cost(i int) float64 {
	p, before := s.Points[i], s.Points[i-1]
	differs := distance(p.Source, before.Source) + distance(p.Target, before.Target) + distance(p.Starting, before.Starting) +
		distance(p.Failed, before.Failed) + distance(p.Other, before.Other) + distance(p.Share, before.Share)/10
	cost := differs * s.Points[i+1].At.Sub(p.At).Seconds()
	if p.Ready() == 0 && before.Ready() > 0 {
		cost += 1e12
	}
	return cost
}

func distance(a, b int) float64 { return float64(max(a-b, b-a)) }

// pointOf is the capacity that a status shows of a plan's revisions.
func pointOf(p *strategy.Plan, s *endpoint.Status, now time.Time) Point {
	at := Point{At: now.Round(0), Share: -1}
	if s.Share != nil {
		at.Share = *s.Share
	}
	both := p.Canary != nil && s.Desired.Same(p.Canary.Revision)
	for _, pool := range s.Pools {
		ready, stale := &at.Other, &at.Other
		switch {
		case both && slices.Contains(p.Canary.Target, pool.Name):
			ready, stale = &at.Target, &at.Source
		case both, s.Desired.Same(p.Source):
			ready, stale = &at.Source, &at.Target
		case s.Desired.Same(p.Target):
			ready, stale = &at.Target, &at.Source
		}
		*ready += pool.Ready
		*stale += pool.Stale
		at.Starting += pool.Starting + pool.Throttled
		at.Failed += pool.Unhealthy
	}
	return at
}

// The times between two writes of a series.
const (
	seriesInterval = journal.HeartbeatInterval // while the capacity changes
	seriesPause    = time.Minute               // after one that failed, and while nothing but the time changes
	seriesTimeout  = 5 * time.Second           // for one
)

// seriesKeeper keeps the series of a rollout beside its journal.
type seriesKeeper struct {
	*Series
	polled  bool      // since it was written
	points  bool      // it has points that were not written
	written time.Time // when, or when that was tried
	failed  bool      // that failed
}

// poll takes in a poll of the endpoint, or that it was not answered.
func (k *seriesKeeper) poll(ctx context.Context, b *book, m *core.Machine, err error, now time.Time) {
	plan := m.Ledger().Plan
	if plan == nil || m.Starting() {
		return
	}
	if k.Series == nil || k.Rollout != plan.Rollout {
		k.Series = b.series(ctx, plan.Rollout)
	}
	if k.polled = true; err != nil {
		k.Unanswered++
		return
	}
	seen, before := m.Seen(), len(k.Points)
	k.Polls++
	k.add(pointOf(plan, &seen, now))
	k.points = k.points || len(k.Points) != before
}

// keep writes the series if that is due. That it could not be written changes
// nothing about the rollout.
func (k *seriesKeeper) keep(ctx context.Context, b *book, ended bool) {
	now, pause := time.Now(), seriesPause
	if k.points && !k.failed {
		pause = seriesInterval
	}
	if !k.polled || !ended && now.Sub(k.written) < pause {
		return
	}
	a, ok := journal.As[journal.Attacher](b.store)
	if !ok {
		return
	}
	doc, err := k.encode()
	if err == nil {
		err = do(context.WithoutCancel(ctx), "the store's Attach", seriesTimeout, func(ctx context.Context) error {
			return a.Attach(ctx, b.name, k.Rollout, doc)
		})
	}
	k.polled, k.points, k.written, k.failed = err != nil, err != nil && k.points, now, err != nil
}
