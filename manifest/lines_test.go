// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

// Files testdata/*.lines have one case a line, "input => result", the result
// being what the function of that name below returns.
var lineFuncs = map[string]func(in string) string{
	"spec": func(in string) string {
		s, err := ParseSpec(in)
		if err != nil {
			return "error: " + err.Error()
		}
		exact := ""
		if v, ok := s.Constraint.Exact(); ok {
			exact = " exactly " + v.String()
		}
		return fmt.Sprintf("%s | %s | %s%s", s.Name, s.Constraint, s, exact)
	},
	// The versions that match, and in parentheses those that are covered too.
	"constraint": func(in string) string {
		text, versions, _ := strings.Cut(in, " : ")
		c, err := ParseConstraint(text)
		if err != nil {
			return "error: " + err.Error()
		}
		var out []string
		for f := range strings.FieldsSeq(versions) {
			v, err := ParseVersion(f)
			switch {
			case err != nil:
				out = append(out, "error: "+err.Error())
			case c.Match(v):
				out = append(out, f)
			case c.Covers(v):
				out = append(out, "("+f+")")
			}
		}
		return strings.Join(out, " ")
	},
	"release": func(in string) string {
		release, version, _ := strings.Cut(in, " | ")
		r, err := ParseRelease(release, version)
		if err != nil {
			return "error: " + err.Error()
		}
		return r.String()
	},
	"range": func(in string) string {
		text, releases, _ := strings.Cut(in, ": ")
		rr, err := ParseReleaseRange(text)
		if err != nil {
			return "error: " + err.Error()
		}
		var out []string
		for f := range strings.FieldsSeq(releases) {
			r, err := ParseRelease(f, "")
			if err != nil {
				return "error: " + err.Error()
			}
			out = append(out, f+" "+string(rr.Contains(r)))
		}
		return strings.Join(out, ", ")
	},
	"btf": func(in string) string {
		r, err := ParseBTFReq(in)
		if err != nil {
			return "error: " + err.Error()
		}
		return r.String()
	},
	"kconfig": func(in string) string {
		e, err := ParseConfigExpr(in)
		if err != nil {
			return "error: " + err.Error()
		}
		v, why := e.Eval(testConfig)
		out := fmt.Sprintf("%s | %s", e, v)
		for _, c := range why {
			out += fmt.Sprintf(" | wants %s, %s is %q", c.Wanted, c.Symbol, c.Found)
		}
		return out
	},
}

func testConfig(sym string) (string, bool) {
	if strings.HasPrefix(sym, "UNKNOWN") {
		return "", false
	}
	return map[string]string{"BPF_SYSCALL": "y", "NET_SCH_INGRESS": "m", "NR_CPUS": "64", "64BIT": "y",
		"PHYSICAL_START": "0x1000000", "LOCALVERSION": `""`, "NAME": `"-amd64"`}[sym], true
}

func TestLines(t *testing.T) {
	for name, f := range lineFuncs {
		t.Run(name, func(t *testing.T) {
			file := "testdata/" + name + ".lines"
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for line := range strings.Lines(string(b)) {
				in, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
				got := f(in)
				if got != want && !*update {
					t.Errorf("%q: got %s\nwant %s", in, got, want)
				}
				out.WriteString(in + " => " + got + "\n")
			}
			if *update {
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
