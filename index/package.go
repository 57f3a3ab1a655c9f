// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/iupkg/iupkg/manifest"
)

// Limits of target files, in bytes and in number.
const (
	MaxPackage  = 1 << 20
	MaxSearch   = 32 << 20
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

func parsePackage(b []byte, name string) (*Package, error) {
	if len(b) > MaxPackage {
		return nil, fmt.Errorf("%d bytes, more than %d", len(b), MaxPackage)
	}
	var p Package
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	if p.Name != name {
		return nil, fmt.Errorf("it is about %.80q", p.Name)
	}
	return &p, p.validate()
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

// Hit is a package as search.json has it.
type Hit struct {
	Name        string          `json:"name"`
	Version     string          `json:"version"`
	Description string          `json:"description,omitempty"`
	Hooks       []manifest.Hook `json:"hooks,omitempty"`
}

type searchFile struct {
	Schema   int   `json:"schema"`
	Packages []Hit `json:"packages"`
}

func parseSearch(b []byte) (*searchFile, error) {
	if len(b) > MaxSearch {
		return nil, fmt.Errorf("%d bytes, more than %d", len(b), MaxSearch)
	}
	var s searchFile
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if s.Schema != schema {
		return nil, fmt.Errorf("schema is %d, this program reads %d", s.Schema, schema)
	}
	for i, h := range s.Packages {
		if err := manifest.CheckName(h.Name); err != nil {
			return nil, err
		}
		if _, err := manifest.ParseVersion(h.Version); err != nil {
			return nil, err
		}
		if i > 0 && s.Packages[i-1].Name >= h.Name {
			return nil, errors.New("the names are not in order")
		}
	}
	return &s, nil
}

// put makes the search file speak of p as it is now.
func (s *searchFile) put(p *Package) {
	best := p.Versions[len(p.Versions)-1]
	for _, v := range slices.Backward(p.Versions) {
		if sv, err := manifest.ParseVersion(v.Version); err == nil && !sv.Prerelease() && v.Yanked == "" {
			best = v
			break
		}
	}
	h := Hit{Name: p.Name, Version: best.Version, Description: p.Description, Hooks: best.Requires.Hooks}
	i, found := slices.BinarySearchFunc(s.Packages, p.Name, func(h Hit, name string) int { return strings.Compare(h.Name, name) })
	if found {
		s.Packages[i] = h
	} else {
		s.Packages = slices.Insert(s.Packages, i, h)
	}
}

// search finds the packages in which every word occurs, those with it in the name
// first.
func (s *searchFile) search(words []string) []Hit {
	type ranked struct {
		Hit
		rank int
	}
	var found []ranked
next:
	for _, h := range s.Packages {
		rank := 0
		for _, w := range words {
			w = strings.ToLower(w)
			switch {
			case h.Name == w:
			case strings.HasPrefix(h.Name, w):
				rank += 1
			case strings.Contains(h.Name, w):
				rank += 2
			case slices.Contains(h.Hooks, manifest.Hook(w)):
				rank += 3
			case strings.Contains(strings.ToLower(h.Description), w):
				rank += 4
			default:
				continue next
			}
		}
		found = append(found, ranked{h, rank})
	}
	slices.SortStableFunc(found, func(a, b ranked) int { return a.rank - b.rank })
	hits := make([]Hit, len(found))
	for i, f := range found {
		hits[i] = f.Hit
	}
	return hits
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
