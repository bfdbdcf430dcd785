package rollout

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
)

// FuzzFold folds any records: nothing panics, and a journal that is accepted
// can be explained.
func FuzzFold(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "v[12]", "journal-*.jsonl"))
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
	f.Fuzz(func(_ *testing.T, b []byte) {
		var records []journal.Record
		for line := range bytes.Lines(b) {
			var r journal.Record
			if json.Unmarshal(line, &r) != nil {
				return
			}
			records = append(records, r)
		}
		j, err := core.Fold("fake/workers", records, time.Now())
		if err != nil || j.Plan == nil {
			return
		}
		_ = nextAction(j)
		for _, r := range records {
			_ = explainRecord(&r)
		}
	})
}
