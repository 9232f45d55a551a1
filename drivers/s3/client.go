package s3

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
)

// ioBuffer is how much of a connection is read or written at once. A gigabyte
// in steps of the transport's 4 KiB is many system calls.
const ioBuffer = 64 << 10

// defaultRegion signs requests to stores that have no regions.
const defaultRegion = "us-east-1"

// loadConfig finds what the SDK goes by, credentials and region above all. It asks
// no server anything.
func loadConfig(ctx context.Context, p Parameters) (aws.Config, error) {
	transport := newTransport(p)
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(transport),
		config.WithLogger(newLogger(p)),
		config.WithDefaultsMode(aws.DefaultsModeStandard),
	}
	if p.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(p.Profile))
	}
	if p.Region != "" {
		options = append(options, config.WithRegion(p.Region))
	}
	switch {
	case p.Anonymous:
		options = append(options, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	case p.AccessKey != "":
		static := credentials.NewStaticCredentialsProvider(p.AccessKey, p.SecretKey, p.SessionToken)
		options = append(options, config.WithCredentialsProvider(static))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, fmt.Errorf("read the configuration of AWS: %w", err)
	}
	if cfg.Region == "" {
		if endpointURL(p) == "" && cfg.BaseEndpoint == nil {
			return cfg, fmt.Errorf("no region for bucket %s: set the parameter region, or regionendpoint to the URL of your store", p.Bucket)
		}
		cfg.Region = defaultRegion
	}
	if p.RoleARN != "" {
		cfg.Credentials = aws.NewCredentialsCache(assumeRole(cfg, p))
	}
	return cfg, nil
}

// newClient makes the client of the SDK.
func newClient(ctx context.Context, p Parameters, keys *keyring, counts *requests) (*s3.Client, error) {
	cfg, err := loadConfig(ctx, p)
	if err != nil {
		return nil, err
	}
	if !p.Anonymous {
		found := cfg.Credentials
		keys.from.Store(&found)
		cfg.Credentials = keys
	}
	endpoint := endpointURL(p)
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = &watchedClient{client: cfg.HTTPClient, counts: counts, limit: p.Timeout / maxStalls, userAgent: p.UserAgent}
		o.Retryer = newRetryer(p.Retries)
		o.ClientLogMode = p.LogMode // not that of cfg: the answers with new keys are none of it
		o.APIOptions = append(o.APIOptions, countAttempts)
		o.UsePathStyle = p.ForcePathStyle
		o.UseAccelerate = p.Accelerate
		o.EndpointOptions.DisableHTTPS = p.Insecure
		if p.UseDualStack {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
		if p.UseFIPS {
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if p.AllChecksums {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		}
		o.DisableLogOutputChecksumValidationSkipped = true
		o.ContinueHeaderThresholdBytes = -1 // a round trip for each part; few uploads are refused
	}), nil
}

// newLogger says nothing unless asked to: the SDK warns of every answer that was
// cut short.
func newLogger(p Parameters) logging.Logger {
	if p.LogMode == 0 {
		return logging.Nop{}
	}
	return discreetLogger{logging.NewStandardLogger(os.Stderr)}
}

// discreetLogger leaves session tokens out of the headers that the SDK logs. Keys
// are not in those.
type discreetLogger struct{ inner logging.Logger }

var tokenHeader = regexp.MustCompile(`(?im)^(x-amz-security-token:).*$`)

// Logf implements logging.Logger.
func (l discreetLogger) Logf(class logging.Classification, format string, v ...any) {
	l.inner.Logf(class, "%s", tokenHeader.ReplaceAllString(fmt.Sprintf(format, v...), "$1 ***"))
}

// endpointURL is the store's address, "" for AWS itself.
func endpointURL(p Parameters) string {
	if p.RegionEndpoint == "" || strings.Contains(p.RegionEndpoint, "://") {
		return p.RegionEndpoint
	}
	if p.Insecure {
		return "http://" + p.RegionEndpoint
	}
	return "https://" + p.RegionEndpoint
}

// isPrivate reports whether nobody can change a request on its way: it goes over
// TLS, or does not leave the machine.
func isPrivate(client *s3.Client) bool {
	o := client.Options()
	if o.BaseEndpoint == nil {
		return !o.EndpointOptions.DisableHTTPS
	}
	u, err := url.Parse(*o.BaseEndpoint)
	if err != nil {
		return false
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || ip.IsLoopback() || u.Hostname() == "localhost"
}

// unsignedPayload leaves the hash of the content out of a signature, which is
// half of what the upload of a part costs this machine, and as much for a store
// on the same one. It is for private connections.
func unsignedPayload(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

func assumeRole(cfg aws.Config, p Parameters) aws.CredentialsProvider {
	return stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), p.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "registryfs"
		if p.RoleSession != "" {
			o.RoleSessionName = p.RoleSession
		}
		if p.ExternalID != "" {
			o.ExternalID = aws.String(p.ExternalID)
		}
	})
}

// newTransport keeps a connection for everyone who may make requests at once.
// HTTP/2 would put them all into one.
func newTransport(p Parameters) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns = 0
		t.MaxIdleConnsPerHost = int(min(p.MaxThreads, 1<<16))
		t.MaxConnsPerHost = 0
		t.IdleConnTimeout = 90 * time.Second
		t.ReadBufferSize = ioBuffer
		t.WriteBufferSize = ioBuffer
		t.DisableCompression = true
		t.ForceAttemptHTTP2 = false
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		t.TLSClientConfig.InsecureSkipVerify = p.SkipVerify
	})
}
