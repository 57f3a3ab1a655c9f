// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const linesSource = `__attribute__((noinline)) static int leaf(int x)
{
	return x * 3;
}
static inline __attribute__((always_inline)) int twice(int x)
{
	return leaf(x)
		+ leaf(x + 1);
}
int entry(int x)
{
	return twice(x) + 1;
}
`

// TestLines asks for each call in a function by its offset.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sample", "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sample/src/lib.c"), []byte(linesSource), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("clang-22", "-target", "x86_64-unknown-none-elf", "-O2", "-g", "-fdebug-compilation-dir=sample", "-c", "src/lib.c", "-o", "../lib.o")
	cmd.Dir = filepath.Join(dir, "sample")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	debug, err := os.ReadFile(filepath.Join(dir, "lib.o"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ReadLines(debug)
	if err != nil {
		t.Fatal(err)
	}
	im, err := parseImage(debug, moduleLimits)
	if err != nil {
		t.Fatal(err)
	}
	text, err := im.section(".text")
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	code := debug[text.Off : text.Off+text.Size]
	for i := range code {
		if code[i] != 0xe8 {
			continue
		}
		at, err := l.At(uint64(i + 5))
		if err != nil {
			t.Fatal(err)
		}
		if len(at) != 2 || at[1].Function != "entry" || at[1].Line != 12 {
			t.Errorf("call at +%#x: %v", i, at)
		}
		own, ok := l.Own(uint64(i + 5))
		if !ok {
			t.Errorf("call at +%#x: %v is nobody's", i, at)
		}
		calls = append(calls, own.String())
	}
	if got, want := strings.Join(calls, ", "), "src/lib.c:7:9 (twice), src/lib.c:8:5 (twice)"; got != want {
		t.Errorf("calls at %s, want %s", got, want)
	}
	for _, offset := range []uint64{0, 1 << 20} {
		if at, err := l.At(offset); err == nil {
			t.Errorf("+%#x: %v", offset, at)
		}
	}
	for n := range debug {
		if n%97 == 0 {
			bad := append([]byte(nil), debug...)
			bad[n] ^= 0xff
			if l, err := ReadLines(bad); err == nil {
				_, _ = l.At(20)
			}
		}
	}
}
