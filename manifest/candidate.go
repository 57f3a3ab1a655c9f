// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"slices"
)

// Candidate is one published version of a package, as an index lists it and a
// solver weighs it.
type Candidate struct {
	Version string `json:"version"`
	Digest  string `json:"digest"` // of the OCI image manifest
	// Yanked is why the version should not be chosen any more; empty: it may be.
	Yanked string `json:"yanked,omitempty"`
	// Requires is what a kernel must offer; where there are variants, what all of
	// them require.
	Requires Requirements `json:"requires"`
	// Variants are several objects of one version, the preferred first. A kernel gets
	// the first of which it meets the requirements, and none if there is no such. Without
	// any, Digest and Requires are of the only one; else Digest is of the OCI image index.
	Variants     []CandidateVariant `json:"variants,omitempty"`
	Dependencies map[string]string  `json:"dependencies,omitempty"`
	Conflicts    map[string]string  `json:"conflicts,omitempty"`
	// Provides are names that it stands for beside its own, with the version as
	// which it does.
	Provides map[string]string `json:"provides,omitempty"`
	// Features are dependencies that only those need who ask for the feature.
	Features map[string]Relations `json:"features,omitempty"`
}

// CandidateVariant is one object of a version that has several.
type CandidateVariant struct {
	Digest   string       `json:"digest"` // of its OCI image manifest
	Requires Requirements `json:"requires"`
}

// Variant is the number of the variant of a digest, -1 if there is none.
func (c *Candidate) Variant(digest string) int {
	return slices.IndexFunc(c.Variants, func(v CandidateVariant) bool { return v.Digest == digest })
}

// RequirementsOf is what the artifact of a digest requires; ok says whether it is the
// version's only one, or one of its variants.
func (c *Candidate) RequirementsOf(digest string) (r Requirements, ok bool) {
	if len(c.Variants) == 0 {
		return c.Requires, c.Digest == digest
	}
	if i := c.Variant(digest); i >= 0 {
		return c.Variants[i].Requires, true
	}
	return r, false
}

// CommonRequirements is what all variants of a version require: what a kernel lacks of
// this keeps it from every one of them.
func CommonRequirements(variants []CandidateVariant) Requirements {
	if len(variants) == 0 {
		return Requirements{}
	}
	r := variants[0].Requires
	r.Config, r.BTF = slices.Clone(r.Config), slices.Clone(r.BTF)
	r.Symbols, r.Hooks = slices.Clone(r.Symbols), slices.Clone(r.Hooks)
	for _, v := range variants[1:] {
		o := v.Requires
		if r.Arch != o.Arch {
			r.Arch = ""
		}
		if r.Release != o.Release {
			r.Release = ""
		}
		r.Config = common(r.Config, o.Config)
		r.BTF = common(r.BTF, o.BTF)
		r.Symbols = common(r.Symbols, o.Symbols)
		r.Hooks = common(r.Hooks, o.Hooks)
		r.ABI = min(r.ABI, o.ABI)
	}
	return r
}

// common is what of a is in b too.
func common[T comparable](a, b []T) []T {
	return slices.DeleteFunc(a, func(x T) bool { return !slices.Contains(b, x) })
}

// Relations are names to constraints.
type Relations = map[string]string

// ErrUnknownPackage says that there is no package of a name.
var ErrUnknownPackage = errors.New("no such package")
