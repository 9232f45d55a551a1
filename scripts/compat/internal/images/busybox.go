package images

import "strings"

// applets are the commands that the busybox image links to its one program.
const applets = "ash base64 basename cat chmod cp cut date dd df du echo env false find grep gzip head hostname id " +
	"ls md5sum mkdir mktemp mv ping ps pwd rm rmdir sed sh sha256sum sleep sort stat tail tar tee test touch tr " +
	"true uname uniq vi wc wget which xargs"

// BusyboxLayer lays a static busybox program out as a root file system.
func BusyboxLayer(program []byte) (Blob, error) {
	files := []File{
		{Name: "bin/", Mode: 0o755},
		{Name: "bin/busybox", Mode: 0o755, Data: program},
		{Name: "etc/", Mode: 0o755},
		{Name: "etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnobody:x:65534:\n")},
		{Name: "etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")},
		{Name: "root/", Mode: 0o700},
		{Name: "tmp/", Mode: 0o1777},
	}
	for applet := range strings.FieldsSeq(applets) {
		files = append(files, File{Name: "bin/" + applet, Mode: 0o777, Link: "busybox"})
	}
	return NewLayer(files...)
}
