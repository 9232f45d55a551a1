// Package registry starts real registries on a directory or a bucket and pushes
// to them: distribution v3, built from its module, and Debian's docker-registry
// 2.8.
package registry
