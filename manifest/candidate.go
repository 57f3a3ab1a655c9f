// SPDX-License-Identifier: Apache-2.0

package manifest

import "errors"

// Candidate is one published version of a package, as an index lists it and a
// solver weighs it.
type Candidate struct {
	Version string `json:"version"`
	Digest  string `json:"digest"` // of the OCI image manifest
	// Yanked is why the version should not be chosen any more; empty: it may be.
	Yanked       string            `json:"yanked,omitempty"`
	Requires     Requirements      `json:"requires"`
	Dependencies map[string]string `json:"dependencies,omitempty"`
	Conflicts    map[string]string `json:"conflicts,omitempty"`
	// Provides are names that it stands for beside its own, with the version as
	// which it does.
	Provides map[string]string `json:"provides,omitempty"`
	// Features are dependencies that only those need who ask for the feature.
	Features map[string]Relations `json:"features,omitempty"`
}

// Relations are names to constraints.
type Relations = map[string]string

// ErrUnknownPackage says that there is no package of a name.
var ErrUnknownPackage = errors.New("no such package")
