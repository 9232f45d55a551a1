// Package du tells how much room the repositories and tags of a registry take.
//
// Each digest counts once: in the sum of a repository, of a tag, and of all. What
// is asked is links and the sizes that listings tell; manifests are read only if
// the tags are wanted, each once a repository. Nothing is changed.
//
// A link or tag that leads nowhere takes no room and is no error; command check
// finds those. What cannot be read, so that a sum lacks something, is a problem.
package du
