package endpoint_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
)

func TestPhaseText(t *testing.T) {
	for _, tt := range []struct {
		phase endpoint.Phase
		text  string
	}{
		{endpoint.PhaseUnknown, "unknown"},
		{endpoint.PhaseReady, "ready"},
		{endpoint.PhaseScaling, "scaling"},
		{endpoint.PhaseUpdating, "updating"},
		{endpoint.PhasePaused, "paused"},
		{endpoint.PhaseDegraded, "degraded"},
		{endpoint.PhaseFailed, "failed"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			if got := tt.phase.String(); got != tt.text {
				t.Errorf("String = %q, want %q", got, tt.text)
			}
			b, err := tt.phase.MarshalText()
			if err != nil || string(b) != tt.text {
				t.Errorf("MarshalText = %q, %v; want %q", b, err, tt.text)
			}
			got := endpoint.Phase(99)
			if err := got.UnmarshalText(b); err != nil || got != tt.phase {
				t.Errorf("UnmarshalText = %v, %v; want %v", got, err, tt.phase)
			}
		})
	}
}

// TestPhaseFromTheFuture: what an older program does not know must neither stop
// it from reading, nor look like success.
func TestPhaseFromTheFuture(t *testing.T) {
	for _, p := range []endpoint.Phase{-1, endpoint.PhaseFailed + 1, 1 << 40} {
		b, err := p.MarshalText()
		if p.String() != "unknown" || err != nil || string(b) != "unknown" {
			t.Errorf("phase %d is %q, in text %q, %v; want unknown", int(p), p, b, err)
		}
	}
	for _, text := range []string{"", "Ready", "READY", " ready", "hibernating"} {
		p := endpoint.PhaseReady
		if err := p.UnmarshalText([]byte(text)); err != nil || p != endpoint.PhaseUnknown {
			t.Errorf("text %q is phase %v, %v; want unknown", text, p, err)
		}
	}
	s := endpoint.Status{Phase: endpoint.PhaseReady}
	if err := json.Unmarshal([]byte(`{"phase":"hibernating","mood":"tired"}`), &s); err != nil || s.Phase != endpoint.PhaseUnknown {
		t.Errorf("a newer status has phase %v, %v; want unknown", s.Phase, err)
	}
	if (endpoint.Status{}).Phase != endpoint.PhaseUnknown {
		t.Error("a status that nobody filled in has a phase")
	}
}

func TestCounts(t *testing.T) {
	for _, tt := range []struct {
		name            string
		pools           []endpoint.Pool
		live, unhealthy int
	}{
		{"no pool", nil, 0, 0},
		{"empty pools", make([]endpoint.Pool, 2), 0, 0},
		{"every state", []endpoint.Pool{{Ready: 1, Starting: 2, Throttled: 4, Unhealthy: 8, Stale: 16}}, 31, 8},
		{"several pools", []endpoint.Pool{{Ready: 1, Unhealthy: 2}, {Name: "shadow", Stale: 3}, {Unhealthy: 4}}, 10, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := endpoint.Status{Pools: tt.pools}
			if s.Live() != tt.live || s.Unhealthy() != tt.unhealthy {
				t.Errorf("%d live, %d unhealthy; want %d, %d", s.Live(), s.Unhealthy(), tt.live, tt.unhealthy)
			}
			sum := 0
			for _, p := range tt.pools {
				sum += p.Live()
			}
			if sum != tt.live {
				t.Errorf("%d live in the pools, want %d", sum, tt.live)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	s := endpoint.Settings{endpoint.WorkersMin: 1, endpoint.WorkersMax: 3, "idle.timeout": 5}
	c := s.Clone()
	if diff := cmp.Diff(s, c); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
	c[endpoint.WorkersMin] = 0
	if s[endpoint.WorkersMin] != 1 {
		t.Error("a write to the copy reached the original")
	}
	if diff := cmp.Diff([]string{"idle.timeout", "workers.max", "workers.min"}, s.Keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	var none endpoint.Settings
	if none.Clone() != nil || len(none.Keys()) != 0 {
		t.Errorf("no settings have the copy %v and the keys %v", none.Clone(), none.Keys())
	}
}
