package journal_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Check accepts a journal, what a trim leaves of one, and records of version 1
// before the first checksum; everything else is refused at its first wrong record.
func TestCheck(t *testing.T) {
	s := journal.NewMemory()
	all := grow(t, s, "e", journal.Record{}, 30)
	v1 := []journal.Record{{Version: 2, Seq: 1, Kind: journal.KindPlan}, {Version: 2, Seq: 2, Kind: journal.KindEnd}}
	after := next(t, v1[1], journal.KindPlan)
	newer, first := all[3], all[0]
	newer.Version, first.Prev = strategy.FormatVersion+1, all[5].Sum
	for name, tt := range map[string]struct {
		records []journal.Record
		line    int // 0 if they are right
		want    error
	}{
		"none":                    {nil, 0, nil},
		"whole":                   {all, 0, nil},
		"trimmed":                 {all[10:], 0, nil},
		"version 1":               {v1, 0, nil},
		"continued version 1":     {append(slices.Clone(v1), after), 0, nil},
		"version 1 behind others": {append(slices.Clone(all[:1]), v1[1]), 2, journal.ErrDamaged},
		"without a beginning":     {all[11:], 1, journal.ErrDamaged},
		"a gap":                   {slices.Concat(all[:7], all[8:]), 8, journal.ErrDamaged},
		"a record twice":          {slices.Concat(all[:7], all[6:]), 8, journal.ErrDamaged},
		"another first record":    {append([]journal.Record{first}, all[1:]...), 1, journal.ErrDamaged},
		"another journal's":       {slices.Concat(all[:2], v1[1:], all[3:]), 3, journal.ErrDamaged},
		"newer":                   {slices.Concat(all[:3], []journal.Record{newer}), 4, endpoint.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			err := journal.Check(tt.records)
			var partly *journal.ReadError
			switch {
			case tt.line == 0:
				if err != nil {
					t.Errorf("Check = %v", err)
				}
			case !errors.Is(err, tt.want) || !errors.As(err, &partly) || partly.Line != tt.line || len(partly.Records) != tt.line-1:
				t.Errorf("Check = %v, want line %d and %v", err, tt.line, tt.want)
			}
		})
	}
}

// A record is as it was sealed, or it is not encoded.
func TestEncodeRefuses(t *testing.T) {
	r := next(t, journal.Record{}, journal.KindPlan)
	if _, err := journal.Encode(r); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*journal.Record){
		"unsealed":    func(r *journal.Record) { r.Sum = "" },
		"another sum": func(r *journal.Record) { r.Sum = "00" + r.Sum[2:] },
		"renumbered":  func(r *journal.Record) { r.Seq++ },
		"moved":       func(r *journal.Record) { r.Prev = r.Sum },
	} {
		r := r
		edit(&r)
		if _, err := journal.Encode(r); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("%s: Encode = %v, want %v", name, err, endpoint.ErrInvalid)
		}
	}
}

// White space that a store adds, as some databases do, changes nothing.
func TestDecodeWithWhiteSpace(t *testing.T) {
	r := next(t, journal.Record{}, journal.KindPlan)
	b, err := journal.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	spaced := slices.Concat([]byte(" { "), b[1:len(b)-1], []byte("\n}\n"))
	if got, err := journal.Decode(spaced); err != nil || got.Sum != r.Sum {
		t.Errorf("Decode = %v, %v", got, err)
	}
}
