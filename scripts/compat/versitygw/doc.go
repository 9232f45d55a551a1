// Package versitygw pins the S3 server of the tests, Versity's gateway to a
// directory. It is a module of its own: the server's dependencies would move
// those of the registry, which the tests are about.
package versitygw
