// Package inmemory is a storage driver that keeps everything in the memory of
// the process: for tests and for trying things out. It takes no parameters.
//
// The bytes of a file are never changed in place. A reader keeps those of the
// moment it was opened, whatever happens to the file. Content is copied on its
// way in and out, except by Reader, whose bytes nobody can change.
package inmemory
