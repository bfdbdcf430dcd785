// Package browsertest holds the pages of package page against a real browser.
// It is a module of its own because of what drives the browser. Without
// Chromium its tests are skipped, and say so.
//
//	UPDATE=1 go test -run TestPictures .
//
// rewrites the pictures of the documentation.
package browsertest
