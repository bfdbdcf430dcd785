// Package s3 keeps the journals of rollouts in an S3 bucket, for drivers that
// lose their disks, such as CI runners, or that run on several machines.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	store, err := s3store.New(s3.NewFromConfig(cfg), "acme-rollouts", "journals/")
//	if _, err := strategy.Resume(ctx, store, endpoint); err != nil { … }
//	report, err := strategy.Run(ctx, store, endpoint, strategy.InPlace{}, target)
//
// It needs a service that honours If-None-Match: * on PutObject, as Amazon S3
// does in every region since 2024. A service that ignores it would let two
// drivers write at once: run strategytest.RunStore against it, as the tests of
// this package do.
//
// # What is in the bucket
//
// Each record is an object of its own, which is never overwritten or deleted:
//
//	journals/runpod%2Fi02xupws21hp6i.journal/0000000001.json
//
// Do not let a lifecycle rule expire single objects of a journal: one with a
// gap is refused as damaged. All objects of an endpoint without an unfinished
// rollout may be deleted together. One object beside them,
// journals/runpod%2Fi02xupws21hp6i.alive, is overwritten while the rollout is
// driven, and tells who drives it.
//
// # Permissions
//
// The store needs s3:PutObject and s3:GetObject on the objects below the
// prefix, and s3:ListBucket on the bucket. No record holds a secret. A bucket
// policy that allows s3:PutObject below *.journal/ only where s3:if-none-match
// is set makes the journal append-only for everybody.
//
// # No lock
//
// S3 has no lock that dies with its holder. A driver that says that it is alive
// is not taken over; one that has not said so for [strategy.HeartbeatInterval] times
// three and the settle time may be dead, or cut off, or asleep. Each call to the provider ends at a time that is in
// the journal, a minute after it began at most; whoever takes over waits that
// long and the settle time before it believes what it reads. Two drivers are
// told apart by the number of the next record: one of them gets it, and the
// other one stops.
package s3
