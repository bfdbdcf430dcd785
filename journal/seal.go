package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
)

// Seal sets the checksums of a record: prev is the Sum of the record before it
// in the journal, "" for the first record and after records of version 1, which
// have none. Nothing of a sealed record may be changed. A record is sealed
// before it is appended; it is sealed again when it gets another number.
func (r *Record) Seal(prev string) error {
	r.Prev, r.Sum = prev, ""
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("journal record %d: %w: %w", r.Seq, endpoint.ErrInvalid, err)
	}
	r.Sum = checksum(b[:len(b)-1])
	return nil
}

// checksum is the first half of the SHA-256 of a record's JSON up to its sum:
// what it guards against is damage, not forgery.
func checksum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:len(sum)/2])
}

// verify compares the checksum of a record with the JSON it was decoded from.
// A store may have added or removed white space.
func verify(b []byte, sum string) error {
	if sum == "" {
		return fmt.Errorf("%w: no checksum", ErrDamaged)
	}
	end := []byte(`,"sum":"` + sum + `"}`)
	if content, ok := bytes.CutSuffix(b, end); ok && checksum(content) == sum {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if content, ok := bytes.CutSuffix(compact.Bytes(), end); !ok || checksum(content) != sum {
		return fmt.Errorf("%w: the checksum does not match", ErrDamaged)
	}
	return nil
}

// Encode returns the one line of JSON by which a store keeps a record. Its
// error is [endpoint.ErrInvalid] if the record was not sealed, or was changed
// since: nothing could read it again.
func Encode(r Record) ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("journal record %d: %w: %w", r.Seq, endpoint.ErrInvalid, err)
	}
	if r.Sum == "" {
		return nil, fmt.Errorf("journal record %d: %w: it is not sealed", r.Seq, endpoint.ErrInvalid)
	}
	if err := verify(b, r.Sum); err != nil {
		return nil, fmt.Errorf("journal record %d: %w: it was changed after it was sealed", r.Seq, endpoint.ErrInvalid)
	}
	return b, nil
}

// Decode returns the record that [Encode] made b of. Its error is [ErrDamaged]
// if b is no record or its checksum does not match.
func Decode(b []byte) (Record, error) {
	var r Record
	if err := r.UnmarshalJSON(b); err != nil {
		return Record{}, damaged(err)
	}
	return r, nil
}
