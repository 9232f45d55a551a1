package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"registryfs/layout"
)

// registryConfig is what a registry's configuration says about its storage.
type registryConfig struct {
	driver string
	params map[string]any

	allowDelete bool                 // storage.delete.enabled
	readOnly    bool                 // storage.maintenance.readonly.enabled
	uploadAge   time.Duration        // storage.maintenance.uploadpurging.age, or 0
	remote      string               // proxy.remoteurl: the storage is a cache
	blobCache   string               // storage.cache.blobdescriptor: inmemory or redis, or ""
	children    layout.IndexChildren // validation.manifests.indexes
	urls        layout.URLRules      // validation.manifests.urls
}

// storageOptions are the keys of storage that are no driver. Of those redirect and
// tag are the server's own business.
var storageOptions = []string{"maintenance", "cache", "delete", "redirect", "tag"}

// parseConfig reads the text of a config.yml as the registry does, where the
// registry panics with an error.
func parseConfig(text []byte, environ []string) (registryConfig, error) {
	parsed, err := parseYAML(text)
	if err != nil {
		return registryConfig{}, err
	}
	tree, ok := parsed.(map[string]any)
	if version := fmt.Sprint(tree["version"]); !ok || version != "0.1" {
		return registryConfig{}, errors.New("a registry's configuration says version: 0.1, this file does not")
	}
	if err := override(tree, environ); err != nil {
		return registryConfig{}, err
	}
	c, root := registryConfig{}, node{value: tree}
	if err := c.readStorage(root, environ); err != nil {
		return registryConfig{}, err
	}
	if err := c.readProxy(root); err != nil {
		return registryConfig{}, err
	}
	return c, c.readValidation(root)
}

func (c *registryConfig) readStorage(root node, environ []string) error {
	storage, err := root.child("storage")
	if err != nil {
		return err
	}
	fields, err := storage.fields()
	if err != nil {
		return err
	}
	var names []string
	for name := range fields {
		if !slices.Contains(storageOptions, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	switch len(names) {
	case 0:
		return errors.New("no storage configuration provided: storage must name a driver, such as filesystem")
	case 1:
		c.driver = names[0]
	default:
		return severalDrivers(names, environ)
	}
	params, err := storage.child(c.driver)
	if err != nil {
		return err
	}
	if c.params, err = params.fields(); err != nil {
		return err
	}
	if c.params == nil {
		c.params = map[string]any{}
	}
	if c.blobCache, err = readBlobCache(storage); err != nil {
		return err
	}
	if c.allowDelete, err = storage.flag("delete", "enabled"); err != nil {
		return err
	}
	if c.readOnly, err = storage.flag("maintenance", "readonly", "enabled"); err != nil {
		return err
	}
	c.uploadAge, err = readUploadAge(storage)
	return err
}

func readUploadAge(storage node) (time.Duration, error) {
	age, err := storage.at("maintenance", "uploadpurging", "age")
	if err != nil {
		return 0, err
	}
	text, err := age.text()
	if err != nil || text == "" {
		return 0, err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, age.wrong("a time", "use one like 168h")
	}
	return d, nil
}

// readBlobCache goes by the old name of the key too. Of another word than these the
// registry says that it has no cache.
func readBlobCache(storage node) (string, error) {
	for _, key := range []string{"blobdescriptor", "layerinfo"} {
		kind, err := storage.at("cache", key)
		if err != nil {
			return "", err
		}
		text, err := kind.text()
		if err != nil || text == "inmemory" || text == "redis" {
			return text, err
		}
	}
	return "", nil
}

// severalDrivers also says which variables are to blame: a Kubernetes service
// named registry-storage is enough to set some.
func severalDrivers(names, environ []string) error {
	var culprits []string
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		key, _, _ := strings.Cut(variable, "=")
		for _, name := range names {
			if prefix := "REGISTRY_STORAGE_" + strings.ToUpper(name); key == prefix || strings.HasPrefix(key, prefix+"_") {
				culprits = append(culprits, key)
			}
		}
	}
	remedy := "keep one of them"
	if len(culprits) > 0 {
		remedy = "unset " + strings.Join(culprits, ", ") + ", or set REGISTRY_STORAGE to the one driver"
	}
	return fmt.Errorf("storage must name exactly one driver, not %s: %s", strings.Join(names, ", "), remedy)
}

func (c *registryConfig) readProxy(root node) error {
	remote, err := root.at("proxy", "remoteurl")
	if err != nil {
		return err
	}
	c.remote, err = remote.text()
	return err
}

func (c *registryConfig) readValidation(root node) error {
	validation, err := root.child("validation")
	if err != nil {
		return err
	}
	enabled, err := validation.flag("enabled")
	if err != nil {
		return err
	}
	disabled, err := validation.flag("disabled")
	if err != nil {
		return err
	}
	if disabled && !enabled {
		c.children.Mode = layout.ChildrenNone
		c.urls.Allow = []*regexp.Regexp{regexp.MustCompile("")}
		return nil
	}
	if c.urls.Allow, err = validation.patterns("manifests", "urls", "allow"); err != nil {
		return err
	}
	if c.urls.Deny, err = validation.patterns("manifests", "urls", "deny"); err != nil {
		return err
	}
	indexes, err := validation.at("manifests", "indexes")
	if err != nil {
		return err
	}
	return c.readIndexes(indexes)
}

func (c *registryConfig) readIndexes(indexes node) error {
	platforms, err := indexes.child("platforms")
	if err != nil {
		return err
	}
	mode, err := platforms.text()
	if err != nil {
		return err
	}
	if mode != "" {
		if c.children.Mode, err = layout.ParseIndexChildrenMode(strings.ToLower(mode)); err != nil {
			return platforms.wrong("one of all, none and list", "choose one")
		}
	}
	list, err := indexes.child("platformlist")
	if err != nil {
		return err
	}
	items, err := list.list()
	if err != nil {
		return err
	}
	for _, item := range items {
		os, err := item.textAt("os")
		if err != nil {
			return err
		}
		arch, err := item.textAt("architecture")
		if err != nil {
			return err
		}
		p := layout.Platform{OS: strings.ToLower(os), Architecture: strings.ToLower(arch)}
		c.children.Platforms = append(c.children.Platforms, p)
	}
	return nil
}
