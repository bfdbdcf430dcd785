package endpoint

import (
	"errors"
	"fmt"
	"reflect"
)

// As finds the ability T on u or, through their Unwrap() Updater methods, on
// what u wraps. A wrapper therefore hides nothing it does not itself provide.
func As[T any](u Updater) (T, bool) {
	for u != nil {
		if t, ok := u.(T); ok {
			return t, true
		}
		w, ok := u.(interface{ Unwrap() Updater })
		if !ok {
			break
		}
		u = w.Unwrap()
	}
	var none T
	return none, false
}

// Need is [As] for an ability that cannot be done without: its error is
// [errors.ErrUnsupported] and names the endpoint and the ability.
func Need[T any](u Updater) (T, error) {
	if t, ok := As[T](u); ok {
		return t, nil
	}
	var none T
	return none, &Error{
		Op: "use", Endpoint: u.Name(),
		Err: fmt.Errorf("no %s: %w", reflect.TypeFor[T]().Name(), errors.ErrUnsupported),
	}
}
