package rollout

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/changeover-dev/changeover/journal"
)

// FuzzFold folds any records: nothing panics, and a journal that is accepted
// can be explained.
func FuzzFold(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "v1", "journal-*.jsonl"))
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
		var records []journal.Record
		for line := range bytes.Lines(b) {
			var r journal.Record
			if json.Unmarshal(line, &r) != nil {
				return
			}
			records = append(records, r)
		}
		j, err := fold("fake/workers", records)
		if err != nil || j.plan == nil {
			return
		}
		_ = j.nextAction()
		for _, r := range records {
			_ = explainRecord(&r)
		}
	})
}
