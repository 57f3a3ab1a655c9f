// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
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
	profiles, err := filepath.Abs("../kernel/testdata/profiles")
	if err != nil {
		t.Fatal(err)
	}
	// In one place for good, so that cargo compiles the crates once.
	lib, err := filepath.Abs("../build/test-lib")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"llvm": plugin, "crate": crates, "profiles": profiles} {
		link := filepath.Join(lib, name)
		if old, err := os.Readlink(link); err == nil && old == to {
			continue
		}
		if err := os.Symlink(to, link); err != nil {
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

// edit applies edits, file to old and new text, to a project. A file that is not there is
// made if the old text is empty.
func edit(t *testing.T, dir string, edits ...[3]string) {
	t.Helper()
	for _, e := range edits {
		path := filepath.Join(dir, e[0])
		b, err := os.ReadFile(path)
		if err != nil && e[1] != "" {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), e[1]) {
			t.Fatalf("%s has no %q", e[0], e[1])
		}
		text := e[2]
		if e[1] != "" {
			text = strings.Replace(string(b), e[1], e[2], 1)
		} else if e[2] == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// build copies a sample, applies edits to it and builds it.
func build(t *testing.T, lib, sample string, edits ...[3]string) (*Result, string, error) {
	t.Helper()
	return buildWith(t, lib, sample, Options{}, edits...)
}

func buildWith(t *testing.T, lib, sample string, opts Options, edits ...[3]string) (*Result, string, error) {
	t.Helper()
	dir := copySample(t, sample, t.TempDir())
	edit(t, dir, append(edits, [3]string{"Cargo.toml", `"../../iu"`, `"` + filepath.Join(lib, "crate", "iu") + `"`})...)
	var said bytes.Buffer
	opts.Dir, opts.LibDir, opts.Stderr = dir, lib, &said
	r, err := Build(t.Context(), opts)
	if err == nil && said.Len() > 0 {
		t.Errorf("%s: the compiler said\n%s", sample, said.String())
	}
	return r, said.String(), err
}

func TestBuildSamples(t *testing.T) {
	lib := testLib(t)
	for name, c := range map[string]struct {
		symbols []string
		stack   bool // proven
	}{
		"xdp_count":   {[]string{"iu_rt_lock", "iu_rt_map_update", "iu_rt_log", "iu_rt_tc_load", "__x86_return_thunk"}, true},
		"panic_first": {[]string{"iu_rt_panic"}, true},
		"spin":        {[]string{"iu_rt_fuel", "iu_rt_poll"}, true},
		"recurse":     {[]string{"iu_rt_stack_overflow"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, err := build(t, lib, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range r.Manifest.Programs {
				if (p.Stack != 0) != c.stack {
					t.Errorf("program %s: stack %d", p.Name, p.Stack)
				}
			}
			defined, undefined := symbols(t, r.ObjectPath)
			for _, s := range defined {
				// A panic's message is not made, so nothing that could make it is there.
				if strings.Contains(s, "4core3fmt") {
					t.Errorf("the object has %s", s)
				}
			}
			for _, s := range c.symbols {
				if !slices.Contains(undefined, s) {
					t.Errorf("the object does not refer to %s but to %v", s, undefined)
				}
			}
			debug, err := elf.Open(r.DebugPath)
			if err != nil {
				t.Fatal(err)
			}
			defer debug.Close()
			if debug.Section(".debug_line") == nil {
				t.Error("no line table")
			}
		})
	}
}

func symbols(t *testing.T, path string) (defined, undefined []string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if s.Section == elf.SHN_UNDEF {
			undefined = append(undefined, s.Name)
		} else {
			defined = append(defined, s.Name)
		}
	}
	return defined, undefined
}

// A panic tells where it was in the author's terms.
func TestBuildPanicLocation(t *testing.T) {
	lib := testLib(t)
	r, _, err := build(t, lib, "panic_first")
	if err != nil {
		t.Fatal(err)
	}
	object, err := os.ReadFile(r.ObjectPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(object, []byte("src/lib.rs")) {
		t.Error("the object does not name src/lib.rs")
	}
	if bytes.Contains(object, []byte("index out of bounds")) {
		t.Error("the object has the text of a message that nobody reads")
	}
}

// The manifest says what source and iupkg.toml say.
func TestBuildManifest(t *testing.T) {
	lib := testLib(t)
	r, _, err := build(t, lib, "spin", [3]string{"iupkg.toml", `hook = "xdp"`, "hook = \"xdp\"\non-fault = \"drop\""})
	if err != nil {
		t.Fatal(err)
	}
	object, err := os.ReadFile(r.ObjectPath)
	if err != nil {
		t.Fatal(err)
	}
	o, err := kernel.ReadObject(object)
	if err != nil {
		t.Fatal(err)
	}
	if o.Name != "spin" || o.Version != "0.1.0" || o.Programs[0].OnFault != 1 {
		t.Errorf("object: %s %s %+v", o.Name, o.Version, o.Programs)
	}
	zero := 0
	want := &manifest.Manifest{
		Schema: 1, Name: "spin", Version: "0.1.0", Description: "Never returns; for tests of the runtime",
		License: "Apache-2.0 OR GPL-2.0-only", Arch: "amd64",
		Object:   manifest.Object{Digest: fmt.Sprintf("sha256:%x", o.Digest), Size: int64(len(object))},
		Requires: manifest.Requirements{Release: ">=6.1", Hooks: []manifest.Hook{"xdp"}, ABI: 1},
		Params: []manifest.Param{
			{Name: "spin", Type: "bool", Default: "true", Object: &zero},
			{Name: "iface", Type: "string", Default: "eth0", Doc: "Interface to attach to."},
		},
		Programs: []manifest.Program{{Name: "faulty", Hook: "xdp", OnFault: "drop", Stack: o.Programs[0].Stack,
			Attach: map[string]string{"interface": "${iface}", "mode": "auto"}}},
		Maps:      []manifest.Map{{Name: "seen", Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 2}},
		Toolchain: r.Manifest.Toolchain,
	}
	if !reflect.DeepEqual(r.Manifest, want) {
		t.Errorf("got  %+v\nwant %+v", r.Manifest, want)
	}
	text, err := os.ReadFile(r.ManifestPath)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := manifest.Parse(text); err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("manifest.json: %v, %+v", err, m)
	}
}

// Two copies in different folders give the same bytes, and no path of the
// machine is in them.
func TestBuildReproducible(t *testing.T) {
	lib := testLib(t)
	var first map[string][]byte
	for range 2 {
		r, _, err := build(t, lib, "xdp_count")
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		for _, path := range []string{r.ObjectPath, r.DebugPath, r.ReportPath, r.ManifestPath, r.ProvenancePath, r.SBOMPath} {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(path)] = b
			for _, secret := range []string{filepath.Dir(filepath.Dir(filepath.Dir(path))), lib, os.Getenv("HOME"), "/usr/src"} {
				if secret != "" && secret != "/" && bytes.Contains(b, []byte(secret)) {
					t.Errorf("%s has the path %s", filepath.Base(path), secret)
				}
			}
		}
		if first == nil {
			first = files
			continue
		}
		for name, b := range files {
			if !bytes.Equal(b, first[name]) {
				t.Errorf("%s differs between two folders", name)
			}
		}
	}
}

// What a project must not have, and where the error says it is.
func TestBuildRefuses(t *testing.T) {
	lib := testLib(t)
	const src = "src/lib.rs"
	body := func(code string) [3]string { return [3]string{src, "    SEEN.fetch_add(0, 1);\n", code} }
	item := func(code string) [3]string {
		return [3]string{src, "use iu::prelude::*;\n", "use iu::prelude::*;\n" + code}
	}
	for name, c := range map[string]struct {
		edit [3]string
		want string // of the error, or of what the compiler said
	}{
		"unsafe block":      {body("unsafe { core::hint::unreachable_unchecked() }\n"), "usage of an `unsafe` block"},
		"allowed by itself": {[3]string{src, "#![forbid(unsafe_code)]", "#![allow(unsafe_code)]"}, "E0453"},
		"nightly feature":   {[3]string{src, "#![no_std]", "#![no_std]\n#![feature(core_intrinsics)]"}, "E0725"},
		"forget":            {item("fn leak<T>(t: T) { core::mem::forget(t) }\npub fn f() { leak(1) }\n"), "src/lib.rs:8: forget of core is not allowed"},
		"own derive path":   {item("mod ev { pub use iu::zerocopy::*; pub use iu::zerocopy::util; }\n#[derive(ev::IntoBytes, ev::Immutable)]\n#[zerocopy(crate = \"crate::ev\")]\n#[repr(C)]\npub struct Pad { pub a: u8, pub b: u8 }\n"), "src/lib.rs:10: #[zerocopy(crate = …)] is not allowed"},
		"large map":         {item("#[map]\nstatic BIG: LockedArray<[u8; 0x1_0000_0004], 1> = LockedArray::new();\n"), "the map is too large"},
		"compiler flags":    {[3]string{"Cargo.toml", "[workspace]", "[profile.release]\nrustflags = [\"--cap-lints=allow\"]\n[workspace]"}, "profile.release is not allowed"},
		"code generator":    {[3]string{"Cargo.toml", "[package]", "cargo-features = [\"codegen-backend\"]\n[package]"}, "cargo-features is not allowed"},
		"patched crate":     {[3]string{"Cargo.toml", "[workspace]", "[patch.crates-io]\nzerocopy = { path = \"z\" }\n[workspace]"}, "patch is not allowed"},
		"other root":        {[3]string{"Cargo.toml", "[workspace]", "[lib]\npath = \"src/other.rs\"\n[workspace]"}, "Cargo.toml:11: lib.path is not src/lib.rs"},
		"name of core":      {[3]string{"Cargo.toml", "[workspace]", "[lib]\nname = \"core\"\n[workspace]"}, "the library is named core"},
		"other edition":     {[3]string{"Cargo.toml", "[workspace]", "[lib]\nedition = \"2018\"\n[workspace]"}, "lib.edition is not allowed"},
		"renamed crate":     {[3]string{"Cargo.toml", "iu = {", "real = { package = \"iu\","}, "dependency iu is named real here"},
		"build script":      {[3]string{"build.rs", "", "fn main() {}\n"}, "build.rs: an extension has no build script"},
		"dependency":        {[3]string{"Cargo.toml", "[dependencies]\n", "[dependencies]\nevil = { path = \"evil\" }\n"}, ""},
		"outside":           {item("const _: &str = include_str!(\"/etc/hostname\");\n"), "/etc/hostname: a source file is outside of the project"},
		"unknown hook":      {[3]string{"iupkg.toml", `hook = "xdp"`, `hook = "netfilter"`}, `iupkg.toml:16:1: program.faulty.hook: "netfilter" is not a hook`},
		"unknown attribute": {[3]string{src, "#[xdp", "#[netfilter"}, "--> src/lib.rs:17:3"},
		"floating point":    {body("let _ = SEEN.set(0, (_ctx.packet().len() as f64 * 1.5) as u64);\n"), "floating point at src/lib.rs:19:"},
		"SIMD":              {body("core::arch::x86_64::_mm_pause(); let _ = core::arch::x86_64::_mm_setzero_si128();\n"), "--> src/lib.rs:19:"},
		"static too large":  {body("use core::sync::atomic::*;\nstatic HUGE: [AtomicU64; 5_000_000] = [const { AtomicU64::new(1) }; 5_000_000];\nlet _ = SEEN.set(0, HUGE[_ctx.packet().len()].load(Ordering::Relaxed));\n"), "large data is kept in maps at src/lib.rs:20"},
		"kernel type":       {body("iu::kernel_struct! { struct no_such_struct { member: u32 } }\nlet s: no_such_struct = iu::kernel::Type::at(iu::kernel::Ptr::new(8));\nlet _ = SEEN.set(0, s.member().unwrap_or(0).into());\n"), "src/lib.rs:19: no known kernel has struct no_such_struct.member"},
		"kernel member":     {body("iu::kernel_struct! { struct sk_buff { len: u32, lem: u32, other?: u32 } }\nlet s: sk_buff = iu::kernel::Type::at(iu::kernel::Ptr::new(8));\nlet _ = SEEN.set(0, (s.len().unwrap_or(0) + s.lem().unwrap_or(0) + s.other().map_or(0, |o| o.unwrap_or(0))).into());\n"), "src/lib.rs:19: no known kernel has struct sk_buff.lem"},
		"large frame":       {body("let mut b = [0u8; 5000];\nfor i in 0..ctx_len(&_ctx) { b[i % 5000] = i as u8; }\nlet _ = SEEN.set(0, b[ctx_len(&_ctx) % 4999] as u64);\n"), "cannot find function `ctx_len`"},
	} {
		t.Run(name, func(t *testing.T) {
			edits := [][3]string{c.edit}
			switch name {
			case "dependency":
				edits = append(edits, [3]string{"evil/src/lib.rs", "", "#![no_std]\n"},
					[3]string{"evil/Cargo.toml", "", "[package]\nname = \"evil\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"},
					[3]string{"Cargo.lock", "[[package]]\nname = \"iu\"\n", "[[package]]\nname = \"evil\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"iu\"\n"},
					[3]string{"Cargo.lock", "dependencies = [\n \"iu\",", "dependencies = [\n \"evil\",\n \"iu\","})
				c.want = "dependency evil is not vetted"
			case "large frame":
				edits = append(edits, item("fn ctx_len(c: &XdpContext) -> usize { c.packet().len() }\n"))
				c.want = "5000 bytes of local variables"
			}
			r, said, err := build(t, lib, "spin", edits...)
			if err == nil {
				t.Fatalf("built %s", r.ObjectPath)
			}
			if !strings.Contains(err.Error()+said, c.want) {
				t.Errorf("%v\n%s\nwant %q", err, said, c.want)
			}
		})
	}
}
