// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// Every template builds, and its own tests pass.
func TestNew(t *testing.T) {
	lib := testLib(t)
	for _, hook := range manifest.Hooks() {
		t.Run(string(hook), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "project")
			if err := New(dir, "my-"+strings.ReplaceAll(string(hook), "_", "-"), hook, lib); err != nil {
				t.Fatal(err)
			}
			if err := New(dir, "again", hook, lib); err == nil || !strings.Contains(err.Error(), "not empty") {
				t.Errorf("over a project: %v", err)
			}
			lock, err := os.ReadFile(filepath.Join(dir, "Cargo.lock"))
			if err != nil {
				t.Fatal(err)
			}
			var said []int
			ctx := WithProgress(t.Context(), func(done, total int, what string) {
				if total != len(steps) || what != steps[done] {
					t.Errorf("step %d of %d is %q", done, total, what)
				}
				said = append(said, done)
			})
			r, err := Build(ctx, Options{Dir: dir, LibDir: lib, Stderr: os.Stderr})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSorted(said) || len(slices.Compact(slices.Clone(said))) != len(said) || len(said) < 3 || said[0] != 0 || said[len(said)-1] != len(steps)-1 {
				t.Errorf("steps said: %v", said)
			}
			if len(r.Manifest.Programs) != 1 || r.Manifest.Programs[0].Hook != hook || r.Manifest.Programs[0].Stack == 0 {
				t.Errorf("programs %+v", r.Manifest.Programs)
			}
			if now, err := os.ReadFile(filepath.Join(dir, "Cargo.lock")); err != nil || string(now) != string(lock) {
				t.Errorf("cargo changed the lock file of the template to\n%s", now)
			}
			if testing.Short() {
				t.Skip("its own tests: not with -short")
			}
			cmd := exec.CommandContext(t.Context(), "/usr/bin/cargo", "test", "--quiet", "--locked")
			cmd.Dir = dir
			// One folder for both, so that iu is compiled once.
			cmd.Env = append(os.Environ(), "RUSTC=/usr/bin/rustc", "RUSTDOC=/usr/bin/rustdoc",
				"CARGO_TARGET_DIR="+hostTarget(t))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("cargo test: %v\n%s", err, out)
			}
		})
	}
}

// hostTarget is cargo's folder for tests in user space, kept between runs.
func hostTarget(t *testing.T) string {
	t.Helper()
	cache, err := DefaultCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cache, "test-host")
}

func TestNewRefuses(t *testing.T) {
	lib := t.TempDir()
	if err := os.MkdirAll(filepath.Join(lib, "crate", "iu"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		hook manifest.Hook
		lib  string
		want string
	}{
		{"Bad", "xdp", lib, "is not a package name"},
		{"good", "lsm2", lib, "is not a hook"},
		{"good", "xdp", t.TempDir(), "is missing"},
	} {
		dir := filepath.Join(t.TempDir(), "p")
		if err := New(dir, c.name, c.hook, c.lib); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%q, %q): %v, want %q", c.name, c.hook, err, c.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("New(%q, %q) left a folder", c.name, c.hook)
		}
	}
}
