// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Version is the version of a package: strict semver 2.0.0 (no leading v,
// three numbers) without build metadata, because two versions that differ only
// there have no order, and + cannot stand in an OCI tag.
type Version struct {
	v *semver.Version
}

// ParseVersion parses a version of at most MaxVersion bytes.
func ParseVersion(s string) (Version, error) {
	if len(s) > MaxVersion {
		return Version{}, fmt.Errorf("version %.20q… has %d bytes, at most %d are allowed", s, len(s), MaxVersion)
	}
	v, err := semver.StrictNewVersion(s)
	if err != nil {
		return Version{}, fmt.Errorf("%q is not a version: want MAJOR.MINOR.PATCH, with -PRERELEASE if it is one", s)
	}
	if v.Metadata() != "" {
		return Version{}, fmt.Errorf("version %q has build metadata (+%s), which has no order", s, v.Metadata())
	}
	return Version{v}, nil
}

// Compare orders by semver precedence: -1, 0 or 1.
func (v Version) Compare(o Version) int { return v.v.Compare(o.v) }

// Prerelease reports whether v is a pre-release.
func (v Version) Prerelease() bool { return v.v.Prerelease() != "" }

// String returns the version as it was written.
func (v Version) String() string {
	if v.v == nil {
		return ""
	}
	return v.v.Original()
}

// Constraint is a set of versions in the language of Masterminds/semver. The
// zero value is every version that is not a pre-release. The library parses it;
// what it means is in compare.go, as the library words an error for every version
// that does not match and a solver asks for hundreds of thousands.
//
// In one thing it is narrower than the library: the library lets any
// pre-release into a range that names one, so ">=1.2.0-rc.1" would take
// 2.0.0-alpha. Here a pre-release is in the range only if the range names a
// pre-release of the same MAJOR.MINOR.PATCH; that is what "asked for" means.
type Constraint struct {
	text string
	ors  []constraintGroup
}

// constraintGroup is a set of comparisons that must all hold.
type constraintGroup struct {
	cs  []comparison
	pre []*semver.Version // pre-releases the group names
}

// The pre-releases in a group; the library has checked the rest.
var preVersion = regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+-[0-9A-Za-z.-]+`)

// ParseConstraint parses "1.2" (>=1.2.0 <1.3.0), "^1", "1.2.3", ">=1.2 <2",
// "~1.2.3", "1.2 || 2", "1.2 - 1.4", "*". At most MaxConstraint bytes; the
// empty string is "*".
func ParseConstraint(s string) (Constraint, error) {
	s = strings.TrimSpace(s)
	if s == "" || s == "*" {
		return Constraint{}, nil
	}
	if len(s) > MaxConstraint {
		return Constraint{}, fmt.Errorf("constraint %.20q… has %d bytes, at most %d are allowed", s, len(s), MaxConstraint)
	}
	if strings.Contains(s, "+") {
		return Constraint{}, fmt.Errorf("%q is not a constraint: versions have no build metadata here", s)
	}
	c := Constraint{text: s}
	for part := range strings.SplitSeq(s, "||") {
		if strings.TrimSpace(part) == "" {
			return Constraint{}, fmt.Errorf("%q is not a constraint: nothing stands on one side of ||", s)
		}
		cs, err := semver.NewConstraint(part)
		if err != nil {
			return Constraint{}, fmt.Errorf("%q is not a constraint: write 1.2, 1.2.3, ^1, ~1.2, or comparisons like >=1.2 <2", s)
		}
		g := constraintGroup{cs: comparisons(cs)}
		if !strings.Contains(part, "-") {
			c.ors = append(c.ors, g)
			continue
		}
		for _, p := range preVersion.FindAllString(part, -1) {
			v, err := semver.StrictNewVersion(p)
			if err != nil {
				return Constraint{}, fmt.Errorf("%q is not a constraint: %q is not a version", s, p)
			}
			g.pre = append(g.pre, v)
		}
		c.ors = append(c.ors, g)
	}
	return c, nil
}

// Match reports whether v is in the set.
func (c Constraint) Match(v Version) bool {
	if len(c.ors) == 0 {
		return !v.Prerelease()
	}
	for _, g := range c.ors {
		if v.Prerelease() && !g.asksFor(v.v) {
			continue
		}
		if g.holds(v.v) {
			return true
		}
	}
	return false
}

func (g constraintGroup) holds(v *semver.Version) bool {
	for i := range g.cs {
		if !g.cs[i].holds(v) {
			return false
		}
	}
	return true
}

func (g constraintGroup) asksFor(v *semver.Version) bool {
	for _, p := range g.pre {
		if p.Major() == v.Major() && p.Minor() == v.Minor() && p.Patch() == v.Patch() {
			return true
		}
	}
	return false
}

// Covers is Match with pre-releases treated like any other version, in their
// place in the order. A conflict with ">=1.0" means 1.1.0-rc.1 too.
func (c Constraint) Covers(v Version) bool {
	if len(c.ors) == 0 {
		return true
	}
	for _, g := range c.ors {
		if g.holds(v.v) {
			return true
		}
	}
	return false
}

// Exact reports the one version that the constraint names, if it is "1.2.3" or
// "=1.2.3".
func (c Constraint) Exact() (Version, bool) {
	v, err := ParseVersion(strings.TrimSpace(strings.TrimPrefix(c.text, "=")))
	return v, err == nil
}

// Any reports whether the constraint is the zero value.
func (c Constraint) Any() bool { return len(c.ors) == 0 }

// String returns the constraint as it was written, "*" for any.
func (c Constraint) String() string {
	if c.Any() {
		return "*"
	}
	return c.text
}

// MarshalText makes a constraint a string in JSON.
func (c Constraint) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is ParseConstraint.
func (c *Constraint) UnmarshalText(b []byte) (err error) {
	*c, err = ParseConstraint(string(b))
	return err
}

// Spec is what a user asks for: NAME or NAME@CONSTRAINT, either with features:
// NAME[FEATURE,FEATURE]@CONSTRAINT.
type Spec struct {
	Name       string     `json:"name"`
	Features   []string   `json:"features,omitempty"` // sorted
	Constraint Constraint `json:"constraint"`
}

// ParseSpec parses NAME, NAME@CONSTRAINT, or either with [FEATURE,…] behind NAME. NAME alone is the newest version
// that is not a pre-release; an empty constraint after the @ is refused.
func ParseSpec(s string) (Spec, error) {
	name, rest, at := strings.Cut(s, "@")
	name, list, bracket := strings.Cut(name, "[")
	if err := CheckName(name); err != nil {
		return Spec{}, err
	}
	var features []string
	if bracket {
		inner, closed := strings.CutSuffix(list, "]")
		if !closed {
			return Spec{}, fmt.Errorf("%.140q has [ and no ]: want NAME[FEATURE]", s)
		}
		for f := range strings.SplitSeq(inner, ",") {
			f = strings.TrimSpace(f)
			if CheckName(f) != nil {
				return Spec{}, fmt.Errorf("%.70q is not a feature: it is named as packages are", f)
			}
			features = append(features, f)
		}
		slices.Sort(features)
		features = slices.Compact(features)
	}
	if at && strings.TrimSpace(rest) == "" {
		return Spec{}, errors.New("nothing stands after the @ in " + fmt.Sprintf("%q", s))
	}
	c, err := ParseConstraint(rest)
	if err != nil {
		return Spec{}, err
	}
	return Spec{Name: name, Features: features, Constraint: c}, nil
}

// String returns NAME, or NAME@CONSTRAINT, with the features.
func (s Spec) String() string {
	name := s.Name
	if len(s.Features) > 0 {
		name += "[" + strings.Join(s.Features, ",") + "]"
	}
	if s.Constraint.Any() {
		return name
	}
	return name + "@" + s.Constraint.String()
}
