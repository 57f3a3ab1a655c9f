// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"slices"
	"strings"

	"github.com/iupkg/iupkg/manifest"
)

// Build is which of the variants of a version one of several kernels is to have.
type Build struct {
	Member  string `json:"member"`
	Variant int    `json:"variant"` // from 1
	Digest  string `json:"digest"`
}

// fit is how a version goes with a kernel, or with each of several.
type fit struct {
	findings []manifest.Finding
	// variants has for each kernel the number of the variant to have there; none if
	// the version has no variants, or none for one of the kernels.
	variants []int
}

// fitOn chooses among the variants of a version. The first that is known to fit
// counts; else the first of which it could not be told. If there is neither, what is
// found of each says why.
func fitOn(host Host, v *version) fit {
	if j, ok := host.(joint); ok {
		return j.fit(v)
	}
	f := fit{findings: host.Check(v.Requires)}
	n := len(v.Variants)
	if n == 0 || !manifest.Fits(f.findings) {
		return f
	}
	found := make([][]manifest.Finding, n)
	untold := -1
	for k := range n {
		i := k - 1 // the one to be tried first, then the others in order
		if k == 0 {
			i = v.first
		} else if i >= v.first {
			i = k
		}
		found[i] = host.Check(v.Variants[i].Requires)
		if len(found[i]) == 0 {
			f.variants = []int{i}
			return f
		}
		if untold < 0 && manifest.Fits(found[i]) {
			untold = i
		}
	}
	if untold >= 0 {
		f.variants = []int{untold}
		f.add(v.number(untold), found[untold])
		return f
	}
	// What keeps all of them out is said once, and then the rest makes no difference.
	all := slices.DeleteFunc(slices.Clone(found[0]), func(x manifest.Finding) bool {
		return slices.ContainsFunc(found, func(of []manifest.Finding) bool { return !slices.Contains(of, x) })
	})
	if f.add(0, all); !manifest.Fits(all) {
		return f
	}
	for i, of := range found {
		f.add(v.number(i), slices.DeleteFunc(slices.Clone(of), func(x manifest.Finding) bool { return x.Answer != manifest.No }))
	}
	return f
}

// add notes what was found of a variant and is not known of the version.
func (f *fit) add(number int, list []manifest.Finding) {
	for _, x := range list {
		if !slices.Contains(f.findings, x) {
			x.Variant = number
			f.findings = append(f.findings, x)
		}
	}
}

// fit is fitOn for each of several kernels, which may have different variants.
func (j joint) fit(v *version) fit {
	var all fit
	for _, m := range j {
		f := fitOn(m.Host, v)
		all.findings = append(all.findings, m.tag(f.findings)...)
		all.variants = append(all.variants, f.variants...)
	}
	if len(all.variants) != len(j) {
		all.variants = nil
	}
	return all
}

// tag says of which kernel something was found.
func (m *Member) tag(list []manifest.Finding) []manifest.Finding {
	out := slices.Clone(list)
	for i := range out {
		f := &out[i]
		if name := "Linux " + m.Name; strings.Contains(f.Found, "this kernel") {
			f.Found = strings.Replace(f.Found, "this kernel", name, 1)
		} else {
			f.Found = name + ": " + f.Found
		}
	}
	return out
}

// build puts into a choice which variant it is. Several kernels that do not have
// the same one are told theirs each.
func (in *input) build(c *Choice, v *version) {
	of := in.fit(v).variants
	if len(of) == 0 {
		return
	}
	if !slices.ContainsFunc(of, func(i int) bool { return i != of[0] }) {
		c.Variant, c.Digest = v.number(of[0]), v.Variants[of[0]].Digest
		return
	}
	for k, m := range in.host.(joint) {
		c.Builds = append(c.Builds, Build{m.Name, v.number(of[k]), v.Variants[of[k]].Digest})
	}
}

// number is how people are told of variant i, 0 if the source does not list it.
func (v *version) number(i int) int {
	if v.unlisted && i == len(v.Variants)-1 {
		return 0
	}
	return i + 1
}

// take makes v, which is installed as p, one of the variants that the source has of
// it: tried before the others, and required of it what p says.
func (v *version) take(p *Pinned, o *Candidate) {
	v.Digest, v.Requires, v.Variants = o.Digest, o.Requires, slices.Clone(o.Variants)
	if v.first = o.Variant(p.Digest); v.first < 0 {
		v.first, v.unlisted = len(v.Variants), true
		v.Variants = append(v.Variants, manifest.CandidateVariant{Digest: p.Digest})
	}
	v.Variants[v.first].Requires = p.Requires
}
