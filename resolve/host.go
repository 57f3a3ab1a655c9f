// SPDX-License-Identifier: Apache-2.0

package resolve

import "github.com/iupkg/iupkg/manifest"

// OnProfile is the Host of a kernel's profile, for one goroutine. btf may be nil.
func OnProfile(p *manifest.Profile, btf manifest.BTFLookup) Host {
	return profileHost{manifest.NewChecker(p, btf), p.Release}
}

type profileHost struct {
	*manifest.Checker
	release string
}

func (h profileHost) String() string { return h.release }
