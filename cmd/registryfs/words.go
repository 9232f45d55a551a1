package main

import "strings"

// kernelWords are handed on: the kernel keeps them.
var kernelWords = map[string]bool{"default_permissions": true, "noexec": true}

// mountWords tell mount(8) and systemd what to do, or ask for what every mount
// of ours does anyway: there are no devices or set-id files in it, a write is
// durable when it returns, and no access times are kept.
var mountWords = map[string]bool{
	"defaults": true, "auto": true, "noauto": true, "nofail": true, "_netdev": true,
	"user": true, "users": true, "nouser": true, "owner": true, "group": true,
	"suid": true, "nosuid": true, "dev": true, "nodev": true, "exec": true,
	"sync": true, "async": true, "dirsync": true,
	"atime": true, "noatime": true, "diratime": true, "nodiratime": true,
	"relatime": true, "norelatime": true, "strictatime": true, "nostrictatime": true,
	"lazytime": true, "nolazytime": true, "iversion": true, "noiversion": true,
	"mand": true, "nomand": true, "silent": true, "loud": true,
}

func isForMount(word string) bool {
	name, _, _ := strings.Cut(word, "=")
	return mountWords[name] || name == "comment" ||
		strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "X-")
}

// splitWords splits the list of an -o at its commas. As in libfuse, a backslash
// takes the meaning from the comma or backslash after it.
func splitWords(list string) []string {
	var words []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
		}
		word.Reset()
	}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && i+1 < len(list):
			i++
			word.WriteByte(list[i])
		case c == ',':
			flush()
		default:
			word.WriteByte(c)
		}
	}
	flush()
	return words
}
