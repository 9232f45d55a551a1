package drivers

import (
	"errors"
	"fmt"
	"io/fs"
)

// PathNotFoundError says that nothing is stored at Path. It is fs.ErrNotExist.
type PathNotFoundError struct {
	Path       string
	DriverName string
}

func (e PathNotFoundError) Error() string {
	return fmt.Sprintf("%s: path not found: %s", e.DriverName, e.Path)
}

// Is reports that the error means absence.
func (e PathNotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// InvalidPathError says that Path breaks the path rules. It is fs.ErrInvalid.
type InvalidPathError struct {
	Path       string
	DriverName string
}

func (e InvalidPathError) Error() string {
	return fmt.Sprintf("%s: invalid path: %q", e.DriverName, e.Path)
}

// Is reports that the error means a bad argument.
func (e InvalidPathError) Is(target error) bool { return target == fs.ErrInvalid }

// InvalidOffsetError says that Offset cannot be read from. It is fs.ErrInvalid.
type InvalidOffsetError struct {
	Path       string
	Offset     int64
	DriverName string
}

func (e InvalidOffsetError) Error() string {
	return fmt.Sprintf("%s: invalid offset: %d for path: %s", e.DriverName, e.Offset, e.Path)
}

// Is reports that the error means a bad argument.
func (e InvalidOffsetError) Is(target error) bool { return target == fs.ErrInvalid }

// ErrUnsupportedMethod says that the driver cannot do what was asked. It is
// errors.ErrUnsupported.
type ErrUnsupportedMethod struct {
	DriverName string
}

func (e ErrUnsupportedMethod) Error() string {
	return fmt.Sprintf("%s: unsupported method", e.DriverName)
}

// Is reports that the error means a missing ability.
func (e ErrUnsupportedMethod) Is(target error) bool { return target == errors.ErrUnsupported }

// Error is any other failure of a driver, with its cause in Detail.
type Error struct {
	DriverName string
	Detail     error
}

func (e Error) Error() string { return fmt.Sprintf("%s: %s", e.DriverName, e.Detail) }

// Unwrap returns the cause.
func (e Error) Unwrap() error { return e.Detail }

// InvalidStorageDriverError says that no driver is registered under Name.
type InvalidStorageDriverError struct {
	Name string
}

func (e InvalidStorageDriverError) Error() string {
	return fmt.Sprintf("StorageDriver not registered: %s", e.Name)
}
