// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Release is the version of a kernel: x.y.z, and N of -rcN. What a distribution
// adds ("-56-amd64", "+deb12-amd64", "-427.el9.x86_64") is no part of it and
// does not make it a pre-release.
type Release struct {
	Major, Minor, Patch int
	RC                  int // 0: a release
	// PatchUnknown says that Patch could not be told: distributions that keep
	// "x.y.0-ABI" as the name of every update hide it (Debian 6.1, Ubuntu).
	PatchUnknown bool
}

var (
	releasePattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})(?:\.(0|[1-9][0-9]{0,3}))?(?:-rc([0-9]{1,3}))?([-+._~][0-9A-Za-z+~._-]*)?$`)
	// "Debian 6.1.192-2 (2026-11-16)" in the version of the kernel, uname -v.
	debianVersion = regexp.MustCompile(`\bDebian ([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})(?:[-~][0-9A-Za-z.+~-]*)?(?:\s|$)`)
	abiSuffix     = regexp.MustCompile(`^-[0-9]+(-|$)`)
)

// ParseRelease parses uname's release, with its version (uname -v; may be
// empty) to find the patch level where the release hides it.
func ParseRelease(release, version string) (Release, error) {
	m := releasePattern.FindStringSubmatch(release)
	if m == nil || len(release) > 64 {
		return Release{}, fmt.Errorf("%.70q is not a kernel release: want x.y.z, with the distribution's suffix", release)
	}
	num := func(s string) int { n, _ := strconv.Atoi(s); return n }
	r := Release{Major: num(m[1]), Minor: num(m[2]), Patch: num(m[3]), RC: num(m[4])}
	if r.RC == 0 && r.Patch == 0 && abiSuffix.MatchString(m[5]) {
		r.PatchUnknown = true
	}
	if d := debianVersion.FindStringSubmatch(version); d != nil && num(d[1]) == r.Major && num(d[2]) == r.Minor && r.RC == 0 {
		r.Patch, r.PatchUnknown = num(d[3]), false
	}
	return r, nil
}

// Compare orders releases; -rcN is before the release. An unknown patch level
// counts as it is written.
func (r Release) Compare(o Release) int {
	rc := func(n int) int {
		if n == 0 {
			return 1 << 20
		}
		return n
	}
	return cmp.Or(cmp.Compare(r.Major, o.Major), cmp.Compare(r.Minor, o.Minor),
		cmp.Compare(r.Patch, o.Patch), cmp.Compare(rc(r.RC), rc(o.RC)))
}

// String returns x.y.z, x.y.z-rcN, or x.y.? if the patch level is unknown.
func (r Release) String() string {
	if r.PatchUnknown {
		return fmt.Sprintf("%d.%d.?", r.Major, r.Minor)
	}
	s := fmt.Sprintf("%d.%d.%d", r.Major, r.Minor, r.Patch)
	if r.RC > 0 {
		s += "-rc" + strconv.Itoa(r.RC)
	}
	return s
}

// ReleaseRange is a set of kernel releases, ">=6.1", ">=6.1 <6.13 || >=6.15".
// The syntax is that of Constraint, without pre-releases: 6.13-rc3 is below
// 6.13 and above every 6.12.z.
type ReleaseRange struct {
	text string
	c    Constraint
}

// ParseReleaseRange parses a range. The empty string is every release.
func ParseReleaseRange(s string) (ReleaseRange, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return ReleaseRange{}, nil
	}
	c, err := ParseConstraint(s)
	if err != nil || c.Any() {
		return ReleaseRange{}, fmt.Errorf("%.80q is not a range of kernel releases: write >=6.1 or >=6.1 <6.13", s)
	}
	for _, g := range c.ors {
		if len(g.pre) > 0 || strings.Contains(s, "-rc") {
			return ReleaseRange{}, fmt.Errorf("%q names a pre-release: a range of kernel releases is over x.y.z", s)
		}
	}
	return ReleaseRange{s, c}, nil
}

// maxPatch is above every patch level there has been (4.9.337 was the last of
// the longest series).
const maxPatch = 512

// Contains answers whether r is in the range; unknown if that turns on a patch
// level that could not be told.
func (rr ReleaseRange) Contains(r Release) Answer {
	if rr.c.Any() {
		return Yes
	}
	if !r.PatchUnknown {
		return answer(rr.check(r))
	}
	r.PatchUnknown = false
	first := rr.check(r)
	for r.Patch++; r.Patch < maxPatch; r.Patch++ {
		if rr.check(r) != first {
			return Unknown
		}
	}
	return answer(first)
}

func (rr ReleaseRange) check(r Release) bool {
	pre := ""
	if r.RC > 0 {
		pre = "rc." + strconv.Itoa(r.RC)
	}
	return rr.c.Covers(Version{semver.New(uint64(r.Major), uint64(r.Minor), uint64(r.Patch), pre, "")})
}

// String returns the range as it was written.
func (rr ReleaseRange) String() string { return rr.text }

// Answer is what a probe says: it never folds "could not tell" into "no".
type Answer string

// The answers.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

func answer(b bool) Answer {
	if b {
		return Yes
	}
	return No
}
