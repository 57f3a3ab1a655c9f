// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"fmt"
	"strings"
)

// Untrusted is the policy's refusal of a package.
type Untrusted struct {
	Name, Version, Digest string
	Bundles               int // how many were looked at
	// Required is what would have been enough, one alternative each.
	Required []string
	// Found is what there was instead.
	Found []Found
}

// Found is why one bundle does not count for one identity.
type Found struct {
	Publisher string // "" if it is about no one identity
	Bundle    int    // its place among those given to Verify; -1 if about none
	Reason    string
}

func (f Found) String() string {
	var b strings.Builder
	if f.Bundle >= 0 {
		fmt.Fprintf(&b, "signature %d", f.Bundle+1)
		if f.Publisher != "" {
			fmt.Fprintf(&b, " for %s", f.Publisher)
		}
		b.WriteString(": ")
	} else if f.Publisher != "" {
		fmt.Fprintf(&b, "%s: ", f.Publisher)
	}
	b.WriteString(f.Reason)
	return b.String()
}

// Error is one line, with the first thing found; Explain has all of them.
func (e *Untrusted) Error() string {
	var found string
	if len(e.Found) > 0 {
		found = "; found " + e.Found[0].String()
		if n := len(e.Found) - 1; n > 0 {
			found += fmt.Sprintf(" (and %d more)", n)
		}
	}
	return fmt.Sprintf("%s %s is not trusted: required %s%s", e.Name, e.Version, strings.Join(e.Required, " or "), found)
}

// Explain is what was required and what was found, a line each.
func (e *Untrusted) Explain() []string {
	lines := []string{fmt.Sprintf("%s %s (%s) is not trusted, %d signatures looked at", e.Name, e.Version, e.Digest, e.Bundles)}
	for _, r := range e.Required {
		lines = append(lines, "required: "+r)
	}
	for _, f := range e.Found {
		lines = append(lines, "found: "+f.String())
	}
	return lines
}
