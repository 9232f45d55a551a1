// Package s3server runs a real S3 server, versitygw, on a directory: a bucket
// is a directory in it and an object is a file, so that a test can look at what
// the server holds without asking it.
package s3server
