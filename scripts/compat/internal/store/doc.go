// Package store writes a registry's storage tree straight to disk, byte for
// byte as a registry writes it (a test compares the two), but without a
// registry, without fsync and in a fraction of the time.
//
// Besides the images of package images it makes stores of any size for the
// benchmarks (Generate) and plants what years of crashes and old releases
// leave behind (Corrupt).
package store
