// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	"github.com/iupkg/iupkg/manifest"
)

// Limits of target files, in bytes and in number.
const (
	MaxPackage  = 1 << 20
	MaxVersions = 4096
)

const schema = 1

// Package is all that the index knows of one package.
type Package struct {
	Schema      int       `json:"schema"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	License     string    `json:"license,omitempty"`
	Repository  string    `json:"repository,omitempty"`
	Versions    []Version `json:"versions"` // ascending
}

// Version is one version of a package: all that is needed to decide for or
// against it.
type Version struct {
	Version      string                `json:"version"`
	Digest       string                `json:"digest"`
	Yanked       string                `json:"yanked,omitempty"`
	Requires     manifest.Requirements `json:"requires"`
	Dependencies map[string]string     `json:"dependencies,omitempty"`
	Conflicts    map[string]string     `json:"conflicts,omitempty"`
}

// Entry is a version to publish.
type Entry struct {
	Name, Description, License, Repository string
	Version                                Version
}

// EntryOf is the entry of an extension whose OCI manifest has that digest.
func EntryOf(m *manifest.Manifest, digest string) Entry {
	return Entry{
		Name: m.Name, Description: m.Description, License: m.License, Repository: m.Repository,
		Version: Version{
			Version: m.Version, Digest: digest,
			Requires: m.Requires, Dependencies: m.Dependencies, Conflicts: m.Conflicts,
		},
	}
}

func (p *Package) validate() error {
	if p.Schema != schema {
		return fmt.Errorf("schema is %d, this program reads %d", p.Schema, schema)
	}
	if err := manifest.CheckName(p.Name); err != nil {
		return err
	}
	if len(p.Versions) == 0 || len(p.Versions) > MaxVersions {
		return fmt.Errorf("%d versions, want 1 to %d", len(p.Versions), MaxVersions)
	}
	var last manifest.Version
	for i, v := range p.Versions {
		sv, err := manifest.ParseVersion(v.Version)
		if err != nil {
			return err
		}
		if i > 0 && last.Compare(sv) >= 0 {
			return fmt.Errorf("version %s does not come after %s", sv, last)
		}
		last = sv
		if err := manifest.CheckDigest(v.Digest); err != nil {
			return err
		}
	}
	return nil
}

// add puts an entry among the versions. It says whether that changed anything.
func (p *Package) add(e Entry) (bool, error) {
	sv, err := manifest.ParseVersion(e.Version.Version)
	if err != nil {
		return false, err
	}
	for _, v := range p.Versions {
		if v.Version != e.Version.Version {
			continue
		}
		if v.Digest != e.Version.Digest {
			return false, &VersionExists{Name: e.Name, Version: v.Version, Digest: v.Digest, Offered: e.Version.Digest}
		}
		return false, nil // the digest says all
	}
	i := sort.Search(len(p.Versions), func(i int) bool {
		o, err := manifest.ParseVersion(p.Versions[i].Version)
		return err == nil && o.Compare(sv) > 0
	})
	p.Versions = slices.Insert(p.Versions, i, e.Version)
	if i == len(p.Versions)-1 {
		p.Description, p.License, p.Repository = e.Description, e.License, e.Repository
	}
	return true, p.validate()
}

// encode is JSON as the files of the index are written.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
