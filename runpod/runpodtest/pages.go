package runpodtest

import (
	"net/url"
	"strconv"
)

// maxPage is the most that a page holds, and what it holds by default.
const maxPage = 1000

// page cuts a list down to the page that the query asks for, and says what comes
// after it. A cursor is the number of the first entry, with a letter before it.
func page(b Behaviour, query url.Values, key string, list []any) map[string]any {
	size := min(orDefault(b.PageSize, maxPage), maxPage)
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 {
		size = min(size, n)
	}
	cursor := query.Get("cursor")
	first := 0
	if len(cursor) > 1 {
		first, _ = strconv.Atoi(cursor[1:])
	}
	first = min(max(first, 0), len(list))
	if b.Cursors == SameCursor || b.Cursors == EndlessCursors {
		first = 0
	}
	last := min(first+size, len(list))
	next, more := any(nil), last < len(list)
	if more {
		next = "c" + strconv.Itoa(last)
	}
	switch b.Cursors {
	case NoCursorFault, SameCursor:
	case NoCursor:
		next = nil
	case TwoCursors:
		more = true
		next = "a0"
		if cursor == "a0" {
			next = "b0"
		}
	case EndlessCursors:
		n, _ := strconv.Atoi(query.Get("cursor"))
		next, more = strconv.Itoa(n+1), true
	}
	return map[string]any{key: list[first:last], "pagination": map[string]any{"hasNextPage": more, "nextCursor": next}}
}
