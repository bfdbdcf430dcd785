// Package cli is what the example programs have in common: the flags that
// drive a rollout, its progress for people and machines, signals, and exit
// statuses. It is a program's business, so it is no part of the library: copy
// what you like.
//
//	fs := flag.NewFlagSet("runpod", flag.ContinueOnError)
//	shared := cli.Register(fs)
//	id := fs.String("endpoint", "", "the endpoint's `ID`")
//	os.Exit(cli.Main(fs, shared, func() (cli.Rollout, error) { … }))
//
// With -journal, the directory has the journals, and in waits.json how long
// waits took: the next rollout looks when it is likely to be over. With
// -interval that is written, and not used. Where it is missing or cannot be
// read, stderr says so and the rollout looks as often as the first; no rollout
// fails for it.
//
// Without -json, progress goes to stderr and the outcome to stdout. With
// -json, stdout has one JSON object a line: the events as package strategy
// makes them, and last an object of kind "end" with the outcome, the report,
// the error if there is one, and the exit status. A rollout that is refused
// has that last line only, with the outcome "refused". -plan prints one object
// of kind "plan", -explain one of kind "explain". Errors are on stderr always.
package cli
