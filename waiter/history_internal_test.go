package waiter

import (
	"testing"
	"time"
)

func TestHistoryForgetsWhatWasNotUsed(t *testing.T) {
	var h History
	h.Add("k", "old but used", time.Minute)
	for i := range 3 * maxSeries {
		h.Add("k", string(rune(i)), time.Minute)
		if i%1000 == 0 {
			h.Forecast("k", "old but used")
		}
		if h.size > maxSeries {
			t.Fatalf("%d series are kept, want at most %d", h.size, maxSeries)
		}
	}
	if h.Durations("k", "old but used") == nil {
		t.Error("what was used was forgotten")
	}
	if h.Durations("k", string(rune(1))) != nil {
		t.Error("what was not used was kept")
	}
}
