package s3

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/inmemory"
)

func TestCopyFrom(t *testing.T) {
	s := newFakeStore(t)
	from := s.wrapped(func(p *Parameters) { p.RootDirectory = "from here" })
	s.put("from here/a/file", "content")
	for _, tt := range []struct {
		name   string
		change func(*Parameters)
		want   error
	}{
		{"same user", nil, nil},
		{"in parts", func(p *Parameters) { p.CopyThreshold = 0 }, nil},
		{"another user", func(p *Parameters) { p.AccessKey = "other" }, errors.ErrUnsupported},
		{"another address", func(p *Parameters) { p.RegionEndpoint = strings.Replace(s.url, "127.0.0.1", "localhost", 1) }, errors.ErrUnsupported},
		{"another region", func(p *Parameters) { p.Region = "eu-central-1" }, errors.ErrUnsupported},
		{"nobody", func(p *Parameters) { p.Anonymous, p.AccessKey, p.SecretKey = true, "", "" }, errors.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := s.wrapped(tt.change)
			err := drivers.CopyFrom(t.Context(), to, drivers.CopySource(from, "/a/file"), "/b")
			if !errors.Is(err, tt.want) {
				t.Fatalf("CopyFrom = %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				return
			}
			if got, err := to.GetContent(t.Context(), "/b"); err != nil || string(got) != "content" {
				t.Errorf("GetContent = %q, %v", got, err)
			}
		})
	}
	if err := drivers.CopyFrom(t.Context(), from, drivers.CopySource(inmemory.New(), "/a"), "/b"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CopyFrom of a driver of another kind = %v", err)
	}
}

// TestCopyFromWrong lets the store make other copies than it was asked for.
func TestCopyFromWrong(t *testing.T) {
	for content, want := range map[string]string{"short": "size", "Content": "MD5"} {
		s := newFakeStore(t)
		d := s.wrapped(nil)
		s.put("root/a", "content")
		s.fault = func(w http.ResponseWriter, _ *http.Request, kind string) bool {
			if kind != "Copy" {
				return false
			}
			s.put("root/b", content)
			fmt.Fprint(w, `<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>`)
			return true
		}
		err := drivers.CopyFrom(t.Context(), d, drivers.CopySource(d, "/a"), "/b")
		if err == nil || !strings.Contains(err.Error(), "another "+want) {
			t.Errorf("CopyFrom = %v, want one of another %s", err, want)
		}
		if keys := s.keys(); len(keys) != 1 {
			t.Errorf("the bucket has %q, want the source only", keys)
		}
	}
}

func TestProofDiffers(t *testing.T) {
	of := func(size int64, etag string, isMD5 bool, sums map[string]string) *proof {
		return &proof{fileInfo{size: size, etag: etag}, isMD5, sums}
	}
	crc := func(sum string) map[string]string { return map[string]string{"CRC32": sum} }
	for _, tt := range []struct {
		name string
		a, b *proof
		want string
	}{
		{"same", of(1, "x", true, crc("s")), of(1, "x", true, crc("s")), ""},
		{"size", of(1, "x", true, nil), of(2, "x", true, nil), "size"},
		{"etag", of(1, "x", true, nil), of(1, "y", true, nil), "MD5"},
		{"etag of parts", of(1, "x", true, nil), of(1, "y-2", false, nil), ""},
		{"sum", of(1, "x", false, crc("s")), of(1, "y", false, crc("t")), "CRC32"},
		{"sums of other kinds", of(1, "x", false, crc("s")), of(1, "y", false, map[string]string{"SHA256": "t"}), ""},
	} {
		if got := tt.a.differs(tt.b); got != tt.want {
			t.Errorf("%s: differs = %q, want %q", tt.name, got, tt.want)
		}
	}
}
