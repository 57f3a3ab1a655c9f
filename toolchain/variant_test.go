// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

func TestVariantRequirement(t *testing.T) {
	for when, want := range map[string]string{
		"NUMA":                 "!(NUMA!=n)",
		"NUMA && !PREEMPT_RT":  "!(NUMA!=n && !PREEMPT_RT!=n)",
		"HZ = 250 || X86 != n": "!(HZ=250 || X86!=n)",
	} {
		b := &builder{variants: []variant{{when: when}}}
		got := b.variantConfig()[0]
		if normal(t, got) != normal(t, want) {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
		expr, err := manifest.ParseConfigExpr(got)
		if err != nil {
			t.Fatal(err)
		}
		// What holds for a kernel, and its opposite, never both hold.
		yes, err := manifest.ParseConfigExpr(boolean(when))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{"n", "m", "y"} {
			lookup := func(string) (string, bool) { return v, true }
			a, _ := yes.Eval(lookup)
			b, _ := expr.Eval(lookup)
			if (a != manifest.TriN) == (b != manifest.TriN) {
				t.Errorf("all symbols %s: %s is %v, %s is %v", v, when, a, got, b)
			}
		}
	}
}

func normal(t *testing.T, s string) string {
	t.Helper()
	e, err := manifest.ParseConfigExpr(s)
	if err != nil {
		t.Fatal(err)
	}
	return e.String()
}

// A condition chooses code, and becomes a requirement.
func TestBuildVariants(t *testing.T) {
	lib := testLib(t)
	edits := [][3]string{
		{"iupkg.toml", "[program.", "[[variant]]\nwhen = \"NUMA && HZ = 250\"\n\n[program."},
		{"src/lib.rs", "use iu::prelude::*;\n", "use iu::prelude::*;\n#[cfg(kconfig = \"NUMA && HZ = 250\")]\n#[map]\nstatic ONLY_NUMA: Array<u64, 1> = Array::new();\n"},
	}
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("CONFIG_NUMA=y\nCONFIG_HZ=250\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config, want string
		maps         int
	}{{"", "!(NUMA!=n && HZ=250)", 1}, {config, "NUMA!=n && HZ=250", 2}} {
		r, said, err := buildWith(t, lib, "spin", Options{KernelConfig: c.config}, edits...)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		if len(r.Manifest.Maps) != c.maps {
			t.Errorf("with %q: %d maps, want %d", c.config, len(r.Manifest.Maps), c.maps)
		}
		if !slices.ContainsFunc(r.Manifest.Requires.Config, func(s string) bool { return normal(t, s) == normal(t, c.want) }) {
			t.Errorf("with %q: requires %v, want %s", c.config, r.Manifest.Requires.Config, c.want)
		}
	}
	if _, _, err := buildWith(t, lib, "spin", Options{KernelConfig: config}); err == nil || !strings.Contains(err.Error(), "variant") {
		t.Errorf("nothing to choose: %v", err)
	}
}

// Only what a configuration can decide is built.
func TestVariantChoices(t *testing.T) {
	for whens, want := range map[string]string{
		"NUMA":                         "0 1",
		"PREEMPT_RT; !PREEMPT_RT":      "10 01",
		"A && B; A":                    "00 01 11",
		"HZ = 250; HZ = 1000":          "00 10 01",
		"HZ >= 250; HZ >= 1000":        "00 10 11",
		`VERSION = "a b"; X86 && NUMA`: "00 10 01 11",
		"A=m; A":                       "00 01 11",
		"A || !A":                      "1",
		"A; B; C; D; E; F; G":          "128 objects",
		"A; B; C; D; E; F; G; H; I; J; K; L; M; N; O": "too many symbols",
	} {
		var list []manifest.Variant
		for w := range strings.SplitSeq(whens, "; ") {
			list = append(list, manifest.Variant{When: w})
		}
		choices, err := variantChoices(list)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", whens, err, want)
			}
			continue
		}
		var got []string
		for _, c := range choices {
			key := ""
			for _, v := range c {
				key += map[bool]string{false: "0", true: "1"}[v.holds]
			}
			got = append(got, key)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", whens, got, want)
		}
	}
}

// A version has an object for each of its variants, and a project that has none any more
// leaves none of them.
func TestBuildAll(t *testing.T) {
	lib := testLib(t)
	dir := copySample(t, "spin", t.TempDir())
	plain := [3]string{"Cargo.toml", `"../../iu"`, `"` + filepath.Join(lib, "crate", "iu") + `"`}
	edit(t, dir, plain, [3]string{"iupkg.toml", "[program.", "[[variant]]\nwhen = \"NUMA\"\n\n[program."},
		[3]string{"src/lib.rs", "use iu::prelude::*;\n", "use iu::prelude::*;\n#[cfg(kconfig = \"NUMA\")]\n#[map]\nstatic ONLY_NUMA: Array<u64, 1> = Array::new();\n"})
	opts := Options{Dir: dir, LibDir: lib}
	list, err := BuildAll(t.Context(), opts)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for i, want := range []struct {
		dir, config string
		maps        int
	}{{"target/iupkg", "!(NUMA!=n)", 1}, {"target/iupkg/variants/1", "NUMA!=n", 2}} {
		text, err := os.ReadFile(filepath.Join(dir, want.dir, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Maps) != want.maps || m.Object != list[i].Manifest.Object || filepath.Dir(list[i].ObjectPath) != filepath.Join(dir, want.dir) ||
			!slices.ContainsFunc(m.Requires.Config, func(s string) bool { return normal(t, s) == normal(t, want.config) }) {
			t.Errorf("%s: %d maps, requires %v", want.dir, len(m.Maps), m.Requires.Config)
		}
	}
	// A variant that does not compile leaves all as it was.
	edit(t, dir, [3]string{"src/lib.rs", "static ONLY_NUMA: Array<u64, 1>", "static ONLY_NUMA: Array<u64, 0>"})
	before := list[1].Manifest.Object.Digest
	if _, err := BuildAll(t.Context(), opts); err == nil {
		t.Error("a map without entries was built")
	}
	for _, f := range []string{list[0].ManifestPath, list[1].ManifestPath} {
		if _, err := os.Stat(f); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(list[1].ManifestPath); err != nil || !strings.Contains(string(text), before) {
		t.Errorf("the variant was replaced: %v", err)
	}
}

// The quick look finds what the build would, in the compiler's terms and its own.
func TestCheck(t *testing.T) {
	lib := testLib(t)
	for name, c := range map[string]struct {
		edit [3]string
		want Diagnostic // its parts that are set
	}{
		"fine":      {[3]string{"src/lib.rs", "", ""}, Diagnostic{}},
		"types":     {[3]string{"src/lib.rs", "SEEN.fetch_add(0, 1);", "SEEN.fetch_add(0, true);"}, Diagnostic{Level: "error", Code: "E0308", File: "src/lib.rs"}},
		"leak":      {[3]string{"src/lib.rs", "use iu::prelude::*;\n", "use iu::prelude::*;\npub fn f(v: u8) { core::mem::forget(v) }\n"}, Diagnostic{Level: "error", Code: "iupkg", File: "src/lib.rs", Line: 8}},
		"large map": {[3]string{"src/lib.rs", "use iu::prelude::*;\n", "use iu::prelude::*;\n#[map]\nstatic BIG: Array<[u8; 0x20_0000], 1> = Array::new();\n"}, Diagnostic{Level: "error", Code: "E0080"}},
		"project":   {[3]string{"Cargo.toml", "[workspace]", "[profile.release]\nlto = true\n[workspace]"}, Diagnostic{Level: "error", Code: "iupkg", File: "Cargo.toml", Line: 10}},
	} {
		dir := copySample(t, "spin", t.TempDir())
		edit(t, dir, c.edit, [3]string{"Cargo.toml", `"../../iu"`, `"` + filepath.Join(lib, "crate", "iu") + `"`})
		list, err := Check(t.Context(), Options{Dir: dir, LibDir: lib})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ok := c.want.Level == "" && len(list) == 0
		for _, d := range list {
			w := c.want
			ok = ok || d.Level == w.Level && d.Code == w.Code && (w.File == "" || d.File == w.File) && (w.Line == 0 || d.Line == w.Line) && len(d.Raw) > 0
		}
		if !ok {
			t.Errorf("%s: %+v, want %+v", name, list, c.want)
		}
	}
}

// The explanation says why a loop polls, and which calls need most stack.
func TestExplain(t *testing.T) {
	lib := testLib(t)
	for sample, want := range map[string]string{"spin": "", "recurse": "more than once"} {
		r, said, err := build(t, lib, sample)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		e, err := Explain(r.ReportPath)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Programs) != 1 || len(e.Programs[0].Path) == 0 || e.Limit == 0 || len(e.Functions) == 0 {
			t.Errorf("%s: %+v", sample, e)
		}
		if sample == "spin" && (e.Polled == 0 || e.Polled > e.Loops) {
			t.Errorf("%s: %d of %d loops polled", sample, e.Polled, e.Loops)
		}
		if !slices.ContainsFunc(e.Functions, func(f FunctionExplanation) bool { return strings.Contains(f.StackCheck, want) }) {
			t.Errorf("%s: no function's stack check says %q: %+v", sample, want, e.Functions)
		}
		for _, f := range e.Functions {
			for _, l := range f.Loops {
				if l.Why == "" || l.At == "" {
					t.Errorf("%s: %s: %+v", sample, f.Name, l)
				}
			}
		}
	}
}
