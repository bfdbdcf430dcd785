package runpodtest

import (
	"maps"
	"strings"
	"time"
)

// restEndpoint is an endpoint as the REST API shows it: with the container
// settings that its workers get, and no word of any template or version.
func restEndpoint(st *State, e *endpoint) map[string]any {
	const jobs = "https://api.runpod.ai/v2/"
	t := st.contentOf(e)
	workers := map[string]any{"min": e.WorkersMin, "max": e.WorkersMax, "idleTimeout": e.IdleTimeout}
	scaling := map[string]any{"type": "QUEUE_DELAY", "queueDelay": orDefault(e.QueueDelay, float64(e.ScalerValue))}
	if e.ScalerType == "REQUEST_COUNT" {
		scaling = map[string]any{"type": "REQUEST_COUNT", "requestCount": e.ScalerValue}
		if e.Type != "LB" {
			delete(workers, "idleTimeout")
		}
	}
	kind, urls := "QUEUE", map[string]any{
		"run": jobs + e.ID + "/run", "runSync": jobs + e.ID + "/runsync", "health": jobs + e.ID + "/health",
	}
	if e.Type == "LB" {
		base := "https://" + e.ID + ".api.runpod.ai"
		kind, urls = "LOAD_BALANCER", map[string]any{"base": base, "health": base + "/ping"}
	}
	pools, excluded := []string{}, []string{}
	for _, id := range split(e.GPUIDs) {
		if x, ok := strings.CutPrefix(id, "-"); ok {
			excluded = append(excluded, x)
			continue
		}
		pools = append(pools, id)
	}
	gpu := map[string]any{
		"pools": pools, "count": e.GPUCount, "allowedCudaVersions": split(e.AllowedCUDAVersions), "minCudaVersion": text(e.MinCUDAVersion),
	}
	if len(excluded) > 0 {
		gpu["excludedTypes"] = excluded
	}
	out := map[string]any{
		"id": e.ID, "name": e.Name, "type": kind, "requestUrls": urls,
		"image": t.Image, "args": t.DockerArgs, "cmd": listOf(t.Cmd), "disk": t.ContainerDiskInGb, "ports": split(t.Ports), "env": mapOf(t.Env), "registry": text(t.RegistryAuthID),
		"gpu": gpu, "workers": workers, "scaling": scaling, "dataCenterIds": split(e.Locations), "networkVolumes": split(e.NetworkVolumeID),
		"timeout": e.ExecutionTimeoutMs, "flashboot": e.FlashBoot, "createdAt": stamp(e.CreatedAt),
	}
	if len(e.InstanceIDs) > 0 {
		delete(out, "gpu")
		out["cpu"] = cpuOf(e.InstanceIDs, st.Behaviour.CPUObject)
	}
	return out
}

// cpuOf is the hardware of a CPU endpoint: a list of sizes, or one as an object.
func cpuOf(ids []string, object bool) any {
	list := []any{}
	for _, id := range ids {
		list = append(list, map[string]any{"id": id})
	}
	if object {
		return list[0]
	}
	return list
}

// listOf is the list as an answer shows it: never null.
func listOf(texts []string) []string { return append([]string{}, texts...) }

// restTemplate is a template as the REST API shows it.
func restTemplate(t Template) map[string]any {
	mounts := map[string]any{}
	if t.VolumeMountPath != "" {
		mounts["persistent"] = map[string]any{"path": t.VolumeMountPath, "size": t.VolumeInGb}
	}
	return map[string]any{
		"id": t.ID, "name": t.Name, "image": t.Image, "args": t.DockerArgs, "cmd": listOf(t.Cmd), "disk": t.ContainerDiskInGb, "mounts": mounts,
		"ports": split(t.Ports), "env": mapOf(t.Env), "registry": text(t.RegistryAuthID), "serverless": !t.Pod, "public": t.Public,
		"category": orDefault(t.Category, "NVIDIA"), "startSsh": t.StartSSH, "startJupyter": t.StartJupyter, "allowedCudaVersions": []string{},
	}
}

// contentOf is what the endpoint's workers get: its template's settings, with
// the endpoint's own environment over them.
func (st *State) contentOf(e *endpoint) Template {
	var t Template
	if tm := st.template(e.TemplateID); tm != nil {
		t = tm.clone()
	}
	if len(e.Env) > 0 {
		t.Env = mapOf(t.Env)
		maps.Copy(t.Env, e.Env)
	}
	return t
}

// listed are the workers that the REST API calls active.
func (e *endpoint) listed() []*worker {
	all := e.filter(Throttled, Initializing, Idle, Running, Unhealthy, Crashing, Stopping)
	for _, w := range e.workers {
		if w.Batch != "" {
			all = append(all, w)
		}
	}
	return all
}

// workersOf is the answer of GET /v2/serverless/{id}/workers.
func workersOf(e *endpoint, now time.Time, b Behaviour) map[string]any {
	degraded := b.DegradedWorkers
	list := []any{}
	counts := map[string]int{"running": 0, "idle": 0, "initializing": 0, "throttled": 0, "unhealthy": 0, "total": 0}
	for _, w := range e.listed() {
		out := map[string]any{
			"id": w.ID, "status": w.restStatus(), "isStale": e.stale(w), "version": w.Version, "gpuCount": e.GPUCount, "image": w.Image,
			"uptimeSeconds": nil, "gpuTypeId": nil, "dataCenterId": nil, "startedAt": nil,
		}
		if w.State != Throttled {
			at := w.startedAt(now)
			out["gpuTypeId"], out["dataCenterId"], out["startedAt"] = "NVIDIA GeForce RTX 4090", "US-KS-2", stamp(at)
			out["uptimeSeconds"] = int(max(0, now.Sub(at)) / time.Second)
		}
		if w.Batch != "" {
			out["isStale"] = true // of no release: RunPod compares versions
			switch mark := orDefault(b.BatchMark, "batchJobId"); mark {
			case "batchJobId":
				out[mark] = w.Batch
			default:
				out[mark] = "BATCH"
			}
		}
		if degraded {
			out["status"], out["version"], out["isStale"] = "RUNNING", nil, false
		}
		counts[strings.ToLower(out["status"].(string))]++
		counts["total"]++
		list = append(list, out)
	}
	out := map[string]any{"endpointVersion": e.Version, "workers": list, "summary": counts}
	if degraded {
		out["endpointVersion"] = nil
	}
	return out
}

// restStatus does not tell a crash loop: the worker is shown as running.
func (w *worker) restStatus() string {
	switch w.State {
	case Throttled:
		return "THROTTLED"
	case Initializing:
		return "INITIALIZING"
	case Idle:
		return "IDLE"
	case Unhealthy:
		return "UNHEALTHY"
	case Running, Crashing, Stopping, Standby, Gone:
	}
	return "RUNNING"
}

// startedAt is when the worker's container last started. It moves in a crash loop.
func (w *worker) startedAt(now time.Time) time.Time {
	if w.flaps > 0 && (w.State == Idle || w.State == Running) {
		return w.startedOnce.Add(now.Sub(w.startedOnce) / w.flaps * w.flaps)
	}
	if w.State == Crashing {
		return w.Since.Add(now.Sub(w.Since) / crashPeriod * crashPeriod)
	}
	return w.startedOnce
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// split takes a comma list apart; nothing is an empty list.
func split(s string) []string {
	out := []string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
