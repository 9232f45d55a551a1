package drivers

import (
	"cmp"
	"strings"
)

// ValidPath reports whether path follows the path rules: one or more
// components of [A-Za-z0-9._-]+, each after a slash, none of them "." or "..".
// The root "/" is not among them; the methods that take it say so.
func ValidPath(path string) bool {
	if path == "" {
		return false
	}
	for path != "" {
		if path[0] != '/' {
			return false
		}
		name := path[1:]
		if i := strings.IndexByte(name, '/'); i >= 0 {
			name = name[:i]
		}
		if !validName(name) {
			return false
		}
		path = path[1+len(name):]
	}
	return true
}

// ValidChild reports whether the last component of path follows the path
// rules, for paths whose parent is known to.
func ValidChild(path string) bool {
	return validName(path[strings.LastIndexByte(path, '/')+1:])
}

func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return name != "" && name != "." && name != ".."
}

// ComparePaths orders paths as Walk meets them: a directory before its
// content, and siblings by name. It differs from comparing strings where a
// sibling's name goes on with '-' or '.', which are smaller than the slash.
func ComparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		if a[i] == '/' {
			return -1
		}
		if b[i] == '/' {
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}

// isBelow reports whether path lies in the directory dir, at any depth.
func isBelow(path, dir string) bool {
	if dir == "/" {
		return len(path) > 1
	}
	return len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}
