// Package gc removes from a store what nobody needs: mark and sweep.
//
// # What is needed
//
// Roots are the tags and, unless Options.Untagged, all revisions. A manifest needs
// its config, its layers and its children, each looked at once in each repository,
// and what refers to it in the same repository; it does not need what it refers to.
// With Untagged a tag that was made for a manifest (sha256-<hex> of an index of its
// referrers, or cosign's sha256-<hex>.sig) is no root but lives as long as that, or
// if that was never in the repository. What a tag has pointed to within MinAge is a
// root too: somebody may be pulling it; so is all that a tag without a link has
// pointed to. A child that is not in the store is no fault.
//
// A blob is unreferenced if no repository needs it. Only then do its links go. Blobs
// of other algorithms than sha256, links that are damaged or hold another digest
// than their name, and what links in directories unknown here are named after, are
// kept.
//
// # What cannot be seen
//
// A manifest that cannot be read may need whatever its repository links: all of that
// is kept. If a link is missing there too, be it that of a layer or of a child, if a directory or the blobs could not be
// listed, or a link not be read, nothing is swept. Absence is only what the store
// calls absent.
//
// # A stopped registry
//
// With Now all names that lead to a blob go first and the blobs then, so that an end
// at any point leaves content without a name and no name without content.
//
// # A live registry
//
// A push goes in the order layers, layer links, manifest, revision link, tag. For
// each layer the client asks the registry whether it is there, which looks for the
// link in that repository; if it is, nothing is written. For what a client uploads
// the registry looks whether the blob is stored, and if so writes a link alone. It
// takes a manifest only if its layers are linked there. So nothing in the store tells
// that a push relies on a blob, but the link through which it found it.
//
// A first run therefore removes the links of what is unreferenced, all older than
// MinAge, and writes down before which they are. From then on every push that needs
// such a blob must make a new link. A push that had found the old one has ended, or
// has been refused, by the time MinAge has passed. A later run looks at all there is
// once more: what a manifest leads to by then gets its links back where it needs
// them; what has any link is noted anew; the rest has no manifest that leads to it,
// no push under way that has found it, and no name by which one could. It is swept,
// each blob within seconds of a third look at all links.
//
// What was pushed while links were removed is looked at in the end of the same run,
// which puts back what is missed.
//
// A tag that was made for a manifest is removed with what it points to, and the
// manifest not before it: else the tag would be one of what was never here. A run
// without Untagged takes manifests for roots that one with it has only unlinked.
//
// # Uploads
//
// An upload in progress of which the newest file, or part in a bucket, is older than
// UploadAge is removed, whatever else the run can do. So is what any other write has left that never ended,
// but for that of an upload which goes on.
//
// On a disk empty directories are removed too, those that have not changed within
// MinAge: a registry that is just about to put something into one makes it again
// the next time it is asked to.
//
// # What stays unsafe
//
//   - An upload of a swept blob's content may find the blob just before it is deleted
//     and link it just after the last look. The run looks for that in the end, names
//     each loss in Report.Lost, and the push has to be made again, after the tag was
//     deleted: crane pushes nothing to one that has the manifest. The same goes for
//     a push that takes longer than MinAge.
//   - A push that is told that a layer is there, just before its link is removed, is
//     refused by the registry as MANIFEST_BLOB_UNKNOWN, and works the next time.
//   - A registry with a descriptor cache goes on believing in links and blobs that
//     are gone: it has to be restarted, or its cache flushed, between the run that
//     notes and the one that sweeps. Only the caller knows: Options.OnlyNote.
//   - Files that are copied into the tree with old times, as rsync -a does, look like
//     old ones. With Now nothing at all may write.
//   - A repository behind a symbolic link that leads nowhere for the moment is not
//     seen, as the registry does not see it.
//
// # State
//
// In registryfs/gc of the store lie lock.json, which ends by itself when its owner
// has died, and notes/<hex digit>.json: blobs, since when nothing leads to them, and
// the links that were removed.
package gc
