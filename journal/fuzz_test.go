package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/changeover-dev/changeover/strategy"
)

// FuzzDecodeLines reads any bytes as a journal: nothing panics, a record that
// is read can be written and read again, and a torn end costs the last line alone.
func FuzzDecodeLines(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "rollout", "testdata", "v[12]", "journal-*.jsonl"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		records, complete, err := decodeLines(b)
		if err != nil {
			return
		}
		torn, _, err := decodeLines(append(bytes.Clone(b[:complete]), `{"v":1,"seq":`...))
		if err != nil || len(torn) != len(records) {
			t.Errorf("%d records, and with a torn end %d, %v", len(records), len(torn), err)
		}
		for _, r := range records {
			if r.Version > strategy.FormatVersion {
				continue // Check refuses it
			}
			if r.Sum == "" { // version 1 has none
				if err := r.Seal(""); err != nil {
					t.Fatalf("a record that was read cannot be sealed: %v", err)
				}
			}
			again, err := Encode(r)
			if err != nil {
				t.Fatalf("a record that was read cannot be written: %v", err)
			}
			if _, err := Decode(again); err != nil {
				t.Errorf("a record that was written cannot be read: %v", err)
			}
		}
	})
}
