package s3

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// API is the part of S3 that the store uses. An [*s3.Client] has it.
type API interface {
	PutObject(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(ctx context.Context, in *s3.GetObjectInput, opts ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input, opts ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
}

// Store is a [journal.Store] in an S3 bucket. It has no lock. It is safe for
// concurrent use.
type Store struct {
	api            API
	bucket, prefix string
}

var (
	_ API                 = (*s3.Client)(nil)
	_ journal.Store       = (*Store)(nil)
	_ journal.Heartbeater = (*Store)(nil)
	_ journal.Tailer      = (*Store)(nil)
	_ journal.Lister      = (*Store)(nil)
	_ journal.Trimmer     = (*Store)(nil)
	_ journal.Attacher    = (*Store)(nil)
)

// New returns a store that keeps its objects under keys that begin with
// prefix, such as "journals/". It asks the bucket nothing: one that cannot be
// used is found by the first Load, before anything is changed.
func New(api API, bucket, prefix string) (*Store, error) {
	switch {
	case api == nil:
		return nil, fmt.Errorf("journals in S3: %w: api is nil", endpoint.ErrInvalid)
	case bucket == "":
		return nil, fmt.Errorf("journals in S3: %w: bucket is empty", endpoint.ErrInvalid)
	}
	return &Store{api: api, bucket: bucket, prefix: prefix}, nil
}

const folderExt = ".journal/"

// folder is the beginning of the keys of a journal.
func (s *Store) folder(name string) string { return s.prefix + url.PathEscape(name) + folderExt }

func (s *Store) key(name string, seq int) string {
	return fmt.Sprintf("%s%010d.json", s.folder(name), seq)
}

// trimmed is the beginning of the keys of markers, each made by a Trim and
// named after the record that the journal begins with since. They sort behind
// the records, and the highest one counts.
func (s *Store) trimmed(name string) string { return s.folder(name) + "trimmed-" }

func (s *Store) marker(name string, first int) string {
	return fmt.Sprintf("%s%010d", s.trimmed(name), first)
}

func (s *Store) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal in S3 bucket %s: %w", s.bucket, err)
}
