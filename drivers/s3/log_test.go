package s3

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogWithoutSecrets: a log is sent to others, who then could use the bucket.
func TestLogWithoutSecrets(t *testing.T) {
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>role</AccessKeyId><SecretAccessKey>rolesecret</SecretAccessKey>`+
			`<SessionToken>roletoken</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	}))
	t.Cleanup(sts.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	for level := range logModes {
		for _, role := range []string{"", "arn:aws:iam::123456789012:role/reader"} {
			s := newFakeStore(t)
			s.putSome()
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			stderr := os.Stderr
			os.Stderr = log
			d := s.driver(func(p *Parameters) {
				p.AccessKey, p.SecretKey, p.SessionToken = "mykey", "mysecret", "mytoken"
				p.RoleARN, p.LogMode = role, logModes[level]
			})
			os.Stderr = stderr
			if _, err := d.GetContent(t.Context(), "/dir/file"); err != nil {
				t.Fatal(err)
			}
			if got := s.header("GET").Get("X-Amz-Security-Token"); got != "mytoken" && got != "roletoken" {
				t.Errorf("the session token of the request is %q", got)
			}
			text, err := os.ReadFile(log.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"mysecret", "mytoken", "rolesecret", "roletoken"} {
				if strings.Contains(string(text), secret) {
					t.Errorf("the log of level %s has the %s in it:\n%s", level, secret, text)
				}
			}
			if level != "debugwitheventstreambody" && !strings.Contains(string(text), "GET /bucket/root/dir/file") {
				t.Errorf("the log of level %s does not show the request:\n%s", level, text)
			}
		}
	}
}
