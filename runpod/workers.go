package runpod

import (
	"context"
	"strings"
)

// workerList is what RunPod says of the workers that are active.
type workerList struct {
	version int // of the endpoint, 0 if not told
	pods    []*pod
}

type restWorker struct {
	ID           string   `json:"id"`
	Status       string   `json:"status"`
	IsStale      *bool    `json:"isStale"`
	Version      *float64 `json:"version"`
	Image        *string  `json:"image"`
	GPUTypeID    *string  `json:"gpuTypeId"`
	DataCenterID *string  `json:"dataCenterId"`
	StartedAt    *string  `json:"startedAt"`
}

func (w *restWorker) pod() *pod {
	where := clip(text(w.GPUTypeID))
	if dc := clip(text(w.DataCenterID)); dc != "" {
		where = strings.TrimSpace(where + " in " + dc)
	}
	return &pod{
		id: w.ID, image: text(w.Image), status: w.Status, changed: text(w.StartedAt), version: version(w.Version), stale: w.IsStale, where: where,
	}
}

func (r *rest) workers(ctx context.Context, id string) (*workerList, error) {
	var list struct {
		Version *float64      `json:"endpointVersion"`
		Workers []*restWorker `json:"workers"`
	}
	if err := r.get(ctx, &list, "serverless", id, "workers"); err != nil {
		return nil, absent(err, "no endpoint with this id in the account of the management key")
	}
	if list.Workers == nil {
		return nil, unclear("answer without workers")
	}
	l := &workerList{version: version(list.Version)}
	for _, w := range list.Workers {
		if w == nil || w.ID == "" {
			return nil, unclear("a worker without an id") // it must not be overlooked
		}
		l.pods = append(l.pods, w.pod())
	}
	return l, nil
}

func (r *rest) releases(ctx context.Context, id string) (*releaseList, error) {
	var list restReleases
	if err := r.get(ctx, &list, "serverless", id, "releases"); err != nil {
		return nil, absent(err, "no endpoint with this id in the account of the management key")
	}
	l := list.list()
	r.secrets.keepReleases(l)
	return l, nil
}
