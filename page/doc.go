// Package page shows rollouts to people: one rollout as a picture ([Load]), in
// one HTML file that fetches nothing or in a few lines of Markdown, and all
// rollouts of a store as a site that may take decisions ([Handler]).
//
// A page shows what the journal holds, and what the polls showed, which is kept
// beside it ([rollout.LoadSeries]). It needs no access to the provider, and shows
// no more than the journal, which holds no secret.
package page
