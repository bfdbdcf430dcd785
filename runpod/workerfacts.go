package runpod

import (
	"fmt"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// named is how many workers a text names before it only counts them.
const named = 5

// facts are what there is to know of workers, for people.
func facts(pods []*pod) string {
	var list []string
	for i, p := range pods {
		if i == named {
			list = append(list, fmt.Sprintf("%d more", len(pods)-named))
			break
		}
		about := []string{httpx.Clip(p.status)}
		if p.version != 0 {
			about = append(about, fmt.Sprintf("version %d", p.version))
		}
		if p.image != "" {
			about = append(about, httpx.Clip(p.image))
		}
		if p.where != "" {
			about = append(about, p.where)
		}
		if p.changed != "" {
			about = append(about, "since "+httpx.Clip(p.changed))
		}
		list = append(list, httpx.Clip(p.id)+" ("+strings.Join(about, ", ")+")")
	}
	return strings.Join(list, "; ")
}

// stage says where a rolling release stands, and which workers stay behind; and
// that there is no hardware for it, and which would be needed where.
func stage(s *state, v view, p endpoint.Pool) endpoint.UpdateStage {
	missing := missingHardware(s, v, p.Throttled)
	switch {
	case s.workers.max > 0 && len(v.stale) > 0:
		return endpoint.UpdateStage{Name: "rolling release", Message: join(missing, fmt.Sprintf("%d of %d workers are on what is wanted; on another revision: %s",
			len(v.current), v.live(), facts(v.stale)))}
	case missing != "":
		return endpoint.UpdateStage{Name: "waiting for capacity", Message: httpx.Clip(missing)}
	}
	return endpoint.UpdateStage{}
}

// missingHardware says for how many workers there is no hardware, and which they
// need where; "" for none.
func missingHardware(s *state, v view, throttled int) string {
	if throttled == 0 {
		return ""
	}
	missing := fmt.Sprintf("RunPod has no GPU for %d of %d workers", throttled, v.live())
	if s.hardware != "" {
		missing += " (" + s.hardware + ")"
	}
	return missing
}

// reason says what is wrong, in RunPod's words where it has some.
func reason(s *state, v view, p endpoint.Pool, h *healthWorkers, loops []string) string {
	var parts []string
	if len(loops) > 0 {
		parts = append(parts, fmt.Sprintf("workers restart again and again: %s", strings.Join(loops, ", ")))
	}
	var bad []*pod
	for _, w := range v.current {
		if s.list != nil && strings.EqualFold(w.status, "UNHEALTHY") {
			bad = append(bad, w)
		}
	}
	if len(bad) > 0 {
		parts = append(parts, "RunPod reports unhealthy workers: "+facts(bad))
	} else if h != nil && h.Unhealthy > 0 {
		on := ""
		if p.Unhealthy == 0 && p.Stale > 0 {
			on = ", taken for stale ones"
		}
		parts = append(parts, fmt.Sprintf("RunPod reports unhealthy workers: %d%s", h.Unhealthy, on))
	}
	throttled := p.Throttled
	if h != nil && s.list == nil {
		throttled = h.Throttled
	}
	if missing := missingHardware(s, v, throttled); missing != "" {
		parts = append(parts, missing)
	}
	if n := len(v.unknown); n > 0 {
		parts = append(parts, fmt.Sprintf("RunPod does not say what %d workers run", n))
	}
	return httpx.Clip(strings.Join(parts, "; "))
}
