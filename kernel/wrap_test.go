// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// CompileObject makes an object of a file in testdata with the code model of the
// kernel, as the toolchain does.
func CompileObject(t testing.TB, source string, flags ...string) []byte {
	t.Helper()
	for _, tool := range []string{"clang-22", "llvm-objcopy-22"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	out := filepath.Join(t.TempDir(), "out.o")
	args := append([]string{
		"-O2", "-target", "x86_64-linux-gnu", "-ffreestanding", "-nostdlibinc", "-fno-pic", "-mcmodel=kernel",
		"-mno-red-zone", "-mno-sse", "-mno-mmx", "-mno-80387", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
		"-fcf-protection=branch", "-mfunction-return=thunk-extern", "-mretpoline-external-thunk", "-fno-ident",
		"-fno-addrsig", "-Wall", "-Werror", "-c", filepath.Join("testdata", source), "-o", out,
	}, flags...)
	if b, err := exec.Command("clang-22", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if b, err := exec.Command("llvm-objcopy-22", "-R", ".note.gnu.property", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWrap(t *testing.T) {
	object, runtime := CompileObject(t, "ext.c"), CompileObject(t, "runtime.c")
	o, err := ReadObject(object)
	if err != nil {
		t.Fatal(err)
	}
	name := ModuleName(o.Name, o.Digest)
	ko, err := Wrap(object, runtime, name)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Wrap(object, runtime, name)
	if err != nil || !bytes.Equal(ko, again) {
		t.Fatalf("second wrap differs (%v)", err)
	}

	before, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(ko))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range before.Sections {
		w := f.Sections[i]
		if s.Name != w.Name || s.Type != w.Type || s.Flags != w.Flags || s.Link != w.Link || s.Info != w.Info {
			t.Errorf("section %d was %+v, is %+v", i, s.SectionHeader, w.SectionHeader)
		}
		if s.Type == elf.SHT_NULL || i == int(binary.LittleEndian.Uint16(object[62:])) {
			continue
		}
		a, _ := s.Data()
		b, _ := w.Data()
		if !bytes.Equal(a, b) {
			t.Errorf("section %s changed", s.Name)
		}
	}

	data := func(name string) []byte {
		s := f.Section(name)
		if s == nil {
			t.Fatalf("no section %s", name)
		}
		b, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	wantInfo := "license=GPL\x00depends=iu\x00name=" + name + "\x00retpoline=Y\x00vermagic=6.99.0-test SMP preempt mod_unload modversions \x00"
	if got := string(data(secModinfo)); got != wantInfo {
		t.Errorf(".modinfo is %q", got)
	}
	if m := data(secThisModule); len(m) != 1272 || goString(m[24:80]) != name || strings.Trim(string(m[24+len(name):]), "\x00") != "" {
		t.Errorf("struct module of %d bytes is named %q", len(m), goString(m[24:80]))
	}

	var versions []string
	crcs := map[string]uint64{}
	for v := data(secVersions); len(v) > 0; v = v[64:] {
		n := goString(v[8:64])
		versions, crcs[n] = append(versions, n), binary.LittleEndian.Uint64(v)
	}
	want := "module_layout __x86_return_thunk iu_rt_map_lookup iu_rt_map_update iu_rt_panic"
	if got := strings.Join(versions, " "); got != want {
		t.Errorf("versions of %s, want %s", got, want)
	}
	for n, c := range map[string]uint64{"module_layout": 0x12345678, "__x86_return_thunk": 0x1006, "iu_rt_map_lookup": 4, "iu_rt_panic": 3} {
		if crcs[n] != c {
			t.Errorf("crc of %s is %#x, want %#x", n, crcs[n], c)
		}
	}

	// Apply the relocations as the loader does, with every section at zero, and
	// look what the entries point at.
	text, _ := f.Section(".text").Data()
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	rela := data(".rela" + secReturnSites)
	if n := bytes.Count(text, []byte{0xe9, 0, 0, 0, 0}); len(rela)/24 != n || n < 3 {
		t.Fatalf("%d return sites, the text has %d", len(rela)/24, n)
	}
	for i := 0; len(rela) > 0; i, rela = i+1, rela[24:] {
		off, info := binary.LittleEndian.Uint64(rela), binary.LittleEndian.Uint64(rela[8:])
		addend := int64(binary.LittleEndian.Uint64(rela[16:]))
		sym := syms[info>>32-1]
		at := int64(sym.Value) + addend
		if off != uint64(4*i) || elf.R_X86_64(uint32(info)) != elf.R_X86_64_PC32 || f.Sections[sym.Section].Name != ".text" || text[at] != 0xe9 {
			t.Errorf("return site %d: %#x of %s is no jump", i, at, sym.Name)
		}
	}
}

func TestWrapRefuses(t *testing.T) {
	object, runtime := CompileObject(t, "ext.c"), CompileObject(t, "runtime.c")
	rename := func(b []byte, from, to string) []byte {
		if len(from) != len(to) || !bytes.Contains(b, []byte(from)) {
			t.Fatalf("cannot rename %s", from)
		}
		return bytes.Replace(b, []byte(from), []byte(to), 1)
	}
	for _, c := range []struct {
		name            string
		object, runtime []byte
		module, want    string
	}{
		{"symbol", rename(object, "iu_rt_panic\x00", "iu_rt_panik\x00"), runtime, "m", "no symbol iu_rt_panik"},
		{"name", object, runtime, strings.Repeat("m", 56), "want 1 to 55"},
		{"runtime", object, []byte("ELF"), "m", "runtime module: not an ELF file"},
		{"runtime is an object", object, object, "m", "runtime module: .modinfo has 0 of vermagic"},
		{"twice", mustWrap(t, object, runtime), runtime, "m", "section .modinfo is not of an extension"},
		{"thunk", CompileObject(t, "ext.c", "-DEXT_CALL_THUNK"), runtime, "m", "other than by a 5-byte jump"},
	} {
		_, err := Wrap(c.object, c.runtime, c.module)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func mustWrap(t *testing.T, object, runtime []byte) []byte {
	ko, err := Wrap(object, runtime, "m")
	if err != nil {
		t.Fatal(err)
	}
	return ko
}

func TestModuleName(t *testing.T) {
	d := [32]byte{0x01, 0x23, 0xab, 0xcd, 0xef}
	for pkg, want := range map[string]string{
		"bmc":                    "iux_bmc_0123abcd",
		"a-b.c":                  "iux_a_b_c_0123abcd",
		strings.Repeat("x", 100): "iux_" + strings.Repeat("x", 42) + "_0123abcd",
	} {
		if got := ModuleName(pkg, d); got != want || len(got) > 55 {
			t.Errorf("module of %s is %s, want %s", pkg, got, want)
		}
	}
}

// TestWrapKernel reads each iu.ko that has been built.
func TestWrapKernel(t *testing.T) {
	files, _ := filepath.Glob("../lib/iupkg/runtime/*/iu.ko")
	if len(files) == 0 {
		t.Skip("no iu.ko has been built")
	}
	object := CompileObject(t, "ext.c")
	for _, file := range files {
		runtime, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Wrap(object, runtime, "m"); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// A signed module is loaded only if it is the one that would be made here.
func TestIsSigned(t *testing.T) {
	object, runtime := CompileObject(t, "ext.c"), CompileObject(t, "runtime.c")
	module := mustWrap(t, object, runtime)
	end := []byte("signature" + "~Module signature appended~\n")
	changed := bytes.Clone(module)
	changed[len(changed)/2] ^= 1
	for name, c := range map[string]struct {
		signed []byte
		want   bool
	}{
		"signed":   {append(bytes.Clone(module), end...), true},
		"unsigned": {module, false},
		"changed":  {append(changed, end...), false},
		"cut":      {append(bytes.Clone(module[:len(module)-1]), end...), false},
		"open end": {append(bytes.Clone(module), "signature"...), false},
		"longer":   {append(append(bytes.Clone(module), end...), 0), false},
		"other":    {append(bytes.Clone(object), end...), false},
		"nothing":  {nil, false},
	} {
		if got := isSigned(c.signed, module); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
