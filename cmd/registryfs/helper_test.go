package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseHelper(t *testing.T) {
	tests := []struct {
		name string
		args string
		want helperCall
	}{
		{"mount(8)", "src mnt -o rw,uid=5", helperCall{options: []string{"-o", "rw,uid=5"}, positional: []string{"src", "mnt"}}},
		{"all letters", "src mnt -s -f -n -v -o a -o b -t fuse.registryfs",
			helperCall{options: []string{"-o", "a", "-o", "b"}, positional: []string{"src", "mnt"}, fake: true}},
		{"options first", "-o ro src mnt", helperCall{options: []string{"-o", "ro"}, positional: []string{"src", "mnt"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseHelper(strings.Fields(test.args))
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("parseHelper(%q) = %+v, %v, want %+v", test.args, got, err, test.want)
			}
		})
	}
}

func TestParseHelperErrors(t *testing.T) {
	for args, want := range map[string]string{
		"src":                 "needs a SOURCE and a DIR, not 1 arguments",
		"src mnt more":        "not 3 arguments",
		"src mnt -o":          "option -o needs a value",
		"src mnt -N /ns":      "nsenter --mount=/ns",
		"src mnt --uid=5":     "no option --uid=5: all others go into -o",
		"src mnt -foreground": "no option -foreground",
	} {
		if _, err := parseHelper(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseHelper(%q) = %v, want %q", args, err, want)
		}
	}
}
