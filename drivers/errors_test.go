package drivers_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"registryfs/drivers"
)

func TestErrorsIs(t *testing.T) {
	kinds := []error{fs.ErrNotExist, fs.ErrInvalid, fs.ErrExist, fs.ErrPermission, errors.ErrUnsupported, syscall.ENOSPC}
	for _, test := range []struct {
		err  error
		want error
	}{
		{drivers.PathNotFoundError{Path: "/p", DriverName: "name"}, fs.ErrNotExist},
		{drivers.InvalidPathError{Path: "/p", DriverName: "name"}, fs.ErrInvalid},
		{drivers.InvalidOffsetError{Path: "/p", Offset: -1, DriverName: "name"}, fs.ErrInvalid},
		{drivers.ErrUnsupportedMethod{DriverName: "name"}, errors.ErrUnsupported},
		{drivers.Error{DriverName: "name", Detail: fmt.Errorf("put: %w", syscall.ENOSPC)}, syscall.ENOSPC},
		{drivers.Error{DriverName: "name", Detail: &fs.PathError{Err: syscall.EACCES}}, fs.ErrPermission},
		{drivers.Error{DriverName: "name", Detail: errors.New("other")}, nil},
	} {
		for _, kind := range kinds {
			if got, want := errors.Is(test.err, kind), kind == test.want; got != want {
				t.Errorf("errors.Is(%#v, %v) = %v, want %v", test.err, kind, got, want)
			}
		}
		if !strings.HasPrefix(test.err.Error(), "name: ") {
			t.Errorf("the message %q does not begin with the driver's name", test.err)
		}
	}
}
