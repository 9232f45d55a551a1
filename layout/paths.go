package layout

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// The registry's tree inside the driver. It is not configurable.
const (
	rootPath         = "/docker/registry/v2"
	blobsPath        = rootPath + "/blobs"
	repositoriesPath = rootPath + "/repositories"

	// schedulerStatePath exists in the store of a pull-through cache only.
	schedulerStatePath = "/scheduler-state.json"
)

// algorithmPath is alg as a part of a path: "tarsum+v1" is two directories.
func algorithmPath(alg digest.Algorithm) string {
	return strings.NewReplacer("+", "/", ".", "/", ";", "/").Replace(string(alg))
}

func blobAlgorithmPath(alg string) string    { return blobsPath + "/" + alg }
func blobShardPath(alg, shard string) string { return blobAlgorithmPath(alg) + "/" + shard }

func blobDataPath(d digest.Digest) string {
	hex := d.Encoded()
	return blobShardPath(algorithmPath(d.Algorithm()), hex[:2]) + "/" + hex + "/data"
}

// repositoryPath is the directory of a repository, or of all for "".
func repositoryPath(name RepositoryName) string {
	if name == "" {
		return repositoriesPath
	}
	return repositoriesPath + "/" + string(name)
}

func manifestsPath(name RepositoryName) string { return repositoryPath(name) + "/_manifests" }
func revisionsPath(name RepositoryName) string { return manifestsPath(name) + "/revisions" }
func tagsPath(name RepositoryName) string      { return manifestsPath(name) + "/tags" }
func layersPath(name RepositoryName) string    { return repositoryPath(name) + "/_layers" }
func uploadsPath(name RepositoryName) string   { return repositoryPath(name) + "/_uploads" }

func revisionPath(name RepositoryName, d digest.Digest) string {
	return revisionsPath(name) + "/" + digestPath(d)
}

func revisionLinkPath(name RepositoryName, d digest.Digest) string {
	return revisionPath(name, d) + "/link"
}

func tagPath(name RepositoryName, tag TagName) string { return tagsPath(name) + "/" + string(tag) }

func tagCurrentLinkPath(name RepositoryName, tag TagName) string {
	return tagPath(name, tag) + "/current/link"
}

func tagIndexPath(name RepositoryName, tag TagName) string { return tagPath(name, tag) + "/index" }

func tagIndexLinkPath(name RepositoryName, tag TagName, d digest.Digest) string {
	return tagIndexPath(name, tag) + "/" + digestPath(d) + "/link"
}

func layerPath(name RepositoryName, d digest.Digest) string {
	return layersPath(name) + "/" + digestPath(d)
}

func layerLinkPath(name RepositoryName, d digest.Digest) string { return layerPath(name, d) + "/link" }

func uploadDataPath(name RepositoryName, id string) string {
	return uploadsPath(name) + "/" + id + "/data"
}

func uploadStartedAtPath(name RepositoryName, id string) string {
	return uploadsPath(name) + "/" + id + "/startedat"
}

func digestPath(d digest.Digest) string {
	return algorithmPath(d.Algorithm()) + "/" + d.Encoded()
}

// baseName is the last component of a path.
func baseName(path string) string {
	return path[strings.LastIndexByte(path, '/')+1:]
}

// digestFromPath is the digest that a path below blobs/ or a link below an
// algorithm's directory is named after: .../<alg>[/<shard>]/<hex>/<file>. It is
// "" if the path is not of that form. The registry does not look at the shard
// either.
func digestFromPath(path string) digest.Digest {
	parts := strings.Split(path, "/")
	if len(parts) < 3 {
		return ""
	}
	parts = parts[:len(parts)-1] // the file
	hex := parts[len(parts)-1]
	alg := parts[len(parts)-2]
	if len(alg) == 2 && len(parts) > 2 {
		alg = parts[len(parts)-3]
	}
	d, err := ParseHex(digest.Algorithm(alg), hex)
	if err != nil {
		return ""
	}
	return d
}

// blobFromPath is the digest of which path is the canonical place of the data,
// or "".
func blobFromPath(path string) digest.Digest {
	if !strings.HasPrefix(path, blobsPath+"/") {
		return ""
	}
	if d := digestFromPath(path); d != "" && blobDataPath(d) == path {
		return d
	}
	return ""
}

// validComponent reports whether name can be one component of a driver's path.
func validComponent(name string) bool {
	return !strings.Contains(name, "/") && drivers.ValidPath("/"+name)
}
