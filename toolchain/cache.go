// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What compiler, pass and code generator made of a project is kept, one for each folder and
// variant, and taken again if nothing has changed that went into it: all is compared by
// content. Vetting, bounds, manifest, provenance and SBOM are made anew each time.

// cacheVersion is raised when what is kept changes its meaning.
const cacheVersion = "1"

// kept is what the cache has of a project.
type kept struct {
	// Key is the hash of everything but the sources.
	Key string `json:"key"`
	// Sources has the hash of each file that the compiler read.
	Sources map[string]string `json:"sources"`
	// Names is the hash of the names of all files of the project: a new one may be a module.
	Names string `json:"names"`
	// Files has the hash of each of keptFiles.
	Files map[string]string `json:"files"`
}

var keptFiles = []string{fileReport, fileRaw, fileDebug, fileObject}

func (b *builder) cacheDirOf() string {
	return filepath.Join(b.cacheDir, "built", hashOf(append([]string{b.dir}, b.variantFlags()...)...)[:32])
}

// cacheKey is what a build depends on beside the project's sources.
func (b *builder) cacheKey() (string, error) {
	pass, err := os.ReadFile(b.passPath())
	if err != nil {
		return "", err
	}
	parts := []string{cacheVersion, b.tools.rustcVersion, b.tools.llvmVersion, b.sysroot, rustcWrapper, sha(pass), b.dir, b.opts.Version}
	for _, tool := range []string{b.tools.rustc, filepath.Join(b.tools.llvm, "opt"), filepath.Join(b.tools.llvm, "llc")} {
		info, err := os.Stat(tool)
		if err != nil {
			return "", err
		}
		parts = append(parts, tool, info.ModTime().String(), fmt.Sprint(info.Size()))
	}
	parts = slices.Concat(parts, codegenFlags, profile, crateFlags, b.variantFlags(), notInKernel)
	for _, d := range b.crate.deps {
		parts = append(parts, d.name, d.version, d.dir, d.checksum, d.dirHash)
	}
	for _, f := range []string{"Cargo.toml", "Cargo.lock", "iupkg.toml"} {
		text, err := os.ReadFile(filepath.Join(b.dir, f))
		if err != nil {
			return "", err
		}
		parts = append(parts, sha(text))
	}
	return hashOf(parts...), nil
}

// projectNames is the hash of the names of the project's files.
func (b *builder) projectNames() (string, error) {
	var names []string
	err := filepath.WalkDir(b.dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != b.dir && (e.Name() == "target" || strings.HasPrefix(e.Name(), ".")):
			return fs.SkipDir
		}
		names = append(names, path)
		return nil
	})
	return hashOf(names...), err
}

// fromCache puts what is kept into work and returns the sources that it is made of; false
// if there is nothing that fits.
func (b *builder) fromCache(work string) ([]string, bool) {
	dir := b.cacheDirOf()
	text, err := os.ReadFile(filepath.Join(dir, "kept.json"))
	if err != nil {
		return nil, false
	}
	var k kept
	if json.Unmarshal(text, &k) != nil || len(k.Sources) == 0 {
		return nil, false
	}
	if key, err := b.cacheKey(); err != nil || key != k.Key {
		return nil, false
	}
	if names, err := b.projectNames(); err != nil || names != k.Names {
		return nil, false
	}
	var sources []string
	for path, want := range k.Sources {
		text, err := os.ReadFile(path)
		if err != nil || sha(text) != want {
			return nil, false
		}
		sources = append(sources, path)
	}
	for _, f := range keptFiles {
		data, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil || sha(data) != k.Files[f] || os.WriteFile(filepath.Join(work, f), data, 0o600) != nil {
			return nil, false
		}
	}
	slices.Sort(sources)
	return sources, true
}

// sourceHashes hashes what the compiler has read, before it is known whether that has
// changed meanwhile: toCache compares.
func sourceHashes(sources []string) (map[string]string, error) {
	out := map[string]string{}
	for _, path := range sources {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		out[path] = sha(text)
	}
	return out, nil
}

// toCache keeps what is in work. That it cannot is no failure of the build.
func (b *builder) toCache(work string, sources map[string]string) {
	k := kept{Sources: sources, Files: map[string]string{}}
	var err error
	if k.Key, err = b.cacheKey(); err != nil {
		return
	}
	if k.Names, err = b.projectNames(); err != nil {
		return
	}
	dir := b.cacheDirOf()
	// First: half of it must not look whole.
	if os.Remove(filepath.Join(dir, "kept.json")) != nil && os.MkdirAll(dir, 0o755) != nil {
		return
	}
	for _, f := range keptFiles {
		data, err := os.ReadFile(filepath.Join(work, f))
		if err != nil || os.WriteFile(filepath.Join(dir, f), data, 0o644) != nil {
			return
		}
		k.Files[f] = sha(data)
	}
	if text, err := json.Marshal(k); err == nil {
		_ = writeFile(filepath.Join(dir, "kept.json"), text, 0o644)
	}
}

// compileAndLink leaves keptFiles in work, and returns the sources that they are made of.
func (b *builder) compileAndLink(ctx context.Context, work string) ([]string, error) {
	if sources, ok := b.fromCache(work); ok {
		return sources, b.scan(sources) // a file may be a link now
	}
	began := newestFile(b.dir)
	sources, views, err := b.compile(ctx, filepath.Join(work, fileArchive))
	if err != nil {
		return nil, err
	}
	hashes, err := sourceHashes(sources)
	if err != nil {
		return nil, err
	}
	if err := b.scan(sources); err != nil {
		return nil, err
	}
	if err := views.check(); err != nil {
		return nil, err
	}
	if err := b.link(ctx, work); err != nil {
		return nil, err
	}
	if err := b.split(ctx, work); err != nil {
		return nil, err
	}
	// What was edited meanwhile is not what was compiled.
	if newestFile(b.dir) == began {
		b.toCache(work, hashes)
	}
	return sources, nil
}

// newestFile is when a file of the project was last changed, as text; it differs between two
// looks if one was changed in between.
func newestFile(dir string) string {
	var newest string
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && path != dir && (e.Name() == "target" || strings.HasPrefix(e.Name(), ".")) {
			return fs.SkipDir
		}
		if info, err := e.Info(); err == nil && !e.IsDir() {
			newest = max(newest, info.ModTime().UTC().Format("2006-01-02T15:04:05.000000000")+path)
		}
		return nil
	})
	return newest
}
