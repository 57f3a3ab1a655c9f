// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
)

// Lock is what was resolved once, to be installed again exactly so.
type Lock struct {
	Schema   int          `json:"schema"`
	Kernel   Fingerprint  `json:"kernel"`
	Packages []LockedItem `json:"packages"` // each after those it depends on
}

// LockedItem is one package of a lock file.
type LockedItem struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Digest    string   `json:"digest"` // of the OCI image manifest
	Publisher string   `json:"publisher"`
	Keys      []string `json:"keys"`           // ids of the keys whose signatures counted
	Auto      bool     `json:"auto,omitempty"` // only because another needs it
	// What it was asked for by: a constraint, features. For upgrades to come.
	Constraint string   `json:"constraint,omitempty"`
	Features   []string `json:"features,omitempty"`
}

// Fingerprint identifies a kernel as far as requirements can tell kernels apart.
type Fingerprint struct {
	Release string `json:"release"`
	Version string `json:"version,omitempty"`
	Arch    string `json:"arch"`
	Config  string `json:"config,omitempty"` // digest; empty: could not be read
	BTF     string `json:"btf,omitempty"`    // digest; empty: none, or could not be read
}

// Fingerprint is that of the profile's kernel.
func (p *Profile) Fingerprint() Fingerprint {
	f := Fingerprint{Release: p.Release, Version: p.Version, Arch: p.Arch}
	if p.Config != nil {
		h := sha256.New()
		for _, sym := range slices.Sorted(maps.Keys(p.Config)) {
			fmt.Fprintf(h, "%s=%s\n", sym, p.Config[sym])
		}
		f.Config = fmt.Sprintf("sha256:%x", h.Sum(nil))
	}
	if len(p.BTF) > 0 {
		f.BTF = fmt.Sprintf("sha256:%x", sha256.Sum256(p.BTF))
	}
	return f
}

// Drift says, in lines, what of a kernel is not as it was locked.
func (f Fingerprint) Drift(now Fingerprint) []string {
	var out []string
	for _, x := range []struct{ what, then, now string }{
		{"release", f.Release, now.Release},
		{"version", f.Version, now.Version},
		{"architecture", f.Arch, now.Arch},
		{"configuration", f.Config, now.Config},
		{"BTF", f.BTF, now.BTF},
	} {
		if x.then != x.now {
			out = append(out, fmt.Sprintf("the kernel's %s is %s and was locked as %s", x.what, orUnknown(x.now), orUnknown(x.then)))
		}
	}
	return out
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// Find returns the package of that name, or nil.
func (l *Lock) Find(name string) *LockedItem {
	for i := range l.Packages {
		if l.Packages[i].Name == name {
			return &l.Packages[i]
		}
	}
	return nil
}

// ParseLock reads a lock file. Errors are one or more SyntaxErrors, which name
// the file as the caller does.
func ParseLock(b []byte, file string) (*Lock, error) {
	var l Lock
	at, err := strictJSON(b, &l, MaxLock, file)
	if err != nil {
		return nil, err
	}
	if err := l.validate().err(); err != nil {
		return nil, locate(err, file, at)
	}
	return &l, nil
}

// Encode writes the canonical form, see [Manifest.Encode]. It refuses what
// ParseLock would refuse.
func (l *Lock) Encode() ([]byte, error) {
	if err := l.validate().err(); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	b, err := encodeJSON(l)
	if err == nil && len(b) > MaxLock {
		err = fmt.Errorf("lock: has %d bytes, at most %d are allowed", len(b), MaxLock)
	}
	return b, err
}

func (l *Lock) validate() problems {
	var probs problems
	if l.Schema != Schema {
		probs.addf("schema", "is %d: this program reads lock files of schema %d", l.Schema, Schema)
		return probs
	}
	_, err := ParseRelease(l.Kernel.Release, l.Kernel.Version)
	probs.add("kernel.release", err)
	probs.add("kernel.version", checkText(l.Kernel.Version, 256))
	if !archPattern.MatchString(l.Kernel.Arch) {
		probs.addf("kernel.arch", "%.20q is not an architecture: amd64, arm64, …", l.Kernel.Arch)
	}
	for _, d := range []struct{ field, digest string }{{"kernel.config", l.Kernel.Config}, {"kernel.btf", l.Kernel.BTF}} {
		if d.digest != "" {
			probs.add(d.field, CheckDigest(d.digest))
		}
	}
	if l.Packages == nil {
		probs.addf("packages", "is missing")
	}
	seen := map[string]bool{}
	for i, p := range l.Packages {
		field := func(name string) string { return fmt.Sprintf("packages[%d].%s", i, name) }
		probs.add(field("name"), CheckName(p.Name))
		if seen[p.Name] {
			probs.addf(field("name"), "%s stands twice", p.Name)
		}
		seen[p.Name] = true
		_, err := ParseVersion(p.Version)
		probs.add(field("version"), err)
		probs.add(field("digest"), CheckDigest(p.Digest))
		_, err = ParseConstraint(p.Constraint)
		probs.add(field("constraint"), err)
		if len(p.Features) > MaxFeatures {
			probs.addf(field("features"), "has %d entries, at most %d are allowed", len(p.Features), MaxFeatures)
		} else {
			for k, f := range p.Features {
				probs.add(field(fmt.Sprintf("features[%d]", k)), CheckName(f))
			}
		}
		if p.Publisher == "" {
			probs.addf(field("publisher"), "is missing")
		}
		probs.add(field("publisher"), checkText(p.Publisher, MaxText))
		if len(p.Keys) == 0 || len(p.Keys) > MaxKeys {
			probs.addf(field("keys"), "has %d, want 1 to %d", len(p.Keys), MaxKeys)
			continue
		}
		for k, id := range p.Keys {
			field := field(fmt.Sprintf("keys[%d]", k))
			if id == "" {
				probs.addf(field, "is empty")
			}
			probs.add(field, checkText(id, MaxText))
		}
	}
	return probs
}
