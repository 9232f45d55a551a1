// Package compat holds registryfs against the real thing: distribution's
// registry v3 and Debian's docker-registry 2.8 as servers, crane and skopeo as
// clients, and distribution's own suite for storage drivers. It is a module of
// its own, so that their dependencies stay out of registryfs.
//
//	scripts/install
//	cd scripts/compat && go test ./...
//
// The registries and crane are built or unpacked when first needed; registryfs
// is built from the tree unless REGISTRYFS names a binary. A test that lacks a
// tool, a server or /dev/fuse says so and is skipped, but fails when CI is set.
// COMPAT_FULL=1 adds the long parts of distribution's suite (a stream of 5 GiB).
package compat
