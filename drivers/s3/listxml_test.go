package s3

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const plainListing = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>bucket</Name><Prefix/><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>
  <IsTruncated>true</IsTruncated>
  <NextContinuationToken>a&amp;b==</NextContinuationToken>
  <EncodingType>url</EncodingType>
  <Contents><Key>a/b&lt;c</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;e1&#34;</ETag>
    <Owner><ID>x</ID><DisplayName>y &#169;</DisplayName></Owner><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>
    <Size>71</Size><StorageClass>STANDARD</StorageClass></Contents>
  <Contents><Key>a/d</Key><LastModified>2026-01-02T03:04:05Z</LastModified><ETag>"e2"</ETag><Size>0</Size><Owner/></Contents>
  <CommonPrefixes><Prefix>a/e/</Prefix></CommonPrefixes>
  <CommonPrefixes>
    <Prefix>a/f/</Prefix>
  </CommonPrefixes>
</ListBucketResult>
`

func TestParseListing(t *testing.T) {
	page, err := parseListing([]byte(plainListing))
	if err != nil {
		t.Fatal(err)
	}
	if !aws.ToBool(page.IsTruncated) || aws.ToString(page.NextContinuationToken) != "a&b==" || page.EncodingType != "url" {
		t.Errorf("parseListing = %+v", page)
	}
	if len(page.Contents) != 2 || len(page.CommonPrefixes) != 2 || *page.CommonPrefixes[1].Prefix != "a/f/" {
		t.Fatalf("parseListing = %+v", page)
	}
	o := page.Contents[0]
	if *o.Key != "a/b<c" || *o.ETag != `"e1"` || *o.Size != 71 || o.LastModified.Nanosecond() != 678e6 {
		t.Errorf("the first object is %q, %s, %d, %v", *o.Key, *o.ETag, *o.Size, o.LastModified)
	}
}

// TestParseListingRefuses what the SDK has to look at, not to guess.
func TestParseListingRefuses(t *testing.T) {
	change := func(from, to string) string { return strings.Replace(plainListing, from, to, 1) }
	for name, doc := range map[string]string{
		"nothing":          "",
		"cut short":        plainListing[:len(plainListing)/2],
		"without its end":  strings.TrimSuffix(plainListing, "</ListBucketResult>\n"),
		"two documents":    plainListing + plainListing,
		"an error":         "<Error><Code>SlowDown</Code></Error>",
		"a comment":        change("a/d", "a<!-- x -->/d"),
		"CDATA":            change("a/d", "<![CDATA[a/d]]>"),
		"another entity":   change("a/d", "a&#x2F;d"),
		"a broken entity":  change("a/d", "a&d"),
		"an element":       change("a/d", "a<x/>d"),
		"a broken size":    change("71", "many"),
		"a broken time":    change("2026-01-02T03:04:05Z", "today"),
		"another end":      change("</Contents>", "</Content>"),
		"no IsTruncated":   change("<IsTruncated>true</IsTruncated>", ""),
		"an odd attribute": change(`xmlns="`, `xmlns=">`),
	} {
		if page, err := parseListing([]byte(doc)); err == nil {
			t.Errorf("%s = %+v, want an error", name, page)
		}
	}
}

// FuzzParseListing: what it understands it understands as XML.
func FuzzParseListing(f *testing.F) {
	f.Add(plainListing)
	f.Add("<ListBucketResult><IsTruncated>false</IsTruncated><a><b/><c>x</c>y</a><CommonPrefixes/></ListBucketResult>")
	f.Fuzz(func(t *testing.T, doc string) {
		got, err := parseListing([]byte(doc))
		if err != nil {
			return
		}
		var want fakePage
		if err := xml.Unmarshal([]byte(doc), &want); err != nil {
			return // the SDK would have refused it
		}
		gotKeys, wantKeys := []string{}, []string{}
		for _, o := range got.Contents {
			gotKeys = append(gotKeys, aws.ToString(o.Key))
		}
		for _, o := range want.Contents {
			wantKeys = append(wantKeys, strings.ReplaceAll(o.Key, "\r\n", "\n"))
		}
		if !slices.Equal(gotKeys, wantKeys) && !strings.Contains(doc, "\r") && !strings.Contains(doc, ":") && strings.Count(doc, "<Key>") == len(wantKeys) {
			t.Errorf("parseListing(%q) has the keys %q, want %q", doc, gotKeys, wantKeys)
		}
	})
}
