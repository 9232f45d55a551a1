package s3

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"registryfs/drivers"
	"registryfs/drivers/base"
)

const (
	// driverName is what the registry's driver calls itself under both names.
	driverName = "s3aws"

	minChunkSize     = 5 << 20
	maxChunkSize     = 5 << 30
	maxCopySize      = 5 << 30
	maxPartsPerFile  = 10_000
	defaultChunkSize = 10 << 20
	defaultCopySize  = 32 << 20
	defaultCopies    = 100

	defaultMaxThreads = 100
	minMaxThreads     = 25
	defaultRetries    = 10
	defaultTimeout    = 30 * time.Second
	defaultMemory     = 128 << 20
)

func init() {
	create := func(ctx context.Context, params map[string]any) (drivers.StorageDriver, error) {
		return FromParameters(ctx, params)
	}
	drivers.Register("s3", create)
	drivers.Register("s3aws", create)
}

// Parameters are the settings of a driver. Those without a remark are the
// registry's, under its names; New takes the zero value of a number for its
// default.
type Parameters struct {
	AccessKey    string // with SecretKey; else the credentials come from the environment
	SecretKey    string
	SessionToken string // ours, as are the next five
	Profile      string
	RoleARN      string
	ExternalID   string
	RoleSession  string
	Anonymous    bool

	Bucket         string
	Region         string
	RegionEndpoint string
	ForcePathStyle bool
	Insecure       bool // secure: false
	SkipVerify     bool
	UseDualStack   bool
	Accelerate     bool
	UseFIPS        bool
	UserAgent      string

	RootDirectory string // without slashes at its ends
	Encrypt       bool
	KeyID         string
	StorageClass  types.StorageClass    // "" sends none
	ObjectACL     types.ObjectCannedACL // "" sends none

	ChunkSize         int64
	CopyChunkSize     int64
	CopyMaxConcurrent int
	CopyThreshold     int64 // 0 copies all by parts; New does not default it

	LogMode aws.ClientLogMode

	MaxThreads   uint64        // ours, as are the following; less than 25 is 25
	Retries      int           // how often a request is made again; negative is never
	Timeout      time.Duration // how long a call may go on without any progress
	AllChecksums bool          // checksum: when_supported
	Memory       *drivers.Budget
}

// FromParameters makes a driver from the entry of a registry's configuration.
// Parameters it does not know are ignored, as the registry does. No request is
// made yet, so that a wrong bucket or key shows at the first call.
func FromParameters(ctx context.Context, params map[string]any) (drivers.StorageDriver, error) {
	p, err := parse(params)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	d, err := New(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return d, nil
}

// parse reads and checks parameters.
func parse(params map[string]any) (Parameters, error) {
	v := values{params: params}
	p := Parameters{
		AccessKey:    v.text("accesskey"),
		SecretKey:    v.text("secretkey"),
		SessionToken: v.text("sessiontoken"),
		Profile:      v.text("profile"),
		RoleARN:      v.text("rolearn"),
		ExternalID:   v.text("externalid"),
		RoleSession:  v.text("rolesessionname"),
		Anonymous:    v.bool("anonymous", false),

		Bucket:         v.text("bucket"),
		Region:         v.text("region"),
		RegionEndpoint: v.text("regionendpoint"),
		ForcePathStyle: v.bool("forcepathstyle", false),
		Insecure:       !v.bool("secure", true),
		SkipVerify:     v.bool("skipverify", false),
		UseDualStack:   v.bool("usedualstack", false),
		Accelerate:     v.bool("accelerate", false),
		UseFIPS:        v.bool("usefipsendpoint", false),
		UserAgent:      v.text("useragent"),

		RootDirectory: strings.Trim(v.text("rootdirectory"), "/"),
		Encrypt:       v.bool("encrypt", false),
		KeyID:         v.text("keyid"),
		StorageClass:  v.storageClass("storageclass"),
		ObjectACL:     v.acl("objectacl"),

		ChunkSize:         v.int("chunksize", defaultChunkSize, minChunkSize, maxChunkSize),
		CopyChunkSize:     v.int("multipartcopychunksize", defaultCopySize, minChunkSize, maxCopySize),
		CopyMaxConcurrent: int(v.int("multipartcopymaxconcurrency", defaultCopies, 1, math.MaxInt32)),
		CopyThreshold:     v.int("multipartcopythresholdsize", defaultCopySize, 0, maxCopySize),

		LogMode: v.logMode("loglevel"),

		MaxThreads:   v.limit("maxthreads"),
		Retries:      v.retries(),
		Timeout:      v.duration("timeout", defaultTimeout),
		AllChecksums: v.checksum("checksum"),
	}
	if !v.bool("v4auth", true) {
		v.fail(errors.New("v4auth: false asks for signatures of version 2, which stores gave up and this driver does not make: remove v4auth, or set it to true"))
	}
	if m, ok := params["memory"]; ok && m != nil {
		budget, ok := m.(*drivers.Budget)
		if !ok {
			v.fail(fmt.Errorf("memory is set by the program, not by a configuration: remove it"))
		}
		p.Memory = budget
	}
	v.fail(p.check())
	return p, v.err
}

// regionPattern is what AWS calls its regions, those to come as well.
var regionPattern = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-\d+$`)

// check refuses what does not go together.
func (p *Parameters) check() error {
	switch {
	case p.Bucket == "":
		return errors.New("no bucket: set the parameter bucket")
	case strings.Contains(p.Bucket, "/"):
		return fmt.Errorf("bucket %q has a slash: set what follows it as rootdirectory", p.Bucket)
	case p.RegionEndpoint == "" && p.Region != "" && !regionPattern.MatchString(p.Region):
		return fmt.Errorf("region %q is no region of AWS, as us-east-1 is: correct it, or set regionendpoint to the URL of your store", p.Region)
	case (p.AccessKey == "") != (p.SecretKey == ""):
		return errors.New("only one of accesskey and secretkey is set: set both, or none to use the credentials of the environment")
	case p.Anonymous && (p.AccessKey != "" || p.Profile != "" || p.RoleARN != ""):
		return errors.New("anonymous does not go with accesskey, profile or rolearn: keep one")
	case p.Accelerate && p.ForcePathStyle:
		return errors.New("accelerate does not go with forcepathstyle: keep one")
	}
	return p.checkEndpoint()
}

// checkEndpoint refuses what the SDK would refuse at each request, in its own words
// and with the password in them.
func (p *Parameters) checkEndpoint() error {
	if p.RegionEndpoint == "" {
		return nil
	}
	u, err := url.Parse(endpointURL(*p))
	switch {
	case strings.Contains(p.RegionEndpoint, "@"):
		return errors.New("regionendpoint has a user or a password before the host, which S3 does not know: set accesskey and secretkey")
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("regionendpoint %q is no URL of a server: set one like https://minio.example.com:9000", p.RegionEndpoint)
	case p.Accelerate || p.UseDualStack || p.UseFIPS:
		return errors.New("accelerate, usedualstack and usefipsendpoint are for the endpoints of AWS that the SDK finds: remove them, or regionendpoint")
	}
	return nil
}

// values reads parameters and keeps the first error.
type values struct {
	params map[string]any
	err    error
}

func (v *values) fail(err error) {
	if v.err == nil {
		v.err = err
	}
}

func (v *values) text(name string) string {
	if value := v.params[name]; value != nil {
		return fmt.Sprint(value)
	}
	return ""
}

// bool takes a bool or a string that reads as one, as the registry does.
func (v *values) bool(name string, def bool) bool {
	switch value := v.params[name].(type) {
	case nil:
	case bool:
		return value
	case string:
		b, err := strconv.ParseBool(value)
		if err != nil {
			v.fail(fmt.Errorf("%s is %q: set it to true or false", name, value))
		}
		return b
	default:
		v.fail(fmt.Errorf("%s is %v: set it to true or false", name, value))
	}
	return def
}

// int takes whatever prints as a number.
func (v *values) int(name string, def, least, most int64) int64 {
	text := v.text(name)
	if text == "" && v.params[name] == nil {
		return def
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil || n < least || n > most {
		v.fail(fmt.Errorf("%s is %q: set a number between %d and %d", name, text, least, most))
	}
	return n
}

func (v *values) limit(name string) uint64 {
	n, err := base.GetLimitFromParameter(v.params[name], minMaxThreads, defaultMaxThreads)
	if err != nil {
		v.fail(fmt.Errorf("%s is %q: set a number", name, v.text(name)))
	}
	return n
}

// retries is a number of which 0 means none, unlike in Parameters.
func (v *values) retries() int {
	name := "retries"
	if v.params[name] == nil {
		name = "maxretries"
	}
	if n := int(v.int(name, defaultRetries, 0, 1000)); n > 0 {
		return n
	}
	return -1
}

// duration takes Go's notation, or a number of seconds.
func (v *values) duration(name string, def time.Duration) time.Duration {
	text := v.text(name)
	if text == "" {
		return def
	}
	d, err := time.ParseDuration(text)
	if seconds, numErr := strconv.ParseFloat(text, 64); numErr == nil {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d <= 0 {
		v.fail(fmt.Errorf("%s is %q: set a time such as 30s", name, text))
	}
	return d
}

// checksum reports whether to send and check them wherever that can be.
func (v *values) checksum(name string) bool {
	switch text := strings.ToLower(v.text(name)); text {
	case "", "when_required":
		return false
	case "when_supported":
		return true
	default:
		v.fail(fmt.Errorf("%s is %q: set it to when_required or when_supported", name, text))
		return false
	}
}

var storageClasses = []types.StorageClass{
	types.StorageClassStandard, types.StorageClassReducedRedundancy, types.StorageClassStandardIa,
	types.StorageClassOnezoneIa, types.StorageClassIntelligentTiering, types.StorageClassOutposts,
	types.StorageClassGlacierIr, types.StorageClassExpressOnezone,
}

func (v *values) storageClass(name string) types.StorageClass {
	if v.params[name] == nil {
		return types.StorageClassStandard
	}
	class := types.StorageClass(strings.ToUpper(v.text(name)))
	if class == "NONE" {
		return ""
	}
	if !slices.Contains(storageClasses, class) {
		v.fail(fmt.Errorf("%s is %q: set one of %v or NONE", name, v.text(name), storageClasses))
	}
	return class
}

func (v *values) acl(name string) types.ObjectCannedACL {
	if v.params[name] == nil {
		return types.ObjectCannedACLPrivate
	}
	acl := types.ObjectCannedACL(v.text(name))
	if known := acl.Values(); !slices.Contains(known, acl) {
		v.fail(fmt.Errorf("%s is %q: set one of %v", name, acl, known))
	}
	return acl
}

// logModes are the registry's names for what the SDK can log.
var logModes = map[string]aws.ClientLogMode{
	"debug":                    aws.LogRequest | aws.LogResponse | aws.LogRetries,
	"debugwithsigning":         aws.LogSigning | aws.LogRequest | aws.LogResponse,
	"debugwithhttpbody":        aws.LogRequestWithBody | aws.LogResponseWithBody,
	"debugwithrequestretries":  aws.LogRequest | aws.LogResponse | aws.LogRetries,
	"debugwithrequesterrors":   aws.LogRequest | aws.LogResponse | aws.LogRetries,
	"debugwitheventstreambody": aws.LogRequestEventMessage | aws.LogResponseEventMessage,
}

// logMode is off for false, which is what YAML makes of off, and for all that
// is not known.
func (v *values) logMode(name string) aws.ClientLogMode {
	return logModes[strings.ToLower(v.text(name))]
}
