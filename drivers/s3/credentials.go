package s3

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// keyring is the credentials of all requests, which Reload replaces. It marks
// the errors of a provider, which the SDK does not.
type keyring struct {
	from atomic.Pointer[aws.CredentialsProvider]
}

// Retrieve implements aws.CredentialsProvider.
func (k *keyring) Retrieve(ctx context.Context) (aws.Credentials, error) {
	creds, err := (*k.from.Load()).Retrieve(ctx)
	if err != nil {
		err = &credentialsError{err}
	}
	return creds, err
}

// Reload implements drivers.Reloader: the keys, the profile and the role of
// params, the environment and the files in ~/.aws are looked at again. All else
// in params stays as it is.
func (d *Driver) Reload(ctx context.Context, params map[string]any) error {
	p, err := parse(params)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(ctx, p.withDefaults())
	if err != nil {
		return err
	}
	if p.Anonymous != d.Anonymous {
		return fmt.Errorf("anonymous is %t and was %t: to change it, mount again", p.Anonymous, d.Anonymous)
	}
	if p.Anonymous {
		return nil
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return &credentialsError{err}
	}
	d.keys.from.Store(&cfg.Credentials)
	return nil
}
