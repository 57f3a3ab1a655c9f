// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"

	"github.com/Masterminds/semver/v3"
)

// comparison is one comparison of a constraint, with the meaning that
// Masterminds/semver gives it; a test holds the two against each other.
type comparison struct {
	op  string
	con *semver.Version
	// Which numbers were left out, or x: the version begins with all of those
	// before. With major left out, any version does.
	noMajor, noMinor, noPatch bool
}

// comparisons takes a constraint of one group apart, which the library has
// parsed and writes as operators and versions with a space between.
func comparisons(cs *semver.Constraints) []comparison {
	var out []comparison
	for f := range strings.FieldsSeq(cs.String()) {
		v := strings.TrimLeft(f, "=!<>~^")
		out = append(out, newComparison(f[:len(f)-len(v)], strings.TrimPrefix(v, "v")))
	}
	return out
}

func newComparison(op, text string) comparison {
	c := comparison{op: op}
	core, pre, _ := strings.Cut(text, "-")
	parts := strings.Split(core, ".")
	left := func(i int) bool {
		return i >= len(parts) || parts[i] == "x" || parts[i] == "X" || parts[i] == "*"
	}
	var n [3]string
	cut := false
	for i := range n {
		if n[i] = "0"; !cut && !left(i) {
			n[i] = parts[i]
			continue
		}
		if !cut {
			c.noMajor, c.noMinor, c.noPatch = i == 0, i == 1, i == 2
		}
		cut = true
	}
	full := strings.Join(n[:], ".")
	if pre != "" {
		full += "-" + pre
	}
	c.con = semver.MustParse(full) // as the library has
	return c
}

func (c *comparison) holds(v *semver.Version) bool {
	major, minor := v.Major(), v.Minor()
	dirty := c.noMajor || c.noMinor || c.noPatch
	switch c.op {
	case "", "=":
		if !dirty {
			return v.Compare(c.con) == 0
		}
		return c.tilde(v)
	case "~", "~>":
		return c.tilde(v)
	case "^":
		return c.caret(v)
	case ">=", "=>":
		return v.Compare(c.con) >= 0
	case "<":
		return v.Compare(c.con) < 0
	case "<=", "=<":
		switch {
		case !dirty:
			return v.Compare(c.con) <= 0
		case major != c.con.Major():
			return major < c.con.Major()
		}
		return c.noMinor || minor <= c.con.Minor()
	case ">":
		switch {
		case !dirty || c.noMajor: // the library takes * for 0.0.0 here
			return v.Compare(c.con) > 0
		case major != c.con.Major():
			return major > c.con.Major()
		}
		return c.noPatch && minor > c.con.Minor()
	case "!=":
		switch {
		case !dirty || c.noMajor:
			return v.Compare(c.con) != 0
		case major != c.con.Major():
			return true
		case c.noMinor:
			return false
		case minor != c.con.Minor():
			return true
		}
		return v.Prerelease() != c.con.Prerelease()
	}
	return false
}

// tilde is the same numbers as far as they are given, and not less. ~0.0.0 is any.
func (c *comparison) tilde(v *semver.Version) bool {
	switch {
	case v.Compare(c.con) < 0:
		return false
	case c.con.Major() == 0 && c.con.Minor() == 0 && c.con.Patch() == 0 && !c.noMinor && !c.noPatch:
		return true
	case v.Major() != c.con.Major():
		return false
	}
	return c.noMinor || v.Minor() == c.con.Minor()
}

// caret is the same numbers up to the first that is not 0, and not less.
func (c *comparison) caret(v *semver.Version) bool {
	switch {
	case v.Compare(c.con) < 0 || v.Major() != c.con.Major():
		return false
	case c.con.Major() > 0 || c.noMinor:
		return true
	case v.Minor() != c.con.Minor():
		return false
	case c.con.Minor() > 0 || c.noPatch:
		return true
	}
	return v.Patch() == c.con.Patch()
}
