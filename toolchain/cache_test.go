// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is kept is taken only for the very same project, and gives the very same files.
func TestCache(t *testing.T) {
	lib := testLib(t)
	dir := copySample(t, "spin", t.TempDir())
	edit(t, dir, [3]string{"Cargo.toml", `"../../iu"`, `"` + filepath.Join(lib, "crate", "iu") + `"`},
		[3]string{"src/lib.rs", "use iu::prelude::*;\n", "use iu::prelude::*;\npub const DATA: &[u8] = include_bytes!(\"data\");\n"}, [3]string{"src/data", "", "x"})
	opts := Options{Dir: dir, LibDir: lib}
	build := func() map[string][]byte {
		t.Helper()
		r, err := Build(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		for _, path := range []string{r.ObjectPath, r.DebugPath, r.ReportPath, r.ManifestPath, r.ProvenancePath, r.SBOMPath} {
			if files[path], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
	var place string
	hit := func() bool {
		t.Helper()
		b, err := newBuilder(opts)
		if err == nil {
			err = b.prepare(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		place = b.cacheDirOf()
		_, ok := b.fromCache(t.TempDir())
		return ok
	}
	first := build()
	if !hit() {
		t.Fatal("nothing is kept")
	}
	for path, b := range build() {
		if !bytes.Equal(b, first[path]) {
			t.Errorf("%s is another out of the cache", path)
		}
	}
	for name, file := range map[string]string{
		"source": filepath.Join(dir, "src/lib.rs"), "included data": filepath.Join(dir, "src/data"),
		"project": filepath.Join(dir, "iupkg.toml"), "Cargo": filepath.Join(dir, "Cargo.toml"), "kept object": "object.o", "kept report": "report.json",
		"list": "kept.json",
	} {
		if !filepath.IsAbs(file) {
			file = filepath.Join(place, file)
		}
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		changed := append(bytes.Clone(old), "\n# x"...)
		if filepath.Base(file) == "lib.rs" {
			changed = append(bytes.Clone(old), "// x\n"...)
		}
		for i, text := range [][]byte{changed, old} {
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
			if got := hit(); got != (i == 1) {
				t.Errorf("%s changed %d: hit %v", name, i, got)
			}
		}
	}
	// A file that was not there may be a module, a link may lead elsewhere.
	more := filepath.Join(dir, "src/more.rs")
	if err := os.WriteFile(more, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if hit() {
		t.Error("a new file is not seen")
	}
	if err := os.Remove(more); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(outside, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "src/data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "src/data")); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(t.Context(), opts); err == nil {
		t.Error("data outside of the project were taken out of the cache")
	}
}
