package s3server

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
)

// Bucket is a bucket of a server, or what lies below a prefix in one.
type Bucket struct {
	Name   string
	Prefix string // "" or without slashes at its ends: a driver's rootdirectory

	server *Server
}

// Bucket makes a bucket, unless it is there, and returns what lies below prefix
// in it.
func (s *Server) Bucket(name, prefix string) (Bucket, error) {
	if err := os.MkdirAll(filepath.Join(s.Buckets(), name), 0o755); err != nil {
		return Bucket{}, fmt.Errorf("make bucket: %w", err)
	}
	return Bucket{Name: name, Prefix: prefix, server: s}, nil
}

// Dir is where the server has the bucket's objects. It need not exist. Files
// put there are objects without an ETag; a copy of a tree of objects with their
// extended attributes (cp -a) is just as if they had been put.
func (b Bucket) Dir() string {
	return filepath.Join(b.server.Buckets(), b.Name, filepath.FromSlash(b.Prefix))
}

// Endpoint is the URL of the bucket's server.
func (b Bucket) Endpoint() string { return b.server.Endpoint() }

// Params are the parameters of the driver s3, ours and the registry's.
func (b Bucket) Params() map[string]any { return b.ParamsAt(b.server.Endpoint()) }

// ParamsAt are the parameters for something that stands before the server.
func (b Bucket) ParamsAt(endpoint string) map[string]any {
	return map[string]any{
		"accesskey": AccessKey, "secretkey": SecretKey,
		"region": Region, "regionendpoint": endpoint, "forcepathstyle": true, "secure": false,
		"bucket": b.Name, "rootdirectory": "/" + b.Prefix,
	}
}

// URL is what registryfs mounts. The credentials are in Environ.
func (b Bucket) URL() string { return b.URLAt(b.server.Endpoint()) }

// URLAt is the URL for something that stands before the server.
func (b Bucket) URLAt(endpoint string) string {
	u := url.URL{Scheme: "s3", Host: b.Name, Path: path.Join("/", b.Prefix)}
	u.RawQuery = url.Values{"region": {Region}, "regionendpoint": {endpoint}}.Encode()
	return u.String()
}

// Environ are the variables with the credentials of every server, and such that
// keep out those of the user.
func Environ() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey, "AWS_REGION=" + Region,
		"AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	}
}
