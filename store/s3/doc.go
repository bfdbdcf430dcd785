// Package s3 keeps the journals of rollouts in an S3 bucket, for runners that
// lose their disks, such as those of a CI service, or that run on several
// machines.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	store, err := s3store.New(s3.NewFromConfig(cfg), "acme-rollouts", "journals/")
//	report, err := rollout.Run(ctx, store, endpoint, strategy.InPlace{}, target, rollout.WithResumeFirst())
//
// It needs a service that honours If-None-Match: * on PutObject, as Amazon S3
// does in every region since 2024. A service that ignores it would let two
// runners write at once: run journaltest.Run against it, as the tests of this
// package do.
//
// # Objects
//
// Each record is one object, which is never overwritten or deleted:
//
//	journals/runpod%2Fi02xupws21hp6i.journal/0000000001.json
//
// A Trim adds an empty object, …journal/trimmed-0000000051, and from then on
// records below that number are neither read nor listed. They stay as an audit
// log: a number whose object is gone could be taken once more, by a runner that
// slept. Do not let a lifecycle rule expire single objects of a journal. All
// objects of an endpoint without an unfinished rollout may be deleted together.
//
// Two kinds of objects beside them are overwritten: …alive is the heartbeat of
// the runner, and …attached/ has a small document per rollout.
//
// # Requests
//
// An append is one PUT. A load is one LIST for a thousand records that were not
// trimmed, two more if there are more than that in the bucket, and one GET for
// each record. A poll for new records is one LIST.
//
// # Permissions
//
// The store needs s3:PutObject and s3:GetObject on the objects below the
// prefix, and s3:ListBucket on the bucket. No record holds a secret. A bucket
// policy that allows s3:PutObject below *.journal/ only where s3:if-none-match
// is set makes the journal append-only for every user; markers are put with it
// too.
//
// # No lock
//
// S3 has no lock that dies with its holder. A runner whose heartbeats arrive is
// not taken over; one that has been silent for three times
// [journal.HeartbeatInterval] and the settle time may be dead, or cut off, or
// asleep. Each call to the provider ends at a time that is in the journal, a
// minute after it began at most; a takeover waits that long and the settle time
// before it relies on its reads. Two runners are separated by the number of the
// next record: one of them gets it, and the other one stops.
package s3
