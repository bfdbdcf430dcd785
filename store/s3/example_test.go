package s3_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	s3store "github.com/changeover-dev/changeover/store/s3"
	"github.com/changeover-dev/changeover/strategy"
)

// A whole deploy program for CI, with its journal in a bucket: with an image it
// first finishes what a job before left, and then rolls out; without one it only
// finishes.
func Example() {
	var cfg aws.Config // of the environment: config.LoadDefaultConfig
	os.Exit(deploy(cfg, os.Args[1:]))
}

func deploy(cfg aws.Config, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := roll(ctx, cfg, args)
	fmt.Fprintln(os.Stderr, report.Outcome, err)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, rollout.ErrRolledBack), errors.Is(err, rollout.ErrSuperseded):
		return 1
	case errors.Is(err, rollout.ErrIncomplete), errors.Is(err, rollout.ErrDetached):
		return 3
	}
	return 2
}

func roll(ctx context.Context, cfg aws.Config, args []string) (*rollout.Report, error) {
	none := &rollout.Report{Outcome: rollout.OutcomeRefused}
	store, err := s3store.New(s3.NewFromConfig(cfg), os.Getenv("JOURNAL_BUCKET"), "journals/")
	if err != nil {
		return none, err
	}
	client, err := runpod.New(os.Getenv("RUNPOD_API_KEY"))
	if err != nil {
		return none, err
	}
	endpoint := client.Endpoint(os.Getenv("ENDPOINT"))
	tell := rollout.WithObserver(rollout.Text(os.Stderr))
	if len(args) == 0 {
		return rollout.Resume(ctx, store, endpoint, tell)
	}
	return rollout.Run(ctx, store, endpoint, strategy.InPlace{}, rollout.ToArtifact(args[0]), rollout.WithResumeFirst(), tell)
}
