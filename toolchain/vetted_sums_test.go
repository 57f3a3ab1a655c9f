// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vetted.sums is what the registry's archives hold: those of vetted.lock, as cargo has
// checked and unpacked them. IUPKG_UPDATE writes it.
func TestVettedSums(t *testing.T) {
	lib := testLib(t)
	if os.Getenv("IUPKG_UPDATE") != "" {
		known, err := parseLock(vettedLock)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, k := range known {
			found, err := filepath.Glob(filepath.Join(cargoHome(), "registry/src/*", k.Name+"-"+k.Version))
			if err != nil {
				t.Fatal(err)
			}
			if k.Checksum == "" {
				continue
			}
			if len(found) != 1 {
				t.Fatalf("%s: %v", k.Name, found)
			}
			sum, err := compileHash(found[0])
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&text, k.Name, k.Version, sum)
		}
		if err := os.WriteFile("vetted.sums", []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	// A registry that somebody's configuration has replaced, with one word changed.
	home := t.TempDir()
	vendor := filepath.Join(home, "vendor")
	known, err := parseLock(vettedLock)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range known {
		if k.Checksum == "" {
			continue
		}
		found, err := filepath.Glob(filepath.Join(cargoHome(), "registry/src/*", k.Name+"-"+k.Version))
		if err != nil || len(found) == 0 {
			t.Skip("the crates have not been fetched")
		}
		to := filepath.Join(vendor, k.Name)
		if err := os.CopyFS(to, os.DirFS(found[0])); err != nil {
			t.Fatal(err)
		}
		sum := fmt.Sprintf(`{"files":{},"package":%q}`, k.Checksum)
		if err := os.WriteFile(filepath.Join(to, ".cargo-checksum.json"), []byte(sum), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf("[source.crates-io]\nreplace-with = \"mine\"\n[source.mine]\ndirectory = %q\n", vendor)
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CARGO_HOME", home)
	vet := func() error {
		dir := copySample(t, "spin", t.TempDir())
		edit(t, dir, [3]string{"Cargo.toml", `"../../iu"`, `"` + filepath.Join(lib, "crate", "iu") + `"`})
		b, err := newBuilder(Options{Dir: dir, LibDir: lib})
		if err == nil {
			err = b.prepare(t.Context())
		}
		return err
	}
	if err := vet(); err != nil {
		t.Errorf("the same files from elsewhere: %v", err)
	}
	file := filepath.Join(vendor, "zerocopy/src/lib.rs")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "pub fn transmute() {}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	var rule *RuleError
	if err := vet(); !errors.As(err, &rule) || !strings.Contains(rule.Rule, "the files of zerocopy") {
		t.Errorf("other files: %v", err)
	}
}

func cargoHome() string {
	if home := os.Getenv("CARGO_HOME"); home != "" {
		return home
	}
	return filepath.Join(os.Getenv("HOME"), ".cargo")
}
