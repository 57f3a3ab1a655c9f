// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// What a Cargo.toml may say: all else might change what the compiler does (profiles' flags,
// code generators, patched crates), now or in a later cargo.
var (
	cargoTables = []string{"package", "lib", "dependencies", "dev-dependencies", "features", "lints", "workspace",
		"target", "example", "test", "bench", "badges"}
	cargoProfiles = []string{"dev", "test", "bench"} // not what objects are built with
	cargoPackage  = []string{"name", "version", "edition", "rust-version", "description", "license", "license-file", "repository",
		"homepage", "documentation", "readme", "keywords", "categories", "authors", "publish", "include", "exclude", "metadata",
		"autolib", "autobins", "autoexamples", "autotests", "autobenches", "workspace", "resolver"}
	cargoLib       = []string{"name", "path", "crate-type", "test", "doctest", "bench", "doc", "doc-scrape-examples"}
	cargoWorkspace = []string{"members", "exclude", "default-members", "package", "dependencies", "lints", "metadata", "resolver"}
	cargoTarget    = []string{"dependencies", "dev-dependencies"}
)

// checkCargoToml refuses a Cargo.toml, of the project or of its workspace, that says
// more than what an extension needs.
func checkCargoToml(file string, text []byte) error {
	var all map[string]any
	if err := toml.NewDecoder(bytes.NewReader(text)).Decode(&all); err != nil {
		return &RuleError{File: file, Rule: err.Error()}
	}
	bad := func(path ...string) error {
		return &RuleError{File: file, Line: lineOfKey(text, path), Rule: strings.Join(path, ".") + " is not allowed in an extension",
			Why: "how an extension is compiled is the toolchain's affair"}
	}
	keys := func(allowed []string, path ...string) error {
		var at any = all
		for _, p := range path {
			table, ok := at.(map[string]any)
			if !ok {
				return nil
			}
			at = table[p]
		}
		table, _ := at.(map[string]any)
		for _, k := range sortedKeys(table) {
			if !slices.Contains(allowed, k) {
				return bad(append(path, k)...)
			}
		}
		return nil
	}
	profiles, _ := all["profile"].(map[string]any)
	delete(all, "profile")
	for _, p := range sortedKeys(profiles) {
		if !slices.Contains(cargoProfiles, p) {
			return bad("profile", p)
		}
	}
	checks := []error{keys(cargoTables), keys(cargoPackage, "package"), keys(cargoLib, "lib"), keys(cargoWorkspace, "workspace")}
	if targets, ok := all["target"].(map[string]any); ok {
		for _, t := range sortedKeys(targets) {
			checks = append(checks, keys(cargoTarget, "target", t))
		}
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	if lib, ok := all["lib"].(map[string]any); ok {
		if path, ok := lib["path"]; ok && path != "src/lib.rs" {
			return &RuleError{File: file, Line: lineOfKey(text, []string{"lib", "path"}), Rule: "lib.path is not src/lib.rs"}
		}
	}
	return nil
}

// lineOfKey is where the last word of a key, or the table of that name, stands: good
// enough for a message, 0 if it is not found.
func lineOfKey(text []byte, path []string) int {
	key := path[len(path)-1]
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		before, _, assigned := strings.Cut(line, "=")
		before = strings.TrimSpace(before)
		if assigned && (before == key || strings.HasSuffix(before, "."+key)) ||
			strings.HasPrefix(line, "[") && strings.Trim(line, "[] ") == strings.Join(path, ".") {
			return i + 1
		}
	}
	return 0
}

// checkCargoTomls checks the project's and the workspace's.
func (b *builder) checkCargoTomls(files ...string) error {
	for _, f := range slices.Compact(files) {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := checkCargoToml(b.rel(f), text); err != nil {
			return err
		}
	}
	return nil
}

// checkNames refuses a dependency under another name: iu's macros call their crates by name.
func (m *metadata) checkNames() error {
	for _, n := range m.Resolve.Nodes {
		if n.ID != m.Resolve.Root {
			continue
		}
		for _, d := range n.Deps {
			i := slices.IndexFunc(m.Packages, func(p metaPackage) bool { return p.ID == d.Pkg })
			if i >= 0 && d.Name != strings.ReplaceAll(m.Packages[i].Name, "-", "_") {
				return &RuleError{File: "Cargo.toml", Rule: fmt.Sprintf("dependency %s is named %s here", m.Packages[i].Name, d.Name),
					Why: "crates have the same name in every extension"}
			}
		}
	}
	return nil
}
