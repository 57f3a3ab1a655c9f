// SPDX-License-Identifier: Apache-2.0

// Package arrows has one test: that packages import one another only along the
// arrows that the design draws (docs/architecture.md). A new arrow is a
// decision, made by editing the table here.
package arrows

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/iupkg/iupkg"

// A unit is a folder with all below it, but for what is a unit itself.
//
// arrows says which units the code of a unit may import.
var arrows = map[string][]string{
	// Programs: nobody imports them.
	"cmd":               {"install", "resolve", "index", "registry", "signing", "kernel", "kernel/vm", "manifest", "toolchain"},
	"bench":             {"internal/marked", "internal/sideload", "internal/torture/point", "internal/universe", "index", "kernel", "kernel/vm", "manifest", "registry", "resolve", "signing"},
	"internal/universe": {"manifest"},
	"internal/demo":     {"internal/testbed", "kernel/vm"},
	"internal/testbed":  {"kernel", "kernel/vm", "manifest"},
	"internal/sideload": {"signing", "kernel", "manifest"},
	"internal/torture":  {"internal/marked", "internal/sideload", "internal/torture/point", "kernel", "kernel/vm", "manifest"},
	"internal/vmtest":   {},
	"internal/formats":  {},
	"internal/arrows":   {},
	"scripts":           {"toolchain"},

	"install":   {"registry", "signing", "kernel", "manifest"},
	"index":     {"signing", "manifest"},
	"resolve":   {"manifest"},
	"registry":  {"manifest"},
	"toolchain": {"manifest", "kernel"},
	"kernel":    {"manifest"},
	"kernel/vm": {"kernel", "manifest"},

	// Leaves.
	"internal/crash":         {},
	"internal/marked":        {},
	"internal/others":        {},
	"internal/sigstoretest":  {},
	"internal/torture/point": {},
	"manifest":               {},
	"signing":                {},
}

// testArrows says what the tests of a unit may import beside that.
var testArrows = map[string][]string{
	// The tests of the kernel's edge run in machines, on signed objects.
	"kernel":  {"kernel/vm", "signing"},
	"resolve": {"internal/universe"},
	// The index is tested in a registry, which is what it is published to.
	"index":           {"registry", "internal/others"},
	"registry":        {"internal/others"},
	"internal/vmtest": {"internal/testbed", "internal/crash", "install", "kernel", "kernel/vm", "manifest", "signing", "toolchain"},
	"cmd":             {"internal/testbed", "internal/sigstoretest"},
	// Formats are held to their schemas and golden files, all in one place.
	"internal/formats": {"index", "manifest", "registry", "signing"},
	// Transactions are killed and have the power cut.
	"install": {"internal/crash"},
}

// pure are units without input and output of their own: what of the standard
// library they may not import, and all of what others wrote that they may.
var pure = []string{"manifest", "resolve"}

var impure = []string{"os", "net", "syscall", "io/ioutil", "plugin", "unsafe", "C", "log", "math/rand", "math/rand/v2"}

var pureDependencies = []string{"github.com/Masterminds/semver/v3", "github.com/pelletier/go-toml/v2"}

type pkg struct {
	ImportPath, Dir                    string
	Imports, TestImports, XTestImports []string
}

func TestArrows(t *testing.T) {
	pkgs := list(t)
	if len(pkgs) < 5 {
		t.Fatalf("go list found %d packages", len(pkgs))
	}
	for _, p := range pkgs {
		from := unit(p.ImportPath)
		if from == "" {
			t.Errorf("%s is in no unit: decide where it stands", p.ImportPath)
			continue
		}
		check(t, p, p.Imports, arrows[from], "")
		tests := slices.Concat(p.TestImports, p.XTestImports)
		check(t, p, tests, slices.Concat(arrows[from], testArrows[from]), "tests of ")
		if slices.Contains(pure, from) {
			checkPure(t, p)
		}
	}
}

func check(t *testing.T, p pkg, imports, allowed []string, what string) {
	t.Helper()
	from := unit(p.ImportPath)
	for _, i := range imports {
		if i != module && !strings.HasPrefix(i, module+"/") {
			continue
		}
		if to := unit(i); to != from && !slices.Contains(allowed, to) {
			t.Errorf("%s%s may not import %s: allowed are %v", what, p.ImportPath, i, allowed)
		}
	}
}

func checkPure(t *testing.T, p pkg) {
	t.Helper()
	for _, i := range p.Imports {
		first, _, path := strings.Cut(i, "/")
		switch {
		case strings.HasPrefix(i, module+"/"):
		case strings.Contains(first, "."):
			if !slices.ContainsFunc(pureDependencies, func(d string) bool { return i == d || strings.HasPrefix(i, d+"/") }) {
				t.Errorf("%s may not import %s: it is to do without", p.ImportPath, i)
			}
		case slices.Contains(impure, i), path && i != "net/url" && slices.Contains([]string{"os", "net"}, first):
			t.Errorf("%s may not import %s: it does no input or output", p.ImportPath, i)
		}
	}
}

// unit returns the longest unit that an import path is in.
func unit(path string) string {
	rel := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	best := ""
	for u := range arrows {
		if (rel == u || strings.HasPrefix(rel, u+"/")) && len(u) > len(best) {
			best = u
		}
	}
	return best
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// The test can fail.
func TestArrowsThatAreNotThere(t *testing.T) {
	for path, want := range map[string]string{
		module + "/manifest":            "manifest",
		module + "/kernel/vm/agent":     "kernel/vm",
		module + "/kernel/module/tools": "kernel",
		module + "/cmd/iupkg":           "cmd",
		module + "/newthing":            "",
		module + "/manifesto":           "",
	} {
		if got := unit(path); got != want {
			t.Errorf("%s is in %q, want %q", path, got, want)
		}
	}
	for _, bad := range []string{"install", "kernel/vm", "cmd"} {
		if slices.Contains(arrows["resolve"], bad) || slices.Contains(arrows["kernel"], bad) {
			t.Errorf("%s stands above what imports it", bad)
		}
	}
}
