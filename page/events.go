package page

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// seen names what a page shows, so that it is read again when there is more.
func seen(seq int, series *rollout.Series) string {
	polls := 0
	if series != nil {
		polls = series.Polls
	}
	return fmt.Sprintf("%d-%d", seq, polls)
}

// events tells a page by server-sent events that there is more to see.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), streamTime)
	defer cancel()
	f := &follower{store: s.store, endpoint: r.FormValue("endpoint")}
	if err := f.read(ctx); err != nil || f.seq == 0 {
		http.Error(w, "there is no such journal", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // of a proxy
	answer := http.NewResponseController(w)
	say := func(data string) bool {
		_ = answer.SetWriteDeadline(time.Now().Add(streamTick)) // not every server has one
		_, err := fmt.Fprintf(w, "retry: 2000\ndata: %s\n\n", data)
		return err == nil && answer.Flush() == nil
	}
	told, at := "", time.Time{}
	next := time.NewTicker(streamInterval)
	defer next.Stop()
	for {
		switch now := seen(f.seq, f.series); {
		case now != told:
			if !say(now) {
				return
			}
			told, at = now, time.Now()
		case time.Since(at) >= streamTick:
			if !say("tick") {
				return
			}
			at = time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if err := f.read(ctx); err != nil && ctx.Err() != nil {
			return
		}
	}
}

// follower reads what is new of a journal.
type follower struct {
	store    journal.Store
	endpoint string
	seq      int
	rollout  string
	series   *rollout.Series
}

func (f *follower) read(ctx context.Context) error {
	records, err := journal.LoadAfter(ctx, f.store, f.endpoint, f.seq)
	if err != nil {
		return err
	}
	if n := len(records); n > 0 {
		f.seq, f.rollout = records[n-1].Seq, records[n-1].Rollout
	}
	if f.seq == 0 {
		return nil
	}
	if s, err := rollout.LoadSeries(ctx, f.store, f.endpoint, f.rollout); err == nil {
		f.series = s
	}
	return nil
}
