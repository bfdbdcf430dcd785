package runpod

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// workerList is what RunPod says of the workers that are active.
type workerList struct {
	version int // of the endpoint, 0 if not told
	pods    []*pod
	batch   map[string]bool // ids of the workers of batch jobs, which are not among pods
}

// restWorker is a worker: what decides, and for people what it runs on.
type restWorker struct {
	ID           string   `json:"id"`
	Status       string   `json:"status"`
	IsStale      *bool    `json:"isStale"`
	Version      *float64 `json:"version"`
	Image        *string  `json:"image"`
	GPUTypeID    any      `json:"gpuTypeId"`
	DataCenterID any      `json:"dataCenterId"`
	StartedAt    any      `json:"startedAt"`
	// BatchJobID, or a kind that says so, is on the workers of a batch job.
	BatchJobID any `json:"batchJobId"`
	Kind       any `json:"kind"`
	Type       any `json:"type"`
}

// batch reports whether the worker belongs to a batch job: it is no part of the
// endpoint's capacity, is not replaced by a release, and goes with its job.
func (w *restWorker) batch() bool {
	of := func(v any) bool {
		s, _ := v.(string)
		return strings.HasPrefix(strings.ToUpper(s), "BATCH")
	}
	id, _ := w.BatchJobID.(string)
	return id != "" || of(w.Kind) || of(w.Type)
}

func (w *restWorker) pod() *pod {
	gpu, _ := w.GPUTypeID.(string)
	dc, _ := w.DataCenterID.(string)
	started, _ := w.StartedAt.(string)
	where := httpx.Clip(gpu)
	if dc = httpx.Clip(dc); dc != "" {
		where = strings.TrimSpace(where + " in " + dc)
	}
	p := &pod{
		id: w.ID, image: text(w.Image), status: w.Status, changed: started, version: version(w.Version), stale: w.IsStale, where: where,
	}
	if t, err := time.Parse(time.RFC3339, started); err == nil {
		p.started = t
	}
	return p
}

// workers reads the list to its end, and holds it against its own summary: a
// worker that is left out must not be overlooked.
func (r *rest) workers(ctx context.Context, id string) (*workerList, error) {
	l := &workerList{batch: map[string]bool{}}
	listed, total := map[string]bool{}, 0
	page := func(doc map[string]json.RawMessage) error {
		var head struct {
			Version *float64 `json:"endpointVersion"`
			Summary *struct {
				Total *int `json:"total"`
			} `json:"summary"`
		}
		for key, out := range map[string]any{"endpointVersion": &head.Version, "summary": &head.Summary} {
			if err := shape(key, orNull(doc[key]), out); err != nil {
				return err
			}
		}
		l.version = version(head.Version)
		if head.Summary != nil && head.Summary.Total != nil {
			total = *head.Summary.Total
		}
		return nil
	}
	err := r.pages(ctx, "workers", []string{"serverless", id, "workers"}, page, func(i int, item []byte) error {
		var w restWorker
		if err := shape(fmt.Sprintf("workers[%d]", i), item, &w); err != nil {
			return err
		}
		if w.ID == "" {
			return unclear("a worker without an id")
		}
		switch {
		case w.batch():
			l.batch[w.ID] = true
		case !listed[w.ID]: // a list that moves between two pages may show one twice
			l.pods = append(l.pods, w.pod())
		}
		listed[w.ID] = true
		return nil
	})
	if err != nil {
		return nil, absent(err, "no endpoint with this id in the account of the management key")
	}
	if len(listed) < total {
		return nil, unclear("%d workers are listed where the summary counts %d", len(listed), total)
	}
	return l, nil
}
