package runpod

import (
	"testing"
)

const listAnswer = `{"data":{"other":[{"a":{}}],"myself":{"endpoints":[{"id":"one","pods":[{"desiredStatus":"RUNNING"}]} , ` +
	`{"id":"two","pods":[{"desiredStatus":"EXITED"}]},{"id":3},{"id":"","pods":null},{"id":"four","pods":{}}],"more":{"b":[1]}}}}`

// Each endpoint that can be read is, whatever the others are.
func TestSightings(t *testing.T) {
	found, err := listEntries([]byte(listAnswer))
	if err == nil || len(found) != 2 || !found["runpod/one"].Incomplete || found["runpod/two"].Incomplete {
		t.Errorf("listEntries = %v, %v, want two, and an error for the other three", found, err)
	}
	// What stands around an endpoint in the list is no part of it.
	again, _ := listEntries([]byte(`{"data":{"myself":{"endpoints":[ {"id":"two","pods":[{"desiredStatus":"EXITED"}]} ]}}}`))
	if a, b := found["runpod/two"].Fingerprint, again["runpod/two"].Fingerprint; a != b || a == "" {
		t.Errorf("fingerprints %x and %x of the same endpoint", a, b)
	}
}

// A list that was cut off shows nothing: an endpoint that is missing in it is not gone.
func TestSightingsCutOff(t *testing.T) {
	for n := range len(listAnswer) {
		if found, err := listEntries([]byte(listAnswer[:n])); err == nil || found != nil {
			t.Errorf("%s: %v, %v, want an error and nothing else", listAnswer[:n], found, err)
		}
	}
	for _, answer := range []string{`{"data":{"myself":null}}`, `{"data":null}`, `{"data":{"myself":{"endpoints":null}}}`, `[]`, `{"data":{"myself":[]}}`} {
		if found, err := listEntries([]byte(answer)); err == nil || found != nil {
			t.Errorf("%s: %v, %v, want an error and nothing else", answer, found, err)
		}
	}
}
