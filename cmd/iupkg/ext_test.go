// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/toolchain"
)

// extSource is the extension by hand of the kernel package's tests: a valid
// object without the minutes that the whole toolchain takes.
var extSource = func() string {
	path, err := filepath.Abs("../../kernel/testdata/ext.c")
	if err != nil {
		panic(err)
	}
	return path
}()

var extObjects sync.Map // version to func() ([]byte, error)

func extObject(version string) ([]byte, error) {
	f, _ := extObjects.LoadOrStore(version, sync.OnceValues(func() ([]byte, error) { return compileExt(version) }))
	return f.(func() ([]byte, error))()
}

func compileExt(version string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "iupkg-ext-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "ext.o")
	for _, argv := range [][]string{
		{
			"clang-22", "-O2", "-target", "x86_64-linux-gnu", "-ffreestanding", "-nostdlibinc", "-fno-pic", "-mcmodel=kernel",
			"-mno-red-zone", "-mno-sse", "-mno-mmx", "-mno-80387", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
			"-fcf-protection=branch", "-mfunction-return=thunk-extern", "-mretpoline-external-thunk", "-fno-ident", "-fno-addrsig",
			fmt.Sprintf("-DEXT_VERSION=%q", version), "-c", extSource, "-o", out,
		},
		{"llvm-objcopy-22", "-R", ".note.gnu.property", out},
	} {
		if b, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", argv[0], err, b)
		}
	}
	return os.ReadFile(out)
}

// extParts is the object of a version of ext and the manifest that goes with it.
func extParts(version string) ([]byte, *manifest.Manifest, error) {
	object, err := extObject(version)
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
		Object:   manifest.Object{Digest: install.Digest(object), Size: int64(len(object))},
		Requires: manifest.Requirements{Hooks: []manifest.Hook{manifest.HookTC, manifest.HookXDP}, ABI: 1},
		Params: []manifest.Param{
			{Name: "PANIC_LEN", Type: manifest.ParamU64, Default: "1234", Min: "0", Max: "65535", Object: &first},
			{Name: "DELTA", Type: manifest.ParamI64, Default: "-1", Min: "-10", Max: "10", Object: &second},
			{Name: "iface", Type: manifest.ParamString, Doc: "network interface whose packets are counted"},
		},
		Programs: []manifest.Program{
			{Name: "count_xdp", Hook: manifest.HookXDP, OnFault: "pass", Stack: 256, Attach: map[string]string{"interface": "${iface}"}},
			{Name: "count_tc", Hook: manifest.HookTC, OnFault: "ok", Stack: 256, Attach: map[string]string{"interface": "${iface}", "direction": "ingress"}},
		},
		Toolchain: manifest.Toolchain{Rustc: "none", LLVM: "22", IU: "0", Pass: install.Digest(nil)},
	}
	for _, x := range o.Maps {
		m.Maps = append(m.Maps, manifest.Map{Name: x.Name, Type: x.Type, KeySize: x.KeySize, ValueSize: x.ValueSize, MaxEntries: x.MaxEntries, Flags: x.Flags})
	}
	return object, m, nil
}

// mkext DIR VERSION [release=RANGE] [config=EXPR]… [builder=URI [source=URI]]
// leaves in DIR what iupkg build would for version VERSION of the package ext;
// provenance and SBOM only if a builder is named.
func mkext(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mkext DIR VERSION [release=RANGE] [config=EXPR]…")
	}
	dir, version := ts.MkAbs(args[0]), args[1]
	object, m, err := extParts(version)
	ts.Check(err)
	var builder, source string
	for _, arg := range args[2:] {
		switch k, v, _ := strings.Cut(arg, "="); k {
		case "builder":
			builder = v
		case "source":
			source = v
		case "release":
			m.Requires.Release = v
		case "config":
			m.Requires.Config = append(m.Requires.Config, v)
		default:
			ts.Fatalf("mkext: what is %s?", arg)
		}
	}
	text, err := m.Encode()
	ts.Check(err)
	out := filepath.Join(dir, "target", "iupkg")
	ts.Check(os.MkdirAll(out, 0o755))
	ts.Check(os.WriteFile(filepath.Join(out, "ext.o"), object, 0o644))
	ts.Check(os.WriteFile(filepath.Join(out, "manifest.json"), text, 0o644))
	if builder != "" {
		sum := fmt.Sprintf("%x", sha256.Sum256(object))
		ts.Check(os.WriteFile(filepath.Join(out, "provenance.json"), fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1",
"subject":[{"name":"ext.o","digest":{"sha256":%q}}],"predicateType":%q,"predicate":{"buildDefinition":{"buildType":%q,
"externalParameters":{"source":{"uri":%q,"digest":{"gitCommit":"c0ffee"}}},"resolvedDependencies":[{"uri":"pkg:cargo/zerocopy@0.8.63"}]},
"runDetails":{"builder":{"id":%q}}}}`, sum, toolchain.ProvenanceType, toolchain.BuildType, source, builder), 0o644))
		ts.Check(os.WriteFile(filepath.Join(out, "sbom.json"), fmt.Appendf(nil, `{"spdxVersion":"SPDX-2.3","packages":[
{"name":"ext","versionInfo":%q,"licenseDeclared":"Apache-2.0","checksums":[{"algorithm":"SHA256","checksumValue":%q}]}]}`, version, sum), 0o644))
	}
	ts.Check(os.WriteFile(filepath.Join(dir, "README.md"), []byte("# ext "+version+"\n"), 0o644))
}
