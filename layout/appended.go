package layout

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// appendRecord adds a record to a file that several processes write. A file that
// has grown to most bytes is made anew of its newer half first: a mount goes on
// for months. What others append in that moment is lost to the next mount, and
// where the half begins there may be a part of a record.
func appendRecord(file string, record []byte, most int64) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := openToAppend(file)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Size() >= most {
		if err := errors.Join(f.Close(), keepNewest(file, most/2)); err != nil {
			return err
		}
		if f, err = openToAppend(file); err != nil {
			return err
		}
	}
	_, err = f.Write(record)
	return errors.Join(err, f.Close())
}

func openToAppend(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// keepNewest replaces the file by its last n bytes.
func keepNewest(file string, n int64) error {
	old, err := os.Open(file)
	if err != nil {
		return err
	}
	defer old.Close() // only read from
	if _, err := old.Seek(-n, io.SeekEnd); err != nil {
		return err // somebody else has done it
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.new") // several may do it
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, old)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}
