// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed compiler_builtins.rs
var compilerBuiltins string

// sysrootVersion is raised when what Sysroot does changes otherwise than in flags
// and embedded files.
const sysrootVersion = "1"

// Sysroot returns the folder of core for the kernel target, building it first if
// the cache has none for this compiler and these flags. That takes about half a
// minute; builds at the same time wait for each other.
func Sysroot(ctx context.Context, cacheDir string) (string, error) {
	t, err := findTools()
	if err != nil {
		return "", err
	}
	return t.sysroot(ctx, cacheDir)
}

func (t *tools) sysroot(ctx context.Context, cacheDir string) (string, error) {
	parts := append([]string{sysrootVersion, t.rustcVersion, t.rustSource, compilerBuiltins}, codegenFlags...)
	dir := filepath.Join(cacheDir, "sysroot-"+hashOf(parts...)[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(ctx, filepath.Join(cacheDir, "sysroot.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp, err := os.MkdirTemp(cacheDir, ".sysroot-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := t.buildSysroot(ctx, tmp); err != nil {
		return "", fmt.Errorf("core for the kernel target: %w", err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

func (t *tools) buildSysroot(ctx context.Context, dir string) error {
	lib := filepath.Join(dir, "lib/rustlib", target, "lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		return err
	}
	stub := filepath.Join(dir, "compiler_builtins.rs")
	if err := os.WriteFile(stub, []byte(compilerBuiltins), 0o644); err != nil {
		return err
	}
	for _, crate := range []struct{ name, source string }{
		{"core", filepath.Join(t.rustSource, "core/src/lib.rs")},
		{"compiler_builtins", stub},
	} {
		args := []string{"--crate-name", crate.name, "--crate-type", "rlib", "--edition", "2024",
			"--target", target, "--sysroot", dir, "--cap-lints", "allow", "-Cmetadata=iupkg-" + crate.name,
			"--remap-path-prefix", t.rustSource + "=library", "--remap-path-prefix", dir + "=library",
			"-o", filepath.Join(lib, "lib"+crate.name+".rlib")}
		args = append(append(args, codegenFlags...), crate.source)
		c := command{path: t.rustc, args: args, dir: dir, env: []string{"RUSTC_BOOTSTRAP=1"}}
		if _, err := c.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// DefaultCacheDir is $XDG_CACHE_HOME/iupkg, or ~/.cache/iupkg.
func DefaultCacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "iupkg"), nil
}

// remap is the flag that keeps a folder's path out of an object.
func remap(from, to string) string {
	return "--remap-path-prefix=" + strings.TrimSuffix(from, "/") + "=" + to
}
