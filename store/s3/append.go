package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/changeover-dev/changeover/journal"
)

const (
	appendTime  = time.Minute      // of an append that S3 gives no clear answer to
	recheckTime = 10 * time.Second // of reading whether it has arrived
	writer      = "writer"         // metadata: the one call of Append that made the object
)

// Append implements [journal.Store]. Where S3 gives no clear answer, it reads
// whether the record is there and is this call's own, and tries again, for a
// minute at most: it reports success or a conflict only when it knows.
func (s *Store) Append(ctx context.Context, name string, r journal.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := journal.Encode(r)
	if err != nil {
		return s.wrap(err)
	}
	key, me := s.key(name, r.Seq), rand.Text()
	pctx, cancel := context.WithTimeout(ctx, appendTime)
	defer cancel()
	for gap := 100 * time.Millisecond; ; gap *= 2 {
		_, err := s.api.PutObject(pctx, &s3.PutObjectInput{
			Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
			IfNoneMatch: aws.String("*"), Metadata: map[string]string{writer: me},
		})
		if err == nil {
			return nil
		}
		switch by, rerr := s.writer(ctx, key); {
		case rerr == nil && by == me:
			return nil // an earlier try of this very call had arrived
		case rerr == nil:
			return s.wrap(fmt.Errorf("record %d exists: %w", r.Seq, journal.ErrConflict))
		case refused(err), !wait(pctx, gap):
			return s.wrap(err) // nothing is there, or it cannot be known
		}
	}
}

// writer returns which call of Append made an object. It asks even if ctx is
// done: whether the record exists is the question that is left.
func (s *Store) writer(ctx context.Context, key string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recheckTime)
	defer cancel()
	out, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return "", err
	}
	return out.Metadata[writer], out.Body.Close()
}

// refused reports whether S3 answered that the request itself is wrong. That
// the object exists, or is being written, is found out by reading it.
func refused(err error) bool {
	var answer interface{ HTTPStatusCode() int }
	if !errors.As(err, &answer) {
		return false
	}
	switch code := answer.HTTPStatusCode(); code {
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	default:
		return code >= 400 && code < 500
	}
}

// wait reports whether d has passed before ctx was done.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
