// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

// The extension by hand of the kernel package's tests: a valid object without the
// minutes that the whole toolchain takes.
var extObjects sync.Map // by source, version and flags: func() ([]byte, error)

// CompileExt compiles kernel/testdata/ext.c of the repository src.
func CompileExt(src, version string, flags ...string) ([]byte, error) {
	f, _ := extObjects.LoadOrStore(fmt.Sprint(src, version, flags), sync.OnceValues(func() ([]byte, error) { return compileExt(src, version, flags) }))
	return f.(func() ([]byte, error))()
}

func compileExt(src, version string, flags []string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "iupkg-ext-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "ext.o")
	compile := append([]string{
		"clang-22", "-O2", "-target", "x86_64-linux-gnu", "-ffreestanding", "-nostdlibinc", "-fno-pic", "-mcmodel=kernel",
		"-mno-red-zone", "-mno-sse", "-mno-mmx", "-mno-80387", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
		"-fcf-protection=branch", "-mfunction-return=thunk-extern", "-mretpoline-external-thunk", "-fno-ident", "-fno-addrsig",
		fmt.Sprintf("-DEXT_VERSION=%q", version)}, flags...)
	compile = append(compile, "-c", filepath.Join(src, "kernel", "testdata", "ext.c"), "-o", out)
	for _, argv := range [][]string{compile, {"llvm-objcopy-22", "-R", ".note.gnu.property", out}} {
		if b, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", argv[0], err, b)
		}
	}
	return os.ReadFile(out)
}

// ExtParts is the object of a version of the package ext, and the manifest that
// goes with it. iface, if not empty, is where it is attached by default.
func ExtParts(src, version, iface string, flags ...string) ([]byte, *manifest.Manifest, error) {
	object, err := CompileExt(src, version, flags...)
	if err != nil {
		return nil, nil, err
	}
	o, err := kernel.ReadObject(object)
	if err != nil {
		return nil, nil, err
	}
	first, second := 0, 1
	m := &manifest.Manifest{
		Schema: manifest.Schema, Name: o.Name, Version: o.Version, Description: "Counts packets by hand", License: "Apache-2.0", Arch: "amd64",
		Object:   manifest.Object{Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(object)), Size: int64(len(object))},
		Requires: manifest.Requirements{Hooks: []manifest.Hook{manifest.HookTC, manifest.HookXDP}, ABI: kernel.ABIVersion},
		Params: []manifest.Param{
			{Name: "PANIC_LEN", Type: manifest.ParamU64, Default: "1234", Min: "0", Max: "65535", Object: &first},
			{Name: "DELTA", Type: manifest.ParamI64, Default: "-1", Min: "-10", Max: "10", Object: &second},
			{Name: "iface", Type: manifest.ParamString, Default: iface, Doc: "network interface whose packets are counted"},
		},
		Programs: []manifest.Program{
			{Name: "count_xdp", Hook: manifest.HookXDP, OnFault: "pass", Stack: 256, Attach: map[string]string{"interface": "${iface}"}},
			{Name: "count_tc", Hook: manifest.HookTC, OnFault: "ok", Stack: 256, Attach: map[string]string{"interface": "${iface}", "direction": "ingress"}},
		},
		Toolchain: manifest.Toolchain{Rustc: "none", LLVM: "22", IU: "0", Pass: fmt.Sprintf("sha256:%x", sha256.Sum256(nil))},
	}
	for _, x := range o.Maps {
		m.Maps = append(m.Maps, manifest.Map{Name: x.Name, Type: x.Type, KeySize: x.KeySize, ValueSize: x.ValueSize, MaxEntries: x.MaxEntries, Flags: x.Flags})
	}
	return object, m, nil
}

// MakeExt leaves in dir what iupkg build would for a version of ext; edit, which
// may be nil, changes the manifest before it is written.
func MakeExt(src, dir, version, iface string, edit func(*manifest.Manifest), flags ...string) error {
	object, m, err := ExtParts(src, version, iface, flags...)
	if err != nil {
		return err
	}
	if edit != nil {
		edit(m)
	}
	text, err := m.Encode()
	if err != nil {
		return err
	}
	out := filepath.Join(dir, "target", "iupkg")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, f := range []struct {
		path string
		data []byte
	}{
		{filepath.Join(out, "ext.o"), object},
		{filepath.Join(out, "manifest.json"), text},
		{filepath.Join(dir, "README.md"), []byte("# ext " + version + "\n")},
	} {
		if err := os.WriteFile(f.path, f.data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
