package main

import (
	"log/slog"
	"strings"
	"testing"
)

func TestEffective(t *testing.T) {
	o := &options{readOnly: true, umask: 0o22, stateDir: "/state"}
	m := mounting{options: o, log: slog.New(slog.DiscardHandler)}
	s := store{source: "/etc/config.yml", registryConfig: registryConfig{
		driver: "s3",
		params: map[string]any{
			"accesskey": "AKIA-s3cr3t-a", "keyid": "arn:aws:kms:1", "secretkey": "s3cr3t-b", "sessiontoken": "s3cr3t-c", "bucket": "images",
			"regionendpoint": "https://user:s3cr3t-d@minio:9000/x",
			"nested":         map[string]any{"password": "s3cr3t-e", "list": []any{map[string]any{"AccountKey": 5}}},
			"encrypt":        true,
		},
		remote: "https://user:s3cr3t-f@example.com/",
	}, network: &network{memory: o.budget()}}
	text, err := m.effective("/mnt", s)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "s3cr3t") || strings.Contains(text, "AccountKey: 5") {
		t.Errorf("effective shows a secret:\n%s", text)
	}
	for _, want := range []string{"source: /etc/config.yml\n", "mountpoint: /mnt\n", "read-only: true\n", `umask: "022"`,
		"references: source\n", "index-children: all\n", "bucket: images\n", "encrypt: true\n", "accesskey: AKIA***\n", "keyid: arn:aws:kms:1\n", "memory: 268435456\n", "secretkey: '***'\n", "minio:9000/x", "example.com/"} {
		if !strings.Contains(text, want) {
			t.Errorf("effective lacks %q:\n%s", want, text)
		}
	}
}
