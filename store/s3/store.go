package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// API is what the store asks of S3. An [*s3.Client] has it.
type API interface {
	PutObject(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(ctx context.Context, in *s3.GetObjectInput, opts ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input, opts ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
}

// Store is a [strategy.Store] in an S3 bucket. It has no lock. It is safe for
// concurrent use.
type Store struct {
	api            API
	bucket, prefix string
}

var (
	_ API                 = (*s3.Client)(nil)
	_ journal.Store       = (*Store)(nil)
	_ journal.Heartbeater = (*Store)(nil)
)

// New returns a store that keeps its objects under keys that begin with
// prefix, such as "journals/". It asks the bucket nothing: one that cannot be
// used is found by the first Load, before anything is changed.
func New(api API, bucket, prefix string) (*Store, error) {
	if api == nil || bucket == "" {
		return nil, fmt.Errorf("journals in S3: %w: a client and a bucket are required", endpoint.ErrInvalid)
	}
	return &Store{api: api, bucket: bucket, prefix: prefix}, nil
}

const (
	patience = time.Minute      // of an append that S3 gives no clear answer to
	recheck  = 10 * time.Second // for the look at what became of it
	readers  = 8                // records that are fetched at once
	writer   = "writer"         // metadata: the one call of Append that made the object
	suffix   = ".json"
)

// folder is what the keys of a journal begin with.
func (s *Store) folder(name string) string { return s.prefix + url.PathEscape(name) + ".journal/" }

func (s *Store) key(name string, seq int) string {
	return fmt.Sprintf("%s%010d%s", s.folder(name), seq, suffix)
}

func (s *Store) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal in S3 bucket %s: %w", s.bucket, err)
}

// Append implements [strategy.Store]. Where S3 gives no clear answer, it looks
// whether the record is there and is this call's own, and tries again, for a
// minute at most: it reports success or a conflict only when it knows.
func (s *Store) Append(ctx context.Context, name string, r journal.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return s.wrap(err)
	}
	key, me := s.key(name, r.Seq), rand.Text()
	pctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for gap := 100 * time.Millisecond; ; gap *= 2 {
		_, err := s.api.PutObject(pctx, &s3.PutObjectInput{
			Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
			IfNoneMatch: aws.String("*"), Metadata: map[string]string{writer: me},
		})
		if err == nil {
			return nil
		}
		switch who, rerr := s.writer(ctx, key); {
		case rerr == nil && who == me:
			return nil // an earlier try of this very call had arrived
		case rerr == nil:
			return s.wrap(fmt.Errorf("record %d exists: %w", r.Seq, journal.ErrConflict))
		case refused(err), !wait(pctx, gap):
			return s.wrap(err) // nothing is there, or nobody can say
		}
	}
}

// writer says which call of Append made an object. It looks even if ctx is
// done: whether the record exists is the question that is left.
func (s *Store) writer(ctx context.Context, key string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recheck)
	defer cancel()
	out, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return "", err
	}
	return out.Metadata[writer], out.Body.Close()
}

// refused reports whether S3 answered that the request itself is wrong. That
// the object exists, or is being written, is for a look to find out.
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

// Load implements [strategy.Store].
func (s *Store) Load(ctx context.Context, name string) ([]journal.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	numbers, err := s.list(ctx, name)
	if err != nil {
		return nil, s.wrap(err)
	}
	records := make([]journal.Record, len(numbers))
	errs := make([]error, len(numbers))
	todo := make(chan int)
	var wg sync.WaitGroup
	for range min(readers, len(numbers)) {
		wg.Go(func() {
			for i := range todo {
				records[i], errs[i] = s.get(ctx, name, numbers[i])
			}
		})
	}
	for i := range numbers {
		todo <- i
	}
	close(todo)
	wg.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, s.wrap(errs[i])
	}
	return records, nil
}

// list returns the numbers of a journal's records in order. Keys of other
// shapes are not the store's.
func (s *Store) list(ctx context.Context, name string) ([]int, error) {
	folder := s.folder(name)
	var numbers []int
	var token *string
	for {
		page, err := s.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &folder, ContinuationToken: token})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			seq, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(aws.ToString(o.Key), folder), suffix))
			if err == nil && aws.ToString(o.Key) == s.key(name, seq) {
				numbers = append(numbers, seq)
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			slices.Sort(numbers)
			return numbers, nil
		}
		last := token
		if token = page.NextContinuationToken; aws.ToString(token) == "" || last != nil && *last == *token {
			return nil, fmt.Errorf("S3 does not say where the list of %s goes on: %w", folder, endpoint.ErrUnavailable) // for ever
		}
	}
}

func (s *Store) get(ctx context.Context, name string, seq int) (r journal.Record, err error) {
	key := s.key(name, seq)
	out, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		var gone *types.NoSuchKey
		if errors.As(err, &gone) {
			return r, fmt.Errorf("%s was listed and is gone: %w", key, journal.ErrDamaged)
		}
		return r, err
	}
	b, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w: %v", key, journal.ErrDamaged, err) //nolint:errorlint // what the decoder says is for people
	}
	if r.Seq != seq {
		return r, fmt.Errorf("%s holds record %d: %w", key, r.Seq, journal.ErrDamaged)
	}
	return r, nil
}
