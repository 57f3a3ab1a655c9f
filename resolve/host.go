// SPDX-License-Identifier: Apache-2.0

package resolve

import "github.com/iupkg/iupkg/manifest"

// On is the Host of a kernel, for one goroutine.
func On(k manifest.Kernel) Host {
	return kernelHost{manifest.NewChecker(k), k.Uname().Release}
}

type kernelHost struct {
	*manifest.Checker
	release string
}

func (h kernelHost) String() string { return h.release }
