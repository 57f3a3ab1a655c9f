// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// vettedLock is the lock file of the crate iu: the crates that may go into an
// object or run while it is made. A test compares it with runtime-crate/iu.
//
//go:embed vetted.lock
var vettedLock []byte

// edition of the language that extensions are written in.
const edition = "2024"

const cratesIO = "registry+https://github.com/rust-lang/crates.io-index"

// lockPackage is an entry of a Cargo.lock.
type lockPackage struct {
	Name     string `toml:"name"`
	Version  string `toml:"version"`
	Source   string `toml:"source"`
	Checksum string `toml:"checksum"`
}

func parseLock(b []byte) ([]lockPackage, error) {
	var l struct {
		Package []lockPackage `toml:"package"`
	}
	if err := toml.NewDecoder(bytes.NewReader(b)).Decode(&l); err != nil {
		return nil, err
	}
	return l.Package, nil
}

// ownCrates are the toolchain's, compared by content. The others are vetted by
// version and checksum; of those, the ones that end in objects have fixed features.
var (
	ownCrates      = []string{"iu", "iu-macros"}
	vettedFeatures = map[string][]string{"zerocopy": {"derive", "zerocopy-derive"}}
)

// crate is a project's crate after vetting.
type crate struct {
	name string // as in Cargo.toml
	lib  string // name of the library, an identifier
	deps []dependency
}

// dependency is a crate that takes part in a build.
type dependency struct {
	name, version string
	dir           string
	license       string
	checksum      string // crates.io's; "" for the toolchain's own
	dirHash       string // of the toolchain's own
	linked        bool   // into the object, in contrast to macros
}

// metadata is what is used of the output of cargo metadata.
type metadata struct {
	Packages []metaPackage `json:"packages"`
	Resolve  struct {
		Root  string     `json:"root"`
		Nodes []metaNode `json:"nodes"`
	} `json:"resolve"`
	WorkspaceRoot string `json:"workspace_root"`
}

type metaPackage struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Version  string  `json:"version"`
	Source   *string `json:"source"` // nil: a folder
	License  string  `json:"license"`
	Manifest string  `json:"manifest_path"`
	Edition  string  `json:"edition"`
	Targets  []struct {
		Kind   []string `json:"kind"`
		Name   string   `json:"name"`
		Source string   `json:"src_path"`
	} `json:"targets"`
}

type metaNode struct {
	ID       string   `json:"id"`
	Features []string `json:"features"`
	Deps     []struct {
		Name  string `json:"name"` // as the crate calls it
		Pkg   string `json:"pkg"`
		Kinds []struct {
			Kind *string `json:"kind"` // nil: normal
		} `json:"dep_kinds"`
	} `json:"deps"`
}

// vet asks cargo which crates the project is made of and refuses those that are
// not known.
func (b *builder) vet(ctx context.Context) (*crate, error) {
	begins(ctx, stepVet)
	manifestPath := filepath.Join(b.dir, "Cargo.toml")
	if _, err := os.Stat(manifestPath); err != nil {
		return nil, &RuleError{File: "Cargo.toml", Rule: "is missing", Why: "an extension is a Cargo package; `iupkg new` makes one"}
	}
	// Before cargo reads it: an unstable feature may make cargo itself run something.
	if err := b.checkCargoTomls(manifestPath); err != nil {
		return nil, err
	}
	args := []string{"metadata", "--format-version=1", "--filter-platform=" + target, "--manifest-path=" + manifestPath}
	// Without a lock file, cargo makes one: iu asks for exact versions, so it
	// comes out as vetted.
	if _, err := os.Stat(filepath.Join(b.dir, "Cargo.lock")); err == nil {
		args = append(args, "--locked")
	}
	out, err := b.cargo(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	var m metadata
	if err := json.Unmarshal(out, &m); err != nil {
		return nil, fmt.Errorf("cargo metadata: %w", err)
	}
	if err := b.checkCargoTomls(manifestPath, filepath.Join(m.WorkspaceRoot, "Cargo.toml")); err != nil {
		return nil, err
	}
	lock, err := os.ReadFile(filepath.Join(m.WorkspaceRoot, "Cargo.lock"))
	if err != nil {
		return nil, err
	}
	return m.check(b, lock)
}

func (m *metadata) check(b *builder, lock []byte) (*crate, error) {
	known, err := parseLock(vettedLock)
	if err != nil {
		return nil, fmt.Errorf("vetted.lock: %w", err)
	}
	locked, err := parseLock(lock)
	if err != nil {
		return nil, &RuleError{File: "Cargo.lock", Rule: err.Error()}
	}
	if err := m.checkNames(); err != nil {
		return nil, err
	}
	c := &crate{}
	order, linked := m.buildOrder()
	for _, i := range order {
		p := &m.Packages[i]
		if p.ID == m.Resolve.Root {
			if c.name, c.lib, err = p.root(b, known); err != nil {
				return nil, err
			}
			continue
		}
		dep := dependency{name: p.Name, version: p.Version, dir: filepath.Dir(p.Manifest), license: p.License, linked: linked[i]}
		if p.Source == nil && slices.Contains(ownCrates, p.Name) {
			dep.dirHash, err = b.sameCrate(dep, p)
		} else if dep.checksum, err = vetted(known, locked, dep, p.Source); err == nil {
			err = sameContent(dep)
		}
		if err == nil {
			err = m.checkFeatures(p)
		}
		if err != nil {
			return nil, err
		}
		c.deps = append(c.deps, dep)
	}
	return c, nil
}

// root checks the project's own package.
func (p *metaPackage) root(b *builder, known []lockPackage) (name, lib string, err error) {
	if slices.ContainsFunc(known, func(k lockPackage) bool { return k.Name == p.Name }) {
		return "", "", &RuleError{File: "Cargo.toml", Rule: p.Name + " is the name of a crate of the toolchain"}
	}
	// The scan splits sources as this edition does.
	if p.Edition != edition {
		return "", "", &RuleError{File: "Cargo.toml", Rule: "edition is " + p.Edition, Why: `set edition = "` + edition + `"`}
	}
	for _, t := range p.Targets {
		switch {
		case slices.Contains(t.Kind, "custom-build"):
			return "", "", &RuleError{File: b.rel(t.Source), Rule: "an extension has no build script",
				Why: "what it would make belongs in the sources, where others can read it"}
		case slices.Contains(t.Kind, "proc-macro"):
			return "", "", &RuleError{File: "Cargo.toml", Rule: "an extension is not a procedural macro"}
		case slices.ContainsFunc(t.Kind, func(k string) bool { return strings.HasSuffix(k, "lib") }):
			lib = t.Name
		}
	}
	if lib != "" && lib != strings.ReplaceAll(p.Name, "-", "_") {
		return "", "", &RuleError{File: "Cargo.toml", Rule: "the library is named " + lib, Why: "it has the package's name"}
	}
	if lib == "" {
		return "", "", &RuleError{File: "Cargo.toml", Rule: "the package has no library", Why: "the programs of an extension are in src/lib.rs"}
	}
	return p.Name, lib, nil
}

func (m *metadata) checkFeatures(p *metaPackage) error {
	allowed, fixed := vettedFeatures[p.Name]
	for _, n := range m.Resolve.Nodes {
		if n.ID != p.ID {
			continue
		}
		for _, f := range n.Features {
			if fixed && !slices.Contains(allowed, f) {
				return &RuleError{File: "Cargo.toml", Rule: fmt.Sprintf("feature %q of %s is not vetted", f, p.Name)}
			}
		}
	}
	return nil
}

// buildOrder lists the packages that the root's library is built from: tests'
// dependencies are not among them. The root is first. linked are those of which
// code gets into the object: not macros, nor what only they are made of.
func (m *metadata) buildOrder() (order []int, linked map[int]bool) {
	linked = map[int]bool{}
	var visit func(id string, link bool)
	visit = func(id string, link bool) {
		i := slices.IndexFunc(m.Packages, func(p metaPackage) bool { return p.ID == id })
		if i < 0 {
			return
		}
		link = link && !m.Packages[i].macro()
		seen := slices.Contains(order, i)
		if seen && (!link || linked[i]) {
			return
		}
		if !seen {
			order = append(order, i)
		}
		linked[i] = link
		for _, n := range m.Resolve.Nodes {
			if n.ID != id {
				continue
			}
			for _, d := range n.Deps {
				for _, k := range d.Kinds {
					if k.Kind == nil || *k.Kind != "dev" {
						visit(d.Pkg, link && k.Kind == nil)
						break
					}
				}
			}
		}
	}
	visit(m.Resolve.Root, true)
	return order, linked
}

func (p *metaPackage) macro() bool {
	for _, t := range p.Targets {
		if slices.Contains(t.Kind, "proc-macro") {
			return true
		}
	}
	return false
}

// vetted checks a crate of the registry against the list and returns its checksum.
func vetted(known, locked []lockPackage, d dependency, source *string) (string, error) {
	i := slices.IndexFunc(known, func(k lockPackage) bool { return k.Name == d.name && k.Checksum != "" })
	if i < 0 {
		var names []string
		for _, k := range known {
			names = append(names, k.Name)
		}
		return "", &RuleError{File: "Cargo.toml", Rule: fmt.Sprintf("dependency %s is not vetted", d.name),
			Why: "what goes into the kernel is read by somebody first; there are " + strings.Join(names, ", ")}
	}
	k := known[i]
	if source == nil || *source != cratesIO {
		return "", &RuleError{File: "Cargo.toml", Rule: fmt.Sprintf("dependency %s is not crates.io's", d.name)}
	}
	for _, l := range locked {
		if l.Name == d.name && l.Version == d.version {
			if l.Version == k.Version && l.Source == cratesIO && l.Checksum == k.Checksum {
				return k.Checksum, nil
			}
			break
		}
	}
	return "", &RuleError{File: "Cargo.lock", Rule: fmt.Sprintf("dependency %s %s is not the vetted one, %s", d.name, d.version, k.Version),
		Why: fmt.Sprintf("run `cargo update -p %s --precise %s`", d.name, k.Version)}
}

// vettedSums has, for each crate of the registry, what compileHash is of its files. cargo checks
// the archive that it fetches, but not the files that it unpacked once, nor those of a folder that
// somebody's configuration puts in the registry's place.
//
//go:embed vetted.sums
var vettedSums string

func sameContent(d dependency) error {
	want := ""
	for line := range strings.Lines(vettedSums) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == d.name && f[1] == d.version {
			want = f[2]
		}
	}
	got, err := compileHash(d.dir)
	if err != nil {
		return err
	}
	if got != want {
		return &RuleError{File: d.dir, Rule: fmt.Sprintf("the files of %s %s are not those that were vetted", d.name, d.version),
			Why: "remove this folder, and whatever puts another source in the place of crates.io"}
	}
	return nil
}

// compileHash is the dirHash of what is compiled of a crate, its build script included.
func compileHash(dir string) (string, error) {
	return filesHash(dir, "Cargo.toml", "build.rs", "build", "src")
}

// sameCrate compares a crate of the toolchain that the project uses with the
// toolchain's own copy.
func (b *builder) sameCrate(d dependency, p *metaPackage) (string, error) {
	for _, t := range p.Targets {
		// Not in the digest, but cargo would run it.
		if slices.Contains(t.Kind, "custom-build") {
			return "", &RuleError{File: t.Source, Rule: p.Name + " has no build script"}
		}
	}
	if inside(b.dir, d.dir) {
		return "", &RuleError{File: "Cargo.toml", Rule: "the crate " + d.name + " is in the project's own folder", Why: "it is the toolchain's"}
	}
	own := filepath.Join(b.libDir, "crate", d.name)
	want, err := crateHash(own)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &MissingError{What: own}
	} else if err != nil {
		return "", err
	}
	got, err := crateHash(d.dir)
	if err != nil {
		return "", err
	}
	if got != want {
		return "", &RuleError{File: "Cargo.toml", Rule: fmt.Sprintf("%s is not the crate that this toolchain vouches for", d.dir),
			Why: fmt.Sprintf("depend on %s = { path = %q }, or build iupkg from the same sources", d.name, own)}
	}
	return got, nil
}

// crateHash is the dirHash of what cargo reads of a crate of ours: Cargo.toml and src.
func crateHash(dir string) (string, error) { return filesHash(dir, "Cargo.toml", "src") }

// filesHash is the dirHash of files and folders in dir, of which all but the first may be missing.
func filesHash(dir string, names ...string) (string, error) {
	files := map[string][]byte{}
	for i, name := range names {
		err := filepath.WalkDir(filepath.Join(dir, name), func(path string, e fs.DirEntry, err error) error {
			if i > 0 && errors.Is(err, fs.ErrNotExist) && path == filepath.Join(dir, name) {
				return nil
			}
			if err != nil || e.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			files[filepath.ToSlash(rel)], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return dirHash(files), nil
}
