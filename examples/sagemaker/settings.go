package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/changeover-dev/changeover/examples/internal/cli"
)

// credentialTime bounds the look for credentials. Where there are none, the
// SDK asks a metadata service in the end, which may not even answer.
const credentialTime = 10 * time.Second

// settings are AWS's, from the environment and its files, as every program of
// the SDK has them. Whether they are complete is found out here: the first
// request would tell as well, but it would be repeated, as if time could help.
func settings(interval time.Duration) (aws.Config, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), credentialTime, fmt.Errorf("none were found within %v", credentialTime))
	defer cancel()
	var opts []func(*config.LoadOptions) error
	if interval > 0 {
		opts = append(opts, config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = interval })
		}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return cfg, cli.Advise(fmt.Errorf("AWS settings: %w", err), "check the AWS_… variables and ~/.aws/config")
	}
	if cfg.Region == "" {
		return cfg, cli.Advise(errors.New("there is no AWS region"), "export AWS_REGION, or set a region in ~/.aws/config")
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return cfg, cli.Advise(fmt.Errorf("there are no AWS credentials: %w", err),
			"export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role")
	}
	return cfg, nil
}
