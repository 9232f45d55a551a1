// Package s3 is the storage driver for a bucket of S3, or of a store that speaks
// its protocol, in the tree and with the parameters of the registry's own. It is
// registered as s3 and as s3aws.
//
// # Parameters
//
// Those of the registry's storage.s3 section, with its defaults:
//
//	bucket, rootdirectory              where the registry is
//	accesskey, secretkey               else the environment, ~/.aws, the instance
//	region                             or AWS_REGION, or the profile's
//	regionendpoint, forcepathstyle     of another store than AWS
//	secure, skipverify                 true; false
//	usedualstack, accelerate, usefipsendpoint
//	encrypt, keyid                     by the server: AES256, or this key of KMS
//	storageclass, objectacl            STANDARD, or NONE; private
//	chunksize                          10 MiB, 5 MiB to 5 GiB: one part
//	multipartcopychunksize, -maxconcurrency, -thresholdsize
//	                                   32 MiB, 100, 32 MiB
//	useragent, loglevel                off
//
// v4auth: false is refused: stores gave up signatures of version 2. A
// redirectendpoint is ignored, since nothing is redirected. And what the
// registry lacks:
//
//	sessiontoken                       of temporary keys
//	profile                            of ~/.aws/config
//	rolearn, externalid, rolesessionname
//	anonymous                          no signature, for public buckets
//	retries                            10: how often a request is made again
//	timeout                            30s: for how long nothing may move
//	maxthreads                         100, at least 25: calls at once
//	checksum                           when_required, or when_supported for CRC32
//	                                   wherever the SDK can, which old stores refuse
//
// # Absence
//
// Only what the store calls absent is fs.ErrNotExist: NoSuchKey, an empty
// listing, and the 404 of a HEAD once the bucket is known to exist. A request
// that is refused is fs.ErrPermission; one that is throttled, broken or not
// answered is another error, and so is a bucket that is not there.
//
// A directory is where keys go on after its path and a slash; what merely begins
// like it is not in it. The empty objects with which consoles mark directories
// are not shown. If a file and a directory have one path, which a registry never
// makes, Stat and Delete see the file first.
//
// # Requests
//
// Each is made again, after a while that grows and varies, when the store is
// busy, the connection breaks or the answer is cut short; all within the
// caller's context. Nothing limits how long a transfer takes, but when neither
// side moves for a third of the timeout the request has stalled; the third stall
// is the error syscall.ETIMEDOUT. The rest of a body that was cut short is asked
// for with the entity tag of what came before: bytes of two files never mix.
//
// GetContent and ReadRange are one GET. A listing is a page of 1000 at a time,
// with the next one fetched while the caller looks at this. Stat is one HEAD for
// what a registry has only files for, and else a HEAD beside a listing of one
// key. Delete lists what it deletes and nothing else.
//
// # Writes
//
// A file that fits into one part is put by one request. A larger one goes in
// parts, several at once, with all buffers taken from the budget of memory; it
// becomes visible whole at Commit, and its parts are given back if it fails.
// Parts double in size beyond the 4500th. Their content is signed, but not over
// TLS or to a server on this machine, where hashing it once more would be half of
// the cost. A crash leaves parts that no listing shows and that cost money. They
// are the Leftovers, each upload under the path of its file with its id behind
// it; a lifecycle rule of the bucket with AbortIncompleteMultipartUpload ends them
// as well.
//
// CopyFrom lets the store copy between two places that the same user reaches at the
// same endpoint, and compares size, MD5 and checksums as far as the store tells
// them. Whoever knows the digest and wants more has to read the copy.
//
// PutContentIfAbsent is a Stat and a put with If-None-Match, so that where a store
// does not know that, what is there is not replaced all the same. An answer that was
// lost is looked into: what was done is no error.
//
// A Writer that is closed without Commit leaves what it has in an object beside
// its target, .<name>.registryfs-partial, which no listing shows: the parts it
// has put, and the bytes that are too few for one. An appending Writer takes it
// over. Putting, moving or deleting the file throws it away, and so does finding
// that the file is newer.
package s3
