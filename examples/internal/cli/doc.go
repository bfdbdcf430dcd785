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
// Without -json, progress goes to stderr and the outcome to stdout. With
// -json, stdout has one JSON object a line: the events as package strategy
// makes them, and last an object of kind "end" with the outcome, the report,
// the error if there is one, and the exit status. A rollout that is refused
// has that last line only, with the outcome "refused". -plan prints one object
// of kind "plan", -explain one of kind "explain". Errors are on stderr always.
package cli
