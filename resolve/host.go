// SPDX-License-Identifier: Apache-2.0

package resolve

import "github.com/iupkg/iupkg/manifest"

// OnProfile is the Host of a kernel's profile. btf may be nil.
func OnProfile(p *manifest.Profile, btf manifest.BTFLookup) Host { return profileHost{p, btf} }

type profileHost struct {
	p   *manifest.Profile
	btf manifest.BTFLookup
}

func (h profileHost) Check(r manifest.Requirements) []manifest.Finding { return h.p.Check(r, h.btf) }
func (h profileHost) String() string                                   { return h.p.Release }
