// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
)

// The library's own answer, for releases and with pre-releases counted. Groups
// are put to it one by one: it takes the | before "a - b" for a part of a.
func libraryHolds(t *testing.T, c string, v Version) (known, match, covers bool) {
	t.Helper()
	for part := range strings.SplitSeq(c, "||") {
		cs, err := semver.NewConstraint(part)
		if err != nil {
			return false, false, false
		}
		match = match || cs.Check(v.v)
		cs.IncludePrerelease = true
		covers = covers || cs.Check(v.v)
	}
	return true, match, covers
}

// TestComparisonsAreTheLibrarys compares random constraints and versions with
// the library that defines them.
func TestComparisonsAreTheLibrarys(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	num := func() string { return pick("0", "0", "1", "1", "2", "3", "10") }
	part := func() string {
		s := pick("", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^") + pick("", "", " ") + pick("", "", "", "v")
		switch r.IntN(8) {
		case 0:
			s += num()
		case 1:
			s += num() + "." + num()
		case 2:
			s += num() + "." + pick("x", "X", "*")
		case 3:
			s += num() + "." + num() + "." + pick("x", "*")
		case 4:
			s += pick("*", "x", "x.1", "*.*", "1.x.3")
		case 5:
			s += num() + "." + num() + "." + num() + pick("-rc.1", "-0", "-alpha", "-alpha.2")
		default:
			s += num() + "." + num() + "." + num()
		}
		return s
	}
	group := func() string {
		switch r.IntN(5) {
		case 0:
			return part() + pick(" ", ", ", ",") + part()
		case 1:
			return num() + "." + num() + " - " + num() + "." + num() + "." + num()
		}
		return part()
	}
	checked, held := 0, 0
	for range 20_000 {
		text := group()
		for range r.IntN(2) {
			text += pick("||", " || ") + group()
		}
		c, err := ParseConstraint(text)
		vt := num() + "." + num() + "." + num() + pick("", "", "", "-rc.1", "-0", "-alpha", "-alpha.2", "-beta")
		v, verr := ParseVersion(vt)
		if verr != nil {
			t.Fatal(verr)
		}
		known, match, covers := libraryHolds(t, text, v)
		if known != (err == nil) {
			t.Fatalf("%q: the library parses it: %v, here %v", text, known, err)
		}
		if !known || strings.TrimSpace(text) == "*" { // which is no comparison here
			continue
		}
		checked++
		if covers {
			held++
		}
		if got := c.Covers(v); got != covers {
			t.Fatalf("%q covers %s: %v, the library says %v", text, v, got, covers)
		}
		if got := c.Match(v); !v.Prerelease() && got != match {
			t.Fatalf("%q matches %s: %v, the library says %v", text, v, got, match)
		} else if got && !match {
			t.Fatalf("%q matches %s, and not for the library", text, v)
		}
	}
	if checked < 15_000 || held < checked/10 || held > checked*9/10 {
		t.Errorf("too few or too like: %d of %d hold", held, checked)
	}
}

func TestCommonRequirements(t *testing.T) {
	a := Requirements{Arch: "amd64", Release: ">=6.1", Config: []string{"A", "B"}, BTF: []string{"struct x"}, Hooks: []Hook{HookXDP, HookTC}, ABI: 3}
	b := Requirements{Arch: "amd64", Release: ">=6.6", Config: []string{"B", "!A"}, Hooks: []Hook{HookTC}, ABI: 2}
	got := CommonRequirements([]CandidateVariant{{Requires: a}, {Requires: b}})
	want := Requirements{Arch: "amd64", Config: []string{"B"}, BTF: []string{}, Hooks: []Hook{HookTC}, ABI: 2}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if len(a.Config) != 2 || a.Config[1] != "B" {
		t.Errorf("the first variant was changed: %q", a.Config)
	}
}
