package layout

import (
	"context"
	"io"
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/filesystem"
)

// unreachable fails every call that asks for something.
type unreachable struct{ drivers.StorageDriver }

func (unreachable) fail() error { return drivers.Error{DriverName: "down", Detail: errUnreachable} }

func (u unreachable) GetContent(context.Context, string) ([]byte, error) { return nil, u.fail() }

func (u unreachable) PutContent(context.Context, string, []byte) error { return u.fail() }

func (u unreachable) Reader(context.Context, string, int64) (io.ReadCloser, error) {
	return nil, u.fail()
}

func (u unreachable) Stat(context.Context, string) (drivers.FileInfo, error) { return nil, u.fail() }

func (u unreachable) List(context.Context, string) ([]string, error) { return nil, u.fail() }

func (u unreachable) Walk(context.Context, string, drivers.WalkFn, ...func(*drivers.WalkOptions)) error {
	return u.fail()
}

// newFilesystem is a driver on a directory of the test's.
func newFilesystem(t testing.TB) drivers.StorageDriver {
	t.Helper()
	return filesystem.New(filesystem.Parameters{RootDirectory: t.TempDir()})
}
