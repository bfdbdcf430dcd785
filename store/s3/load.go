package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// readers is how many objects are fetched at once.
const readers = 8

// Load implements [journal.Store]. It lists the journal from where it was
// trimmed last, and reads the objects from there on.
func (s *Store) Load(ctx context.Context, name string) ([]journal.Record, error) {
	return s.LoadAfter(ctx, name, 0)
}

// LoadAfter implements [journal.Tailer]. Where nothing was appended it is one
// request.
func (s *Store) LoadAfter(ctx context.Context, name string, after int) ([]journal.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	numbers, err := s.numbers(ctx, name, after)
	if err != nil {
		return nil, s.wrap(err)
	}
	records := make([]journal.Record, len(numbers))
	errs := make([]error, len(numbers))
	each(len(numbers), func(i int) { records[i], errs[i] = s.record(ctx, name, numbers[i]) })
	for i, err := range errs {
		if errors.Is(err, journal.ErrDamaged) {
			err = &journal.ReadError{Records: records[:i], Line: i + 1, Err: err}
		}
		if err != nil {
			return nil, s.wrap(err)
		}
	}
	return records, nil
}

// each calls do with 0 … n-1, a few at once.
func each(n int, do func(i int)) {
	todo := make(chan int)
	var wg sync.WaitGroup
	for range min(readers, n) {
		wg.Go(func() {
			for i := range todo {
				do(i)
			}
		})
	}
	for i := range n {
		todo <- i
	}
	close(todo)
	wg.Wait()
}

// numbers returns the numbers above after of a journal's records, in order,
// from where it was trimmed last. Keys of other shapes are not the store's.
func (s *Store) numbers(ctx context.Context, name string, after int) ([]int, error) {
	var numbers []int
	first, asked := after+1, false // or where it was trimmed, if that is higher
	err := s.list(ctx, s.folder(name), s.key(name, after), func(page *s3.ListObjectsV2Output) (next string, err error) {
		for _, o := range page.Contents {
			key := aws.ToString(o.Key)
			if n, ok := number(key, s.folder(name), ".json"); ok && key == s.key(name, n) {
				numbers = append(numbers, n)
			} else if n, ok := number(key, s.trimmed(name), ""); ok && key == s.marker(name, n) {
				first = max(first, n)
			}
		}
		if asked || !aws.ToBool(page.IsTruncated) {
			return "", nil
		}
		// The markers are far behind. What was trimmed need not be listed.
		asked = true
		trimmed, err := s.lastTrim(ctx, name)
		first = max(first, trimmed)
		if len(numbers) > 0 && numbers[len(numbers)-1] < first-1 {
			next = s.key(name, first-1)
		}
		return next, err
	})
	numbers = slices.DeleteFunc(numbers, func(n int) bool { return n < first })
	slices.Sort(numbers)
	return numbers, err
}

// lastTrim is the record that a journal begins with since it was trimmed last,
// 0 if it never was.
func (s *Store) lastTrim(ctx context.Context, name string) (first int, err error) {
	err = s.list(ctx, s.trimmed(name), "", func(page *s3.ListObjectsV2Output) (string, error) {
		for _, o := range page.Contents {
			if n, ok := number(aws.ToString(o.Key), s.trimmed(name), ""); ok {
				first = max(first, n)
			}
		}
		return "", nil
	})
	return first, err
}

// number is the one between the beginning and the end of a key.
func number(key, begin, end string) (int, bool) {
	key, begins := strings.CutPrefix(key, begin)
	key, ends := strings.CutSuffix(key, end)
	n, err := strconv.Atoi(key)
	return n, begins && ends && err == nil
}

// list calls use with each page of the keys that begin with prefix, from the
// one after start on. If use returns a key the listing goes on after that one.
func (s *Store) list(ctx context.Context, prefix, start string, use func(*s3.ListObjectsV2Output) (next string, err error)) error {
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix}
	if start != "" {
		in.StartAfter = &start
	}
	return s.pages(ctx, in, use)
}

// pages calls use with each page of a listing.
func (s *Store) pages(ctx context.Context, in *s3.ListObjectsV2Input, use func(*s3.ListObjectsV2Output) (next string, err error)) error {
	seen := map[string]bool{"": true} // tokens; one that comes again has no end
	for {
		page, err := s.api.ListObjectsV2(ctx, in)
		if err != nil {
			return err
		}
		next, err := use(page)
		switch token := aws.ToString(page.NextContinuationToken); {
		case err != nil || next == "" && !aws.ToBool(page.IsTruncated):
			return err
		case next != "":
			in.StartAfter, in.ContinuationToken = &next, nil
		case seen[token]:
			return fmt.Errorf("S3 does not say where the list of %s goes on: %w", aws.ToString(in.Prefix), endpoint.ErrUnavailable)
		default:
			seen[token] = true
			in.ContinuationToken = &token
		}
	}
}

// record reads one record.
func (s *Store) record(ctx context.Context, name string, seq int) (journal.Record, error) {
	key := s.key(name, seq)
	b, err := s.object(ctx, key)
	if errors.Is(err, endpoint.ErrNotFound) {
		return journal.Record{}, fmt.Errorf("%s was listed and is gone: %w", key, journal.ErrDamaged)
	}
	if err != nil {
		return journal.Record{}, err
	}
	r, err := journal.Decode(b)
	if err != nil {
		return journal.Record{}, fmt.Errorf("%s: %w", key, err)
	}
	if r.Seq != seq {
		return journal.Record{}, fmt.Errorf("%s holds record %d: %w", key, r.Seq, journal.ErrDamaged)
	}
	return r, nil
}

// List implements [journal.Lister]. It takes a request for a thousand
// endpoints, and two or more for each of them.
func (s *Store) List(ctx context.Context) ([]journal.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var names []string
	if err := s.folders(ctx, func(name string) { names = append(names, name) }); err != nil {
		return nil, s.wrap(err)
	}
	slices.Sort(names)
	names = slices.Compact(names) // a service may name a folder on two pages
	entries := make([]journal.Entry, len(names))
	each(len(entries), func(i int) {
		e := &entries[i]
		e.Endpoint = names[i]
		numbers, err := s.numbers(ctx, e.Endpoint, 0)
		if err == nil && len(numbers) > 0 {
			e.Last, err = s.record(ctx, e.Endpoint, numbers[len(numbers)-1])
		}
		e.Err = s.wrap(err)
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(entries, func(e journal.Entry) bool { return e.Err == nil && e.Last.Seq == 0 }), nil
}

// folders calls use with the name of each endpoint that has a journal.
func (s *Store) folders(ctx context.Context, use func(name string)) error {
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix, Delimiter: aws.String("/")}
	return s.pages(ctx, in, func(page *s3.ListObjectsV2Output) (string, error) {
		for _, folder := range page.CommonPrefixes {
			escaped, ok := strings.CutSuffix(strings.TrimPrefix(aws.ToString(folder.Prefix), s.prefix), folderExt)
			if name, err := url.PathUnescape(escaped); ok && err == nil && s.folder(name) == aws.ToString(folder.Prefix) {
				use(name)
			}
		}
		return "", nil
	})
}

// Trim implements [journal.Trimmer]. It puts a marker beside the records and
// deletes none of them: a number whose object is gone could be taken once more.
func (s *Store) Trim(ctx context.Context, name string, first int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	numbers, err := s.numbers(ctx, name, 0)
	switch {
	case err != nil:
		return s.wrap(err)
	case len(numbers) == 0 || numbers[0] >= first:
		return nil
	case numbers[len(numbers)-1] < first:
		return s.wrap(fmt.Errorf("%w: trim to record %d, above the last record %d", endpoint.ErrInvalid, first, numbers[len(numbers)-1]))
	}
	return s.mark(ctx, s.marker(name, first))
}

// mark puts an empty object unless it is there already.
func (s *Store) mark(ctx context.Context, key string) error {
	_, err := s.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(nil), IfNoneMatch: aws.String("*"),
	})
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusPreconditionFailed {
		return nil
	}
	return s.wrap(err)
}
