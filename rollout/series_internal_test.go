package rollout

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// However long a rollout takes, what is kept of it fits, and shows from when to
// when nothing was ready.
func TestSeriesIsBounded(t *testing.T) {
	began := time.Date(2026, 12, 1, 3, 0, 0, 0, time.UTC)
	s := &Series{Rollout: "20261201-030000-abcdef"}
	var b []byte
	for i := range 20_000 {
		p := Point{At: began.Add(time.Duration(i) * 7 * time.Second), Source: 1 + i%5, Target: i % 7, Starting: i % 3, Share: i % 101}
		if i == 9_000 {
			p = Point{At: p.At, Starting: 1, Share: -1}
		}
		s.add(p)
		if i%50 != 0 {
			continue
		}
		var err error
		if b, err = s.encode(); err != nil || len(b) > journal.MaxAttachment {
			t.Fatalf("after %d points: %d bytes, %v; want at most %d", i, len(b), err, journal.MaxAttachment)
		}
	}
	got, err := decodeSeries(b)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Points); n < 100 {
		t.Errorf("%d points are left, want a hundred at least", n)
	}
	if !got.Points[0].At.Equal(began) {
		t.Errorf("the first point is of %v, want %v", got.Points[0].At, began)
	}
	from := time.Time{}
	for _, p := range got.Points {
		if p.Ready() == 0 && from.IsZero() {
			from = p.At
		}
	}
	if want := began.Add(9_000 * 7 * time.Second); !from.Equal(want) {
		t.Errorf("nothing is ready from %v, want from %v", from, want)
	}
}

func TestSeriesRoundTrip(t *testing.T) {
	at := time.Date(2026, 12, 1, 3, 0, 0, 0, time.UTC)
	want := &Series{Rollout: "r", Polls: 7, Unanswered: 2, Until: at.Add(time.Minute), Points: []Point{
		{At: at, Source: 2, Share: -1}, {At: at.Add(time.Second), Source: 1, Target: 1, Starting: 2, Failed: 3, Other: 4, Share: 50},
	}}
	b, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeSeries(b)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got) %v:\n%s", err, diff)
	}
}

// A document that somebody edited is refused, or brought into bounds.
func TestDecodeSeries(t *testing.T) {
	for _, bad := range []string{``, `[]`, `{"v":2}`, `{"v":1,"points":[["x"]]}`} {
		if s, err := decodeSeries([]byte(bad)); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("%s: %v, %v; want %v", bad, s, err, endpoint.ErrInvalid)
		}
	}
	s, err := decodeSeries([]byte(`{"v":1,"rollout":"r","until":-5,"points":[[9223372036854775807,-1,9e9,1,1,1,500],[0,1,1,1,1,1,-9]]}`))
	if err == nil {
		t.Errorf("a fraction is no count: %+v", s)
	}
	s, err = decodeSeries([]byte(`{"v":1,"rollout":"r","until":-5,"points":[[9223372036854775807,-1,9000000000,1,1,1,500],[0,1,1,1,1,1,-9]]}`))
	if err != nil {
		t.Fatal(err)
	}
	if p := s.Points[1]; p.Source != 0 || p.Target != maxCount || p.Share != 100 || s.Points[0].Share != -1 || p.At.Sub(s.Points[0].At) != maxSeries {
		t.Errorf("points are %+v", s.Points)
	}
}
