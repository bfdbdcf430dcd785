package prometheus

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// noValue says why an answer has no number to judge by.
type noValue struct {
	reason string
	empty  bool // there is no time series at all
}

func (e *noValue) Error() string { return e.reason }

func noNumber(format string, args ...any) error {
	return &noValue{reason: fmt.Sprintf(format, args...)}
}

// value is the one number of an answer.
func (a answer) value() (float64, error) {
	if len(a.Warnings) > 0 {
		return 0, noNumber("the server warns: %s", clip(strings.Join(a.Warnings, "; ")))
	}
	point := a.Data.Result
	switch a.Data.ResultType {
	case "scalar":
	case "vector":
		var series []struct {
			Value     json.RawMessage `json:"value"`
			Histogram json.RawMessage `json:"histogram"`
		}
		if err := json.Unmarshal(a.Data.Result, &series); err != nil {
			return 0, noNumber("the server's answer cannot be read")
		}
		switch {
		case len(series) == 0:
			return 0, &noValue{reason: "there is no data", empty: true}
		case len(series) > 1:
			return 0, noNumber("the query has %d time series, want 1: aggregate them, for example by sum or max", len(series))
		case series[0].Value == nil && series[0].Histogram != nil:
			return 0, noNumber("the query has a histogram for result, want a number: use histogram_quantile or another function of it")
		}
		point = series[0].Value
	default:
		return 0, noNumber("the query has a %s for result, want a number", clip(a.Data.ResultType))
	}
	var pair []json.RawMessage
	var text string
	if json.Unmarshal(point, &pair) != nil || len(pair) != 2 || json.Unmarshal(pair[1], &text) != nil {
		return 0, noNumber("the server's answer cannot be read")
	}
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return 0, noNumber("the server's answer cannot be read")
	case math.IsNaN(v):
		return 0, noNumber("the query's result is not a number (NaN), as without any requests")
	case math.IsInf(v, 0):
		return 0, noNumber("the query's result is infinite (%v), as after a division by zero", v)
	}
	return v, nil
}

func clip(s string) string {
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
