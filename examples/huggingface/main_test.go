package main

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/examples/huggingface/hftest"
)

// The program on the fake: each way to end.
func TestProgram(t *testing.T) {
	for name, tt := range map[string]struct {
		fails    string // the revision that does not come up
		token    string
		args     []string
		want     int
		live     string
		out, err string // a part of it
	}{
		"moves":          {"", hftest.Token, []string{"-to", hftest.V2}, 0, hftest.V2, "succeeded, serving model " + hftest.V2, ""},
		"goes back":      {hftest.V2, hftest.Token, []string{"-to", hftest.V2}, 1, hftest.V1, "", "rolled back"},
		"a branch":       {"", hftest.Token, []string{"-to", hftest.Repository + "@main"}, 2, hftest.V1, "", "mutable artifact reference"},
		"a wrong token":  {"", "hf_wrong", []string{"-to", hftest.V2}, 2, hftest.V1, "", "Invalid credentials"},
		"nothing to do":  {"", hftest.Token, []string{"-to", hftest.V1}, 0, hftest.V1, "serving model " + hftest.V1, ""},
		"no target":      {"", hftest.Token, nil, 2, hftest.V1, "", "-journal, and one of -to and -resume"},
		"nothing begun":  {"", hftest.Token, []string{"-resume"}, 0, hftest.V1, "", ""},
		"no such option": {"", hftest.Token, []string{"-quick"}, 2, hftest.V1, "", "-quick"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				fake := hftest.New(hftest.Behaviour{})
				fake.Do(func(s *hftest.State) { s.Fails = tt.fails })
				var out, errs bytes.Buffer
				args := append([]string{"-namespace", hftest.Namespace, "-name", hftest.Name, "-journal", dir}, tt.args...)
				if got := run(t.Context(), args, tt.token, fake.Wire().Client(), &out, &errs); got != tt.want {
					t.Errorf("exit status %d, want %d", got, tt.want)
				}
				if fake.Live() != tt.live {
					t.Errorf("the endpoint serves %s, want %s", fake.Live(), tt.live)
				}
				if !strings.Contains(out.String(), tt.out) || !strings.Contains(errs.String(), tt.err) {
					t.Errorf("it says:\n%s\n%s", out.String(), errs.String())
				}
				if strings.Contains(out.String()+errs.String(), hftest.Token) {
					t.Error("it shows the token")
				}
			})
		})
	}
}

// A run that dies is finished by -resume.
func TestProgramResumes(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		fake := hftest.New(hftest.Behaviour{})
		wire := fake.Wire()
		wire.OnWrite(func(string) endpointtest.Fault { return endpointtest.RunAfter(runtime.Goexit) })
		args := []string{"-namespace", hftest.Namespace, "-name", hftest.Name, "-journal", dir}
		var out, errs bytes.Buffer
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			run(t.Context(), append(args, "-to", hftest.V2), hftest.Token, wire.Client(), &out, &errs)
			t.Error("it was not killed")
		}()
		<-killed
		wire.OnWrite(nil)
		if got := run(t.Context(), append(args, "-resume"), hftest.Token, wire.Client(), &out, &errs); got != 1 || fake.Live() != hftest.V1 {
			t.Errorf("resumed: exit status %d, serving %s; want 1 and %s\n%s%s", got, fake.Live(), hftest.V1, out.String(), errs.String())
		}
	})
}
