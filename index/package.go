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
	MaxVersions = 4096
	MaxVariants = 64 // of a version

	maxAdvisories = 1024
	maxText       = 4096
)

const schema = 1

// Package is all that the index knows of one package.
type Package struct {
	Schema      int    `json:"schema"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	License     string `json:"license,omitempty"`
	Repository  string `json:"repository,omitempty"`
	// Deprecated is why the package should no longer be used, "" if it may be.
	Deprecated string `json:"deprecated,omitempty"`
	// Advisories are known faults, in the order of identifiers.
	Advisories []Advisory `json:"advisories,omitempty"`
	Versions   []Version  `json:"versions"` // ascending
}

// Advisory is a known fault of some versions of a package.
type Advisory struct {
	ID       string `json:"id"`       // as in "CVE-2026-12345"
	Affects  string `json:"affects"`  // a constraint over versions
	Severity string `json:"severity"` // low, moderate, high or critical
	Summary  string `json:"summary"`
	URL      string `json:"url,omitempty"`
}

// Severities of advisories, the least first.
var Severities = []string{"low", "moderate", "high", "critical"}

func (a *Advisory) validate() error {
	if len(a.ID) == 0 || len(a.ID) > 64 || strings.ContainsFunc(a.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("advisory %.80q: want at most 64 printable characters without spaces", a.ID)
	}
	if _, err := manifest.ParseConstraint(a.Affects); err != nil {
		return fmt.Errorf("advisory %s: %w", a.ID, err)
	}
	if !slices.Contains(Severities, a.Severity) {
		return fmt.Errorf("advisory %s: severity %.20q is none of %s", a.ID, a.Severity, strings.Join(Severities, ", "))
	}
	if len(a.Summary) == 0 || len(a.Summary) > maxText || len(a.URL) > maxText {
		return fmt.Errorf("advisory %s: want a summary, and at most %d bytes", a.ID, maxText)
	}
	return nil
}

// AdvisoriesOf is the advisories that affect a version, the worst first.
func (p *Package) AdvisoriesOf(version string) []Advisory {
	v, err := manifest.ParseVersion(version)
	if err != nil {
		return nil
	}
	var out []Advisory
	for _, a := range p.Advisories {
		if c, err := manifest.ParseConstraint(a.Affects); err == nil && c.Match(v) {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b Advisory) int {
		return slices.Index(Severities, b.Severity) - slices.Index(Severities, a.Severity)
	})
	return out
}

// Version is one version of a package: all that is needed to decide for or
// against it.
type Version = manifest.Candidate

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
			Requires: requirements(m), Dependencies: m.Dependencies, Conflicts: m.Conflicts,
			Provides: m.Provides, Features: m.Features,
		},
	}
}

// requirements is what a kernel must offer for an extension, its architecture too.
func requirements(m *manifest.Manifest) manifest.Requirements {
	r := m.Requires
	r.Arch = m.Arch
	return r
}

// EntryOfVariants is the entry of an extension whose version has several objects: ms
// and digests are of their manifests, the preferred first, digest is of the OCI image
// index.
func EntryOfVariants(ms []*manifest.Manifest, digests []string, digest string) Entry {
	e := EntryOf(ms[0], digest)
	for i, m := range ms {
		e.Version.Variants = append(e.Version.Variants, manifest.CandidateVariant{Digest: digests[i], Requires: requirements(m)})
	}
	e.Version.Requires = manifest.CommonRequirements(e.Version.Variants)
	return e
}

func (p *Package) validate() error {
	if p.Schema != schema {
		return fmt.Errorf("schema is %d, this program reads %d", p.Schema, schema)
	}
	if err := manifest.CheckName(p.Name); err != nil {
		return err
	}
	if len(p.Deprecated) > maxText || len(p.Advisories) > maxAdvisories {
		return fmt.Errorf("more than %d advisories, or %d bytes of why it is deprecated", maxAdvisories, maxText)
	}
	for i, a := range p.Advisories {
		if err := a.validate(); err != nil {
			return err
		}
		if i > 0 && p.Advisories[i-1].ID >= a.ID {
			return fmt.Errorf("advisory %s does not come after %s", a.ID, p.Advisories[i-1].ID)
		}
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
		if err := checkVariants(&v); err != nil {
			return fmt.Errorf("version %s: %w", v.Version, err)
		}
	}
	return nil
}

// checkVariants wants none, or several that differ.
func checkVariants(v *Version) error {
	if len(v.Variants) == 0 {
		return nil
	}
	if len(v.Variants) < 2 || len(v.Variants) > MaxVariants {
		return fmt.Errorf("%d variants, want 2 to %d or none", len(v.Variants), MaxVariants)
	}
	seen := map[string]bool{v.Digest: true}
	for _, o := range v.Variants {
		if err := manifest.CheckDigest(o.Digest); err != nil {
			return err
		}
		if seen[o.Digest] {
			return fmt.Errorf("%s stands twice", o.Digest)
		}
		seen[o.Digest] = true
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

// merge takes over what theirs changed since was, which may be nil, and says whether
// that was anything. Of one version with two digests ours stays.
func (p *Package) merge(was, theirs *Package) (bool, error) {
	before, err := encode(p)
	if err != nil {
		return false, err
	}
	if was == nil {
		was = &Package{}
	}
	find := func(q *Package, version string) *Version {
		i := slices.IndexFunc(q.Versions, func(v Version) bool { return v.Version == version })
		if i < 0 {
			return nil
		}
		return &q.Versions[i]
	}
	for _, v := range theirs.Versions {
		ours, old := find(p, v.Version), find(was, v.Version)
		switch {
		case ours == nil:
			e := Entry{Name: theirs.Name, Description: theirs.Description, License: theirs.License, Repository: theirs.Repository, Version: v}
			if _, err := p.add(e); err != nil {
				return false, err
			}
		case old == nil && v.Yanked != "" || old != nil && old.Yanked != v.Yanked:
			ours.Yanked = v.Yanked
		}
	}
	if theirs.Deprecated != was.Deprecated {
		p.Deprecated = theirs.Deprecated
	}
	for _, a := range theirs.Advisories {
		if slices.Contains(was.Advisories, a) {
			continue
		}
		p.Advisories = append(slices.DeleteFunc(p.Advisories, func(o Advisory) bool { return o.ID == a.ID }), a)
	}
	p.Advisories = slices.DeleteFunc(p.Advisories, func(o Advisory) bool {
		is := func(a Advisory) bool { return a.ID == o.ID }
		return slices.ContainsFunc(was.Advisories, is) && !slices.ContainsFunc(theirs.Advisories, is)
	})
	slices.SortFunc(p.Advisories, func(a, b Advisory) int { return strings.Compare(a.ID, b.ID) })
	after, err := encode(p)
	return err == nil && !bytes.Equal(before, after), errors.Join(err, p.validate())
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
