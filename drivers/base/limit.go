package base

import (
	"fmt"
	"reflect"
	"strconv"
)

// GetLimitFromParameter reads a driver parameter that bounds something, such as
// maxthreads: an integer of any kind, or a string with one in Go's notation.
// nil is def; what is below min, or negative, is min; anything else an error.
func GetLimitFromParameter(param any, min, def uint64) (uint64, error) {
	limit := def
	switch v := reflect.ValueOf(param); v.Kind() {
	case reflect.Invalid:
	case reflect.String:
		if n, err := strconv.ParseInt(v.String(), 0, 64); err == nil && n < 0 {
			return min, nil
		}
		n, err := strconv.ParseUint(v.String(), 0, 64)
		if err != nil {
			return 0, fmt.Errorf("limit %q is not an integer: %w", param, err)
		}
		limit = n
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if v.Int() < 0 {
			return min, nil
		}
		limit = uint64(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		limit = v.Uint()
	default:
		return 0, fmt.Errorf("limit %#v is not an integer", param)
	}
	if limit < min {
		return min, nil
	}
	return limit, nil
}
