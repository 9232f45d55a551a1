// Package check looks for what is wrong in a registry's store, and repairs what
// can be repaired without guessing.
//
// Run lists all blobs, goes through the links of all repositories and reads every
// manifest once for each repository that has it. With Options.Data it then reads
// every blob and compares the bytes with the digest, past all caches. It goes on
// after every error: what could not be looked at is a finding too.
//
// # Findings
//
// A fault is what a registry does not serve as it was pushed. A note is odd and
// does no harm: a file that nobody knows, a leftover of a crash, an index with
// children that the repository does not have. Lost is what no tag or no link leads
// to. A store may change meanwhile: before something counts as absent or damaged it
// is looked at once more, by itself, and not before a registry can have ended what it
// had begun.
//
// These are no findings:
//
//   - links named by a sha512 digest that hold a sha256 one: so a registry keeps a
//     blob that was pushed by its sha512
//   - layers that clients get from elsewhere, without a link or not in the store
//   - what is not there in a pull-through cache, which fetches it when it is asked for
//   - the signatures that registries up to 2.4 kept beside manifests of schema 1
//   - uploads in progress that say when they began, and whatever is younger than
//     Options.MinAge of uploads, leftovers, repositories without manifests, and of
//     what is lost
//   - empty directories, symbolic links that lead nowhere, and names with other
//     characters than a registry's driver allows: no driver shows them
//
// # Repair
//
// Links that are named by a sha256 digest are written anew from their name; the
// current link of a tag from the tag's index, if that holds exactly one digest and
// what is left of the link is the beginning of it. Layers of manifests are linked
// where only the link is missing. Blobs are put back from what a crashed write or
// an upload has left, if that has the digest. Leftovers are removed, but for what may
// be the only copy of a blob: that is looked into first. Nothing else is touched, and
// each thing is looked at once more before it is changed. What a blob names that was
// put back is for the next run.
//
// # Cost
//
// On a remote store that has ETags no link costs a request of its own: a listing of
// a thousand files proves what is in them. Each manifest is one request for each
// repository that has it, unless it was read shortly before.
//
// A blob takes 48 bytes of memory, up to 256 MiB: that is 5.5 million blobs. The
// list of further ones lies in a temporary file. A link takes about 100 bytes while
// its repository is looked at; these are Options.Parallel at once. Of the findings
// the first 100,000 are recorded, and repaired; all are reported.
//
// # State
//
// What was verified and when, and what was found, lies in the store's state below
// check/: verified/sha256/<xx> has a line for each blob, findings/<i>-of-<n> one for
// each finding. The file data-<i>-of-<n> is there while reading all blobs has begun
// and not ended: the next run goes on from there.
package check
