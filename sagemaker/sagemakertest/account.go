package sagemakertest

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// account is everything that is true, now or at some time before. What it has
// of the SDK's structs is never changed in place but replaced, so that copies
// may share them.
type account struct {
	born      time.Time
	now       time.Time
	behaviour Behaviour
	models    map[string]*model
	configs   map[string]*config
	endpoints map[string]*endpoint // by names in lower case, since they are one name
	comps     map[string]*component
	targets   map[targetID]*target
	alarms    map[string]*alarm
	quotas    map[string]int
	fates     map[string]fate
	// reserved are training plans by ARN, and experiments the endpoints of
	// inference experiments by name.
	reserved    map[string]Reservation
	experiments map[string]string
	hooks       []hook
	ids         int // given out so far
}

// hook is something that happens at a time.
type hook struct {
	at time.Time
	do func()
}

func newAccount(now time.Time) *account {
	return &account{
		born: now, now: now,
		models: map[string]*model{}, configs: map[string]*config{}, endpoints: map[string]*endpoint{},
		comps: map[string]*component{}, targets: map[targetID]*target{}, alarms: map[string]*alarm{},
		quotas: map[string]int{}, fates: map[string]fate{}, reserved: map[string]Reservation{}, experiments: map[string]string{},
	}
}

// clone copies what reads show.
func (a *account) clone() *account {
	c := *a
	c.models = cloneAll(a.models, func(m *model) *model { n := *m; n.tags = maps.Clone(m.tags); return &n })
	c.configs = cloneAll(a.configs, func(m *config) *config { n := *m; n.tags = maps.Clone(m.tags); return &n })
	c.endpoints = cloneAll(a.endpoints, (*endpoint).clone)
	c.comps = cloneAll(a.comps, (*component).clone)
	c.targets = cloneAll(a.targets, (*target).clone)
	c.alarms = cloneAll(a.alarms, func(m *alarm) *alarm { n := *m; return &n })
	c.hooks = nil
	return &c
}

func cloneAll[K comparable, V any](in map[K]*V, one func(*V) *V) map[K]*V {
	out := make(map[K]*V, len(in))
	for k, v := range in {
		out[k] = one(v)
	}
	return out
}

// id gives out something in the form of a UUID and is the same in every run.
func (a *account) id() string {
	a.ids++
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", 0x5a6e0000+a.ids, a.ids)
}

func arn(service, resource string) string {
	return "arn:aws:" + service + ":" + Region + ":" + Account + ":" + resource
}

// endpoint finds an endpoint, whatever the case of its name.
func (a *account) endpoint(name string) *endpoint { return a.endpoints[strings.ToLower(name)] }

// str and num are the values of what the SDK has behind pointers.
func str(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func num(p *int32) int32 {
	if p == nil {
		return 0
	}
	return *p
}

func yes(p *bool) bool { return p != nil && *p }

func seconds(p *int32) time.Duration { return time.Duration(num(p)) * time.Second }

func ref[T any](v T) *T { return &v }
