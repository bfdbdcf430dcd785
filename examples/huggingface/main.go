// Command huggingface moves a Hugging Face Inference Endpoint to another commit
// of a model repository, or back if the new one does not come up. It is a
// program to copy, over an updater to copy (package hfendpoint).
//
//	go build -o huggingface . && HF_TOKEN=hf_… ./huggingface \
//		-namespace acme -name prod -journal ./journal -to acme/sdxl@0123456789012345678901234567890123456789
//
// A run that was killed is finished by the same command with -resume.
//
// Exit statuses: 0 the endpoint serves the target (or there was nothing to
// resume); 1 it serves what it served before; 2 refused, with nothing changed;
// 3 incomplete: the message says what remains.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/changeover-dev/changeover/examples/huggingface/hfendpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv("HF_TOKEN"), nil, os.Stdout, os.Stderr)) //nolint:gocritic // stop has nothing left to do
}

// run is the program over an HTTP client, nil for the usual one.
func run(ctx context.Context, args []string, token string, client *http.Client, out, errs io.Writer) int {
	flags := flag.NewFlagSet("huggingface", flag.ContinueOnError)
	flags.SetOutput(errs)
	namespace := flags.String("namespace", "", "the user or organization that has the endpoint")
	name := flags.String("name", "", "the endpoint's name")
	to := flags.String("to", "", "the revision to move to: REPOSITORY@COMMIT")
	dir := flags.String("journal", "", "the directory of the journal")
	resume := flags.Bool("resume", false, "finish what the journal holds")
	url := flags.String("url", hfendpoint.URL, "the API")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	refuse := func(err error) int {
		fmt.Fprintln(errs, "huggingface:", err)
		return 2
	}
	if *dir == "" || (*to == "") != *resume || flags.NArg() > 0 {
		return refuse(errors.New("-journal, and one of -to and -resume, have to be given, and no arguments"))
	}
	ep, err := hfendpoint.New(*namespace, *name, token, *url, client)
	if err != nil {
		return refuse(err)
	}
	store, err := journal.NewFiles(*dir)
	if err != nil {
		return refuse(err)
	}
	tell := rollout.WithObserver(func(_ context.Context, e rollout.Event) { fmt.Fprintln(out, e) })
	var report *rollout.Report
	if *resume {
		report, err = rollout.Resume(ctx, store, ep, tell)
	} else {
		report, err = rollout.Run(ctx, store, ep, strategy.InPlace{}, rollout.ToRevision(*to), tell)
	}
	switch {
	case err == nil:
		fmt.Fprintf(out, "%s: %s, serving %s\n", ep.Name(), report.Outcome, report.Status.Serving)
		return 0
	case report.Outcome == rollout.OutcomeRefused:
		return refuse(err)
	}
	fmt.Fprintln(errs, "huggingface:", err)
	if errors.Is(err, rollout.ErrRolledBack) {
		return 1
	}
	return 3
}
