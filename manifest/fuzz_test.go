// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bufio"
	"bytes"
	"os"
	"strings"
	"testing"
)

// Each parser, given anything, returns an error or something that formats to
// text which parses to the same again.

func seedLines(f *testing.F, name string) {
	file, err := os.Open("testdata/" + name + ".lines")
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		in, _, _ := strings.Cut(s.Text(), " => ")
		in, _, _ = strings.Cut(in, " : ")
		f.Add(in)
	}
}

func FuzzSpec(f *testing.F) {
	seedLines(f, "spec")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseSpec(in)
		if err != nil {
			return
		}
		again, err := ParseSpec(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q formats as %q: %v", in, s, err)
		}
	})
}

func FuzzConstraint(f *testing.F) {
	seedLines(f, "constraint")
	var versions []Version
	for _, s := range []string{"0.0.0", "0.0.1", "1.0.0-rc.1", "1.0.0", "1.2.3", "2.0.0-alpha", "2.0.0", "18446744073709551615.0.0"} {
		v, err := ParseVersion(s)
		if err != nil {
			f.Fatal(err)
		}
		versions = append(versions, v)
	}
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseConstraint(in)
		if err != nil {
			return
		}
		again, err := ParseConstraint(c.String())
		if err != nil {
			t.Fatalf("%q formats as %q: %v", in, c, err)
		}
		exact, one := c.Exact()
		for _, v := range versions {
			m := c.Match(v)
			switch {
			case m != again.Match(v):
				t.Errorf("%q and %q differ in %s", in, c, v)
			case m && !c.Covers(v):
				t.Errorf("%q matches %s but does not cover it", in, v)
			case one && m != (v.Compare(exact) == 0):
				t.Errorf("%q is exactly %s but %v for %s", in, exact, m, v)
			}
		}
	})
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1.2.3", "1.2.3-rc.1", "1.2.3-0-a.b", "01.2.3", "1.2.3+x", "1..3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		v, err := ParseVersion(in)
		if err != nil {
			return
		}
		if v.String() != in || v.Compare(v) != 0 || checkText(in, MaxVersion) != nil || strings.ContainsAny(in, "+/ ") {
			t.Errorf("%q became %q", in, v)
		}
	})
}

func FuzzRelease(f *testing.F) {
	seedLines(f, "release")
	for _, s := range []string{"6.1.0-56-amd64 | #1 SMP Debian 6.1.192-2 (2026-11-16)"} {
		f.Add(s)
	}
	rr, err := ParseReleaseRange(">=6.1 <6.13")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in string) {
		release, version, _ := strings.Cut(in, " | ")
		r, err := ParseRelease(release, version)
		if err != nil {
			return
		}
		if rr.Contains(r).check() != nil || r.Compare(r) != 0 {
			t.Error(r)
		}
		if again, err := ParseRelease(r.String(), ""); !r.PatchUnknown && (err != nil || again.Compare(r) != 0) {
			t.Errorf("%q formats as %s: %v", in, r, err)
		}
	})
}

func FuzzReleaseRange(f *testing.F) {
	seedLines(f, "range")
	f.Fuzz(func(t *testing.T, in string) {
		rr, err := ParseReleaseRange(in)
		if err != nil {
			return
		}
		if _, err := ParseReleaseRange(rr.String()); err != nil {
			t.Errorf("%q formats as %q: %v", in, rr, err)
		}
		unknown := rr.Contains(Release{Major: 6, Minor: 1, PatchUnknown: true})
		for _, patch := range []int{0, 1, 50, 192} {
			if got := rr.Contains(Release{Major: 6, Minor: 1, Patch: patch}); unknown != Unknown && got != unknown {
				t.Errorf("%q: 6.1.? is %s and 6.1.%d is %s", in, unknown, patch, got)
			}
		}
	})
}

func FuzzBTFReq(f *testing.F) {
	seedLines(f, "btf")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := ParseBTFReq(in)
		if err != nil {
			return
		}
		if len(r.String()) > MaxBTFReq { // "unsigned" is written out
			return
		}
		if again, err := ParseBTFReq(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%q formats as %q: %v", in, r, err)
		}
	})
}

func FuzzConfigExpr(f *testing.F) {
	seedLines(f, "kconfig")
	f.Fuzz(func(t *testing.T, in string) {
		e, err := ParseConfigExpr(in)
		if err != nil {
			return
		}
		again, err := ParseConfigExpr(e.String())
		if len(e.String()) > MaxConfigExpr {
			return
		}
		if err != nil || again.String() != e.String() {
			t.Fatalf("%q formats as %q: %v", in, e, err)
		}
		v, why := e.Eval(testConfig)
		if w, _ := again.Eval(testConfig); w != v {
			t.Errorf("%q is %s, %q is %s", in, v, e, w)
		}
		if (v == TriM || v == TriY) != (len(why) == 0) && !constant(e.root) {
			t.Errorf("%q is %s with causes %v", in, v, why)
		}
		// The value of a whole is that of its parts.
		whole := TriY
		for _, c := range e.Conjuncts() {
			p, _ := c.Eval(testConfig)
			if p == TriUnknown {
				return
			}
			whole = min(whole, p)
		}
		if v != TriUnknown && whole != v {
			t.Errorf("%q is %s and its parts are %s", in, v, whole)
		}
	})
}

// constant reports whether some part has no symbol, and so may fail for none.
func constant(n configNode) bool {
	switch n := n.(type) {
	case orNode:
		return constantList(n.kids)
	case andNode:
		return constantList(n.kids)
	case notNode:
		return constant(n.kid)
	case operand:
		return n.kind != operandSymbol
	case relNode:
		return n.left.kind != operandSymbol && n.right.kind != operandSymbol
	}
	return false
}

func constantList(kids []configNode) bool {
	for _, k := range kids {
		if constant(k) {
			return true
		}
	}
	return false
}

func FuzzKernelConfig(f *testing.F) {
	f.Add([]byte("# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=\"x\"\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := ParseKernelConfig(in)
		if err != nil {
			return
		}
		for k := range c {
			if e, err := ParseConfigExpr(k); err == nil {
				e.Eval(func(s string) (string, bool) { return c[s], true })
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	b := read(f, "testdata/bmc.json")
	f.Add(b)
	f.Add([]byte(`{"schema":1}`))
	f.Add([]byte(`{"schema":1,"programs":[{}],"params":[null]}`))
	f.Add(bytes.ReplaceAll(b, []byte("[\n"), []byte("[[\n")))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Parse(in)
		if err != nil {
			return
		}
		first, err := m.Encode()
		if err != nil {
			t.Fatalf("what was parsed does not encode: %v", err)
		}
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("the canonical form does not parse: %v\n%s", err, first)
		}
		if second, err := again.Encode(); err != nil || !bytes.Equal(first, second) {
			t.Errorf("the canonical form is not stable: %v\n%s\n%s", err, first, second)
		}
	})
}

func FuzzParseProject(f *testing.F) {
	f.Add(read(f, "testdata/bmc.toml"))
	f.Add([]byte("[package]\nname = \"a\"\n"))
	f.Add([]byte("a.b = {c = [1, {d = 2}]}\n[[variant]]\n[[variant]]\n[variant.x]\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := ParseProject(in)
		if (p == nil) == (err == nil) {
			t.Errorf("got %v and %v", p, err)
		}
		if err != nil && !strings.Contains(err.Error(), ProjectFile+":") {
			t.Errorf("an error without a place: %v", err)
		}
	})
}

func FuzzParseProfile(f *testing.F) {
	f.Add(read(f, "testdata/bmc_profile.json"))
	f.Add([]byte(`{"schema":1,"release":"6.1","arch":"amd64","btf":"H4sIAAAAAAAA/w=="}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := ParseProfile(in, "")
		if err != nil {
			return
		}
		first, err := EncodeProfile(p)
		if err != nil {
			t.Fatalf("what was parsed does not encode: %v", err)
		}
		if _, err := ParseProfile(first, ""); err != nil {
			t.Fatalf("the canonical form does not parse: %v", err)
		}
		p.Check(Requirements{Release: ">=6.1", Config: []string{"BPF_SYSCALL && NR_CPUS>1"}, Hooks: []Hook{HookXDP}}, nil)
	})
}

func FuzzParseLock(f *testing.F) {
	cases, err := os.ReadFile("testdata/lock.txt")
	if err != nil {
		f.Fatal(err)
	}
	for c := range bytes.SplitSeq(cases, []byte("\n===\n")) {
		in, _, _ := bytes.Cut(c, []byte("---\n"))
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		l, err := ParseLock(in, "iupkg.lock")
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "iupkg.lock:") {
					t.Errorf("an error without a place: %s", line)
				}
			}
			return
		}
		b, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseLock(b, "")
		if err != nil {
			t.Fatal(err)
		}
		if b2, err := again.Encode(); err != nil || !bytes.Equal(b, b2) {
			t.Errorf("%s became %s (%v)", b, b2, err)
		}
	})
}
