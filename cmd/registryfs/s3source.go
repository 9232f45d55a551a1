package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// s3Parameters are what the query of an s3:// SOURCE may set: those of the
// registry's storage.s3 section and this driver's own, without the credentials.
var s3Parameters = []string{
	"accelerate", "anonymous", "checksum", "chunksize", "encrypt", "externalid", "forcepathstyle", "keyid",
	"loglevel", "maxthreads", "multipartcopychunksize", "multipartcopymaxconcurrency",
	"multipartcopythresholdsize", "objectacl", "profile", "region", "regionendpoint", "retries", "rolearn",
	"rolesessionname", "rootdirectory", "secure", "skipverify", "storageclass", "timeout", "usedualstack",
	"usefipsendpoint", "useragent", "v4auth",
}

// s3Aliases are other words for them.
var s3Aliases = map[string]string{"endpoint": "regionendpoint"}

// s3Credentials are parameters that a URL must not have: ps and the mount table
// would show them to everybody.
var s3Credentials = []string{"accesskey", "secretkey", "sessiontoken", "accesskeyid", "secretaccesskey",
	"awsaccesskeyid", "awssecretaccesskey", "awssessiontoken", "password", "secret", "token"}

const credentialsRemedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, add profile=NAME of ~/.aws/credentials, or pass a config.yml with accesskey and secretkey"

// s3Store understands s3://BUCKET/PREFIX?PARAMETER=VALUE&... An endpoint may
// also come from the variables that all programs of AWS know.
func s3Store(source string, environ []string) (store, error) {
	u, err := url.Parse(source)
	if err != nil {
		return store{}, fmt.Errorf("SOURCE is no URL like s3://BUCKET/PREFIX?region=REGION: %w", withoutURL(err))
	}
	shown := s3Name(u.Host, u.Path)
	switch {
	case u.User != nil:
		return store{}, fmt.Errorf("SOURCE %s has credentials before the bucket, where all users of this machine see them: %s", shown, credentialsRemedy)
	case u.Host == "":
		return store{}, fmt.Errorf("SOURCE %q names no bucket: use s3://BUCKET/PREFIX", shown)
	case u.Fragment != "":
		return store{}, fmt.Errorf("SOURCE %s has a #: write %%23 for one in a name", shown)
	}
	params, err := s3Query(u.RawQuery)
	if err != nil {
		return store{}, fmt.Errorf("SOURCE %s: %w", shown, err)
	}
	params["bucket"] = u.Host
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" && params["rootdirectory"] != nil {
		return store{}, fmt.Errorf("SOURCE %s: rootdirectory is the path of the URL already: leave out one of the two", shown)
	}
	if before, _, inside := strings.Cut("/"+prefix+"/", "/"+registryTree+"/"); inside {
		return store{}, fmt.Errorf("SOURCE %s is inside a registry's storage: pass its root, %s", shown, s3Name(u.Host, before))
	}
	if prefix != "" {
		params["rootdirectory"] = prefix
	}
	if params["regionendpoint"] == nil {
		if endpoint := endpointVariable(environ); endpoint != "" {
			params["regionendpoint"] = endpoint
		}
	}
	if endpoint, ok := params["regionendpoint"].(string); ok && params["forcepathstyle"] == nil {
		params["forcepathstyle"] = !isAmazon(endpoint)
	}
	c := registryConfig{driver: "s3", params: params}
	return store{registryConfig: c, source: s3Name(u.Host, fmt.Sprint(orEmpty(params["rootdirectory"])))}, nil
}

// s3Query reads the parameters. Its errors show no values: one may be a secret
// under a name that was mistyped.
func s3Query(text string) (map[string]any, error) {
	query, err := url.ParseQuery(text)
	if err != nil {
		return nil, fmt.Errorf("what follows the ? is not PARAMETER=VALUE&PARAMETER=VALUE: write %%3B for a semicolon and %%25 for a percent sign")
	}
	params := map[string]any{}
	for _, key := range slices.Sorted(mapKeys(query)) {
		name := strings.ToLower(key)
		if alias, ok := s3Aliases[name]; ok {
			name = alias
		}
		plain := strings.NewReplacer("-", "", "_", "").Replace(name)
		switch {
		case slices.Contains(s3Credentials, plain):
			return nil, fmt.Errorf("%s in a URL is seen by all users of this machine: %s", key, credentialsRemedy)
		case name == "bucket":
			return nil, fmt.Errorf("bucket is in the URL already: leave out the parameter")
		case !slices.Contains(s3Parameters, name):
			return nil, unknownParameter(key, plain)
		case len(query[key]) > 1 || params[name] != nil:
			return nil, fmt.Errorf("%s is there twice: keep one", name)
		case query[key][0] == "":
			return nil, fmt.Errorf("%s has no value: write %[1]s=VALUE, or leave it out", name)
		}
		params[name] = query[key][0]
	}
	return params, nil
}

func mapKeys(query url.Values) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range query {
			if !yield(key) {
				return
			}
		}
	}
}

// unknownParameter names what was meant, as far as that can be guessed.
func unknownParameter(key, plain string) error {
	names := slices.Clone(s3Parameters)
	for alias := range s3Aliases {
		names = append(names, alias)
	}
	slices.Sort(names)
	var near []string
	for _, name := range names {
		if distance(plain, name) <= 2 || len(plain) >= 4 && strings.Contains(name, plain) {
			near = append(near, name)
		}
	}
	if len(near) > 0 {
		return fmt.Errorf("there is no parameter %q: did you mean %s?", key, strings.Join(near, " or "))
	}
	return fmt.Errorf("there is no parameter %q: there are %s", key, strings.Join(s3Parameters, ", "))
}

// distance is how many letters have to be put in, left out or changed to make b
// of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func endpointVariable(environ []string) string {
	for _, name := range []string{"AWS_ENDPOINT_URL_S3=", "AWS_ENDPOINT_URL="} {
		for _, variable := range environ {
			if value, ok := strings.CutPrefix(variable, name); ok && value != "" {
				return value
			}
		}
	}
	return ""
}

// isAmazon reports whether an endpoint is one of AWS: there the bucket is a part
// of the host's name. Other stores take it as a part of the path, and many have
// no names for buckets at all.
func isAmazon(endpoint string) bool {
	_, host, ok := strings.Cut(endpoint, "://")
	if !ok {
		host = endpoint
	}
	host, _, _ = strings.Cut(host, "/")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
}

// s3Name is how a store in a bucket is shown.
func s3Name(bucket, prefix string) string {
	return strings.TrimSuffix("s3://"+bucket+"/"+strings.Trim(prefix, "/"), "/")
}

// isS3 reports whether the store lies in a bucket.
func (s store) isS3() bool { return s.driver == "s3" || s.driver == "s3aws" }

// id names the store itself, however it was reached, for what is remembered of
// it; "" if it ends with the mount.
func (s store) id() string {
	switch {
	case s.isS3():
		endpoint := strings.TrimSuffix(strings.ToLower(fmt.Sprint(orEmpty(s.params["regionendpoint"]))), "/")
		return endpoint + " " + s3Name(fmt.Sprint(s.params["bucket"]), fmt.Sprint(orEmpty(s.params["rootdirectory"])))
	case s.root() != "":
		return s.root()
	}
	return ""
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

// withoutURL takes the URL, which may hold a password, out of what url.Parse says.
func withoutURL(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}
