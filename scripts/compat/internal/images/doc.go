// Package images makes the images that the fixtures hold: small, valid for
// crane validate, and the same bytes in every run.
//
// It knows nothing of where they go: a Pusher is a registry (package registry)
// or a directory that is laid out as a registry does it (package store).
package images
