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

// heartbeatKey is an object that is overwritten.
func (s *Store) heartbeatKey(name string) string { return s.prefix + url.PathEscape(name) + ".alive" }

// Heartbeat implements [journal.Heartbeater].
func (s *Store) Heartbeat(ctx context.Context, name string, h journal.Heartbeat) error {
	body, err := json.Marshal(h)
	if err != nil {
		return s.wrap(err)
	}
	return s.put(ctx, s.heartbeatKey(name), "application/json", body)
}

// LastHeartbeat implements [journal.Heartbeater].
func (s *Store) LastHeartbeat(ctx context.Context, name string) (h journal.Heartbeat, err error) {
	b, err := s.object(ctx, s.heartbeatKey(name))
	if err == nil {
		err = json.Unmarshal(b, &h)
	}
	return h, s.wrap(err)
}

// attachmentKey is an object that is overwritten.
func (s *Store) attachmentKey(name, rollout string) string {
	return s.prefix + url.PathEscape(name) + ".attached/" + url.PathEscape(rollout)
}

// Attach implements [journal.Attacher].
func (s *Store) Attach(ctx context.Context, name, rollout string, document []byte) error {
	if len(document) > journal.MaxAttachment {
		return fmt.Errorf("attachment: %w: %d bytes, more than %d", endpoint.ErrInvalid, len(document), journal.MaxAttachment)
	}
	return s.put(ctx, s.attachmentKey(name, rollout), "application/octet-stream", document)
}

// Attachment implements [journal.Attacher].
func (s *Store) Attachment(ctx context.Context, name, rollout string) ([]byte, error) {
	b, err := s.object(ctx, s.attachmentKey(name, rollout))
	return b, s.wrap(err)
}

// put overwrites an object.
func (s *Store) put(ctx context.Context, key, contentType string, body []byte) error {
	_, err := s.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String(contentType),
	})
	return s.wrap(err)
}

// object is the body of an object, or [endpoint.ErrNotFound].
func (s *Store) object(ctx context.Context, key string) ([]byte, error) {
	out, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		var none *types.NoSuchKey
		if errors.As(err, &none) {
			return nil, fmt.Errorf("%s: %w", key, endpoint.ErrNotFound)
		}
		return nil, err
	}
	b, err := io.ReadAll(out.Body)
	return b, errors.Join(err, out.Body.Close())
}
