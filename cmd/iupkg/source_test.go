// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
)

// TestSources maps the offsets of a line of the log, if it is of the version
// that is installed.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	// Each call is five bytes, and what it returns to is on its line.
	source := ".text\n.globl f\nf:\ncall f\ncall f\nret\n"
	if err := os.WriteFile(filepath.Join(dir, "src/lib.s"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("clang-22", "-target", "x86_64-unknown-none-elf", "-g", "-fdebug-compilation-dir=x", "-c", "src/lib.s", "-o", "lib.o")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	debug, err := os.ReadFile(filepath.Join(dir, "lib.o"))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := kernel.ReadLines(debug)
	if err != nil {
		t.Fatal(err)
	}
	s := &sources{
		pkgs:  &install.Generation{Packages: []install.Package{{Name: "x", Version: "1.0.0"}}},
		lines: map[string]*kernel.Lines{"x": lines}, live: map[string]string{},
	}
	line := &logLine{Name: "x", Program: "rx", Text: "panic at src/lib.s:4:1, +0x5 < +0xa < +0xfff, returns XDP_PASS"}
	want := []string{"src/lib.s:4", "src/lib.s:5"}
	if got := s.ofLine(line); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	s.loaded(&logLine{Name: "x", Text: "2.0.0: loaded as 7 from iux_x_0"})
	if got := s.ofLine(line); got != nil {
		t.Errorf("of another version: %q", got)
	}
	s.loaded(&logLine{Name: "x", Text: "1.0.0: loaded as 8 from iux_x_1"})
	if got := s.ofLine(line); !reflect.DeepEqual(got, want) {
		t.Errorf("of this version again: got %q, want %q", got, want)
	}
	for _, other := range []logLine{{Name: "y", Program: "rx", Text: "+0x5"}, {Name: "x", Text: "+0x5"}, {Text: "+0x5"}} {
		if got := s.ofLine(&other); got != nil {
			t.Errorf("%+v: %q", other, got)
		}
	}
}
