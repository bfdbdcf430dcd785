package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// stampKey is the one object of an endpoint that is overwritten.
func (s *Store) stampKey(name string) string { return s.prefix + url.PathEscape(name) + ".alive" }

// Stamp implements [strategy.Heartbeater].
func (s *Store) Heartbeat(ctx context.Context, name string, stamp journal.Heartbeat) error {
	body, err := json.Marshal(stamp)
	if err != nil {
		return s.wrap(err)
	}
	key := s.stampKey(name)
	_, err = s.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
	})
	return s.wrap(err)
}

// Stamped implements [strategy.Heartbeater].
func (s *Store) LastHeartbeat(ctx context.Context, name string) (stamp journal.Heartbeat, err error) {
	key := s.stampKey(name)
	out, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		var none *types.NoSuchKey
		if errors.As(err, &none) {
			err = fmt.Errorf("%s: %w", key, endpoint.ErrNotFound)
		}
		return stamp, s.wrap(err)
	}
	b, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err == nil {
		err = json.Unmarshal(b, &stamp)
	}
	return stamp, s.wrap(err)
}
