// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

const samples = "../runtime-crate/samples"

// testLib is a lib/iupkg of the repository's own sources and the plugin that
// make build has left.
func testLib(t *testing.T) string {
	t.Helper()
	var missing *MissingError
	if _, err := findTools(); errors.As(err, &missing) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	plugin, err := filepath.Abs("../lib/iupkg/llvm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(plugin, "iu-pass.so")); err != nil {
		t.Skip("the pass plugin is not built: run `make build`")
	}
	crates, err := filepath.Abs("../runtime-crate")
	if err != nil {
		t.Fatal(err)
	}
	lib := t.TempDir()
	for name, to := range map[string]string{"llvm": plugin, "crate": crates} {
		if err := os.Symlink(to, filepath.Join(lib, name)); err != nil {
			t.Fatal(err)
		}
	}
	return lib
}

// copySample copies a sample to dir and makes its path to iu absolute.
func copySample(t *testing.T, name, dir string) string {
	t.Helper()
	dir = filepath.Join(dir, name)
	src := os.DirFS(filepath.Join(samples, name))
	err := fs.WalkDir(src, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == "target" {
			return fs.SkipDir
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(dir, path), 0o755)
		}
		b, err := fs.ReadFile(src, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBuildSample(t *testing.T) {
	lib := testLib(t)
	r, err := Build(t.Context(), Options{Dir: filepath.Join(samples, "xdp_count"), LibDir: lib, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r.Manifest)
}
