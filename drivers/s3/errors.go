package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"registryfs/drivers"
)

// requestError is a request that the store refused or did not answer.
type requestError struct {
	op, path string
	what     string // the store's own words
	remedy   string // "" if there is none to name
	is       error  // the kind, nil if it has none
	cause    error
}

func (e *requestError) Error() string {
	if e.remedy == "" {
		return fmt.Sprintf("%s %s: %s", e.op, e.path, e.what)
	}
	return fmt.Sprintf("%s %s: %s: %s", e.op, e.path, e.what, e.remedy)
}

// Unwrap returns the kind of the error and the SDK's own.
func (e *requestError) Unwrap() []error {
	if e.is == nil {
		return []error{e.cause}
	}
	return []error{e.is, e.cause}
}

// codeOf is the store's word for an error, "" if it is not from the store.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// statusOf is the HTTP status of an error, 0 if there was no answer.
func statusOf(err error) int {
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		return resp.HTTPStatusCode()
	}
	return 0
}

// isAbsent reports whether the store has said that there is no such object. A
// 404 alone may mean the bucket, or a proxy on the way.
func isAbsent(err error) bool { return codeOf(err) == "NoSuchKey" }

// errnoCodes are what some stores say and the kernel has a word for.
var errnoCodes = map[string]syscall.Errno{
	"ExistingObjectIsDirectory":   syscall.EISDIR,
	"DirectoryObjectContainsData": syscall.EISDIR,
	"ObjectParentIsFile":          syscall.ENOTDIR,
	"KeyTooLongError":             syscall.ENAMETOOLONG,
	"EntityTooLarge":              syscall.EFBIG,
	"QuotaExceeded":               syscall.ENOSPC,
	"InsufficientStorage":         syscall.ENOSPC,
}

// explain turns the error of a request for path into one that names its reason
// and, where it is known, its remedy. Only what the store has called absent is
// fs.ErrNotExist.
func (d *Driver) explain(ctx context.Context, op, path string, err error) error {
	if err == nil {
		return nil
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return fmt.Errorf("%s %s: %w", op, path, ctxErr)
	}
	if isAbsent(err) && op != "list" { // a listing is empty, or it is of no store
		return drivers.PathNotFoundError{Path: path}
	}
	e := &requestError{op: op, path: path, what: d.describe(err), cause: err}
	var (
		unset *credentialsError
		lost  *url.Error
	)
	code, status := codeOf(err), statusOf(err)
	switch {
	case errors.As(err, &unset):
		e.is, e.remedy = fs.ErrPermission, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the parameter profile, or accesskey and secretkey in a config.yml"
	case status == 0 && errors.As(err, &lost):
		e.remedy = "see whether the server is up, and whether region and regionendpoint are right"
	case code == "NoSuchBucket":
		e.remedy = "correct the bucket's name, its region or the endpoint, or create it"
	case code == "PermanentRedirect", code == "AuthorizationHeaderMalformed", code == "IllegalLocationConstraintException",
		status == http.StatusMovedPermanently:
		e.remedy = fmt.Sprintf("the bucket is in another region than %s: set the parameter region to it", d.region)
	case code == "RequestTimeTooSkewed":
		e.is, e.remedy = fs.ErrPermission, "set this machine's clock"
	case code == "InvalidAccessKeyId", code == "XAdminUserNotFound", code == "SignatureDoesNotMatch", code == "ExpiredToken", code == "InvalidToken",
		status == http.StatusUnauthorized:
		e.is, e.remedy = fs.ErrPermission, "check the access key, the secret key and the session token"
	case code == "AccessControlListNotSupported":
		e.is, e.remedy = fs.ErrPermission, "the bucket has no ACLs: set the parameter objectacl to bucket-owner-full-control"
	case op == "list" && status == http.StatusNotFound, errors.Is(err, errNotListing):
		e.remedy = "see whether what answers there is an S3 store, and correct regionendpoint"
	case code == "InvalidObjectState":
		e.is, e.remedy = fs.ErrPermission, "it was moved to an archive: restore it, and leave the registry out of the bucket's lifecycle rule"
	case status == http.StatusForbidden, code == "AccessDenied":
		e.is, e.remedy = fs.ErrPermission, "the credentials need the permission for this on the bucket and its objects"
	case code == "PreconditionFailed", status == http.StatusPreconditionFailed:
		e.is = fs.ErrExist
	case errnoCodes[code] != 0:
		e.is = errnoCodes[code]
	case status == http.StatusInsufficientStorage:
		e.is = syscall.ENOSPC
	}
	return e
}

// credentialsError says that there are none to sign a request with.
type credentialsError struct{ cause error }

func (e *credentialsError) Error() string { return "no credentials: " + e.cause.Error() }

func (e *credentialsError) Unwrap() error { return e.cause }

// noAnswer names the server and what happened, without the URL of the request.
func noAnswer(err *url.Error) string {
	server := err.URL
	if u, parseErr := url.Parse(err.URL); parseErr == nil {
		server = u.Scheme + "://" + u.Host
	}
	return fmt.Sprintf("no answer from %s: %v", server, err.Err)
}

// describe says in a line what the SDK says in several.
func (d *Driver) describe(err error) string {
	var (
		api   smithy.APIError
		stall *stallError
		resp  *awshttp.ResponseError
	)
	if errors.As(err, &stall) {
		return stall.Error()
	}
	if !errors.As(err, &api) {
		var (
			op    *smithy.OperationError
			lost  *url.Error
			unset *credentialsError
		)
		switch {
		case errors.As(err, &unset):
			return unset.Error()
		case errors.Is(err, errNotListing):
			return errNotListing.Error()
		case errors.As(err, &lost):
			return noAnswer(lost)
		}
		if errors.As(err, &op) {
			err = op.Err
		}
		return err.Error()
	}
	words := api.ErrorCode()
	if m := api.ErrorMessage(); m != "" && m != words {
		words += " (" + strings.TrimSuffix(m, ".") + ")"
	}
	if errors.As(err, &resp) {
		words = fmt.Sprintf("bucket %s answers %d %s", d.bucket, resp.HTTPStatusCode(), words)
		if id := resp.ServiceRequestID(); id != "" {
			words += ", request " + id
		}
	}
	return words
}
