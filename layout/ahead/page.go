package ahead

import (
	"encoding/hex"
	"math"
	"sort"
	"strings"
	"time"

	"registryfs/drivers"
)

// page is one answer to a flat listing, packed: walks hold 100,000 files and
// more. It never changes.
type page struct {
	asked  time.Time // when the request began: what was written since may be missing
	prefix string    // of all paths
	rest   string    // the paths without it, one after the other
	ends   []uint32  // in rest
	sizes  []int64
	times  []int64 // Unix nanoseconds, or noTime
	etags  [][md5Size]byte
	odd    map[int]string // ETags that are no MD5
}

const (
	md5Size = 16
	noTime  = math.MinInt64
)

// pack makes a page of files in the order of their paths.
func pack(asked time.Time, files []drivers.FileInfo) *page {
	p := &page{
		asked: asked,
		ends:  make([]uint32, len(files)),
		sizes: make([]int64, len(files)),
		times: make([]int64, len(files)),
		etags: make([][md5Size]byte, len(files)),
	}
	if len(files) == 0 {
		return p
	}
	p.prefix = commonPrefix(files[0].Path(), files[len(files)-1].Path())
	var rest strings.Builder
	for i, f := range files {
		rest.WriteString(f.Path()[len(p.prefix):])
		p.ends[i] = uint32(rest.Len())
		p.sizes[i] = f.Size()
		p.times[i] = noTime
		if t := f.ModTime(); !t.IsZero() {
			p.times[i] = t.UnixNano()
		}
		etag := drivers.ETag(f)
		if n, err := hex.Decode(p.etags[i][:], clip(etag)); n == md5Size && err == nil && strings.ToLower(etag) == etag {
			continue
		}
		p.etags[i] = [md5Size]byte{}
		if etag != "" {
			if p.odd == nil {
				p.odd = map[int]string{}
			}
			p.odd[i] = etag
		}
	}
	p.rest = rest.String()
	return p
}

// clip is etag if it has the length of an MD5 in hex.
func clip(etag string) []byte {
	if len(etag) != 2*md5Size {
		return nil
	}
	return []byte(etag)
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

func (p *page) len() int { return len(p.ends) }

// tail is the path of file i without the prefix.
func (p *page) tail(i int) string {
	start := uint32(0)
	if i > 0 {
		start = p.ends[i-1]
	}
	return p.rest[start:p.ends[i]]
}

func (p *page) path(i int) string { return p.prefix + p.tail(i) }

// search is the first file whose path is not less than key.
func (p *page) search(key string) int {
	if !strings.HasPrefix(key, p.prefix) {
		if key <= p.prefix {
			return 0
		}
		return p.len()
	}
	key = key[len(p.prefix):]
	return sort.Search(p.len(), func(i int) bool { return p.tail(i) >= key })
}

func (p *page) info(i int) fileInfo { return fileInfo{page: p, i: i} }

func (p *page) etag(i int) string {
	if s, ok := p.odd[i]; ok {
		return s
	}
	if p.etags[i] == [md5Size]byte{} {
		return ""
	}
	return hex.EncodeToString(p.etags[i][:])
}

// fileInfo is a file of a page.
type fileInfo struct {
	page *page
	i    int
}

// Path implements drivers.FileInfo.
func (f fileInfo) Path() string { return f.page.path(f.i) }

// Size implements drivers.FileInfo.
func (f fileInfo) Size() int64 { return f.page.sizes[f.i] }

// ModTime implements drivers.FileInfo.
func (f fileInfo) ModTime() time.Time {
	if t := f.page.times[f.i]; t != noTime {
		return time.Unix(0, t).UTC()
	}
	return time.Time{}
}

// IsDir implements drivers.FileInfo.
func (f fileInfo) IsDir() bool { return false }

// Asked is when the store was asked for what describes a file; the zero time if
// that was for this file alone.
func Asked(info drivers.FileInfo) time.Time {
	if f, ok := info.(fileInfo); ok {
		return f.page.asked
	}
	return time.Time{}
}

// ETag answers drivers.ETag.
func (f fileInfo) ETag() string { return f.page.etag(f.i) }

func dirInfo(path string) drivers.FileInfo {
	return drivers.FileInfoFields{FullPath: path, Dir: true}
}

// bounds are the keys between which all files below dir are, and no others.
func bounds(dir string) (low, high string) {
	if dir == "/" {
		return "/", "0"
	}
	return dir + "/", dir + "0" // the byte after the slash
}

// isIn reports whether path is dir or below it.
func isIn(path, dir string) bool {
	return dir == "/" || path == dir || len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
