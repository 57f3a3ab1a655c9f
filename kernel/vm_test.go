// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/kernel/vm"
	"github.com/iupkg/iupkg/kernel/vm/vmtest"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/signing"
)

// TestStockKernels runs TestGuest, of this test's own binary, in a machine with
// each stock kernel. It wants the iu.ko of each (make build).
func TestStockKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("boots virtual machines")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	objects := signedObjects(t)
	for _, k := range vmtest.Kernels {
		t.Run(k, func(t *testing.T) {
			image, err := vm.Find(t.Context(), k)
			if err != nil {
				t.Fatal(err)
			}
			lib := os.Getenv("IUPKG_LIBDIR")
			if lib == "" {
				lib = "../lib/iupkg"
			}
			dir := t.TempDir()
			copyFile(t, filepath.Join(lib, "runtime", image.Release, "iu.ko"), dir+"/iu.ko")
			copyFile(t, exe, dir+"/kernel.test")
			for name, b := range objects {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			m := vmtest.Start(t, vm.Config{Image: image, CPUs: 2, Shares: []vm.Share{{Host: dir, Guest: "/mnt/kernel"}}})
			t.Log(vmtest.Shell(t, m, "cp /mnt/kernel/kernel.test /tmp; chmod +x /tmp/kernel.test; "+
				"IUPKG_VM_TEST=/mnt/kernel /tmp/kernel.test -test.v -test.run '^TestGuest' 2>&1"))
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// builtSamples are built for the tests of the machine.
var builtSamples = []string{"xdp_maps", "tracing", "probes", "gates", "timings", "syscalls", "paxos", "xdp_count"}

// signedObjects makes the objects that TestGuest wants, and a key for them.
func signedObjects(t *testing.T) map[string][]byte {
	t.Helper()
	keys, err := signing.NewKeys("test")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{"cert.der": keys.KernelCertificate.Raw}
	for version, flags := range map[string][]string{
		"1.0.0": nil,
		"2.0.0": {"-DEXT_STEP=1000", "-DEXT_SEEN=32"},
		"3.0.0": {"-DEXT_LEAK"},
		"3.1.0": {"-DEXT_LEAK", "-DEXT_DEEP"},
		"4.0.0": {"-DEXT_SPIN"},
		"4.1.0": {"-DEXT_SPIN", "-DEXT_DEEP"},
	} {
		b := kernel.CompileObject(t, "ext.c", append(flags, `-DEXT_VERSION="`+version+`"`)...)
		sig, err := keys.SignObject(b)
		if err != nil {
			t.Fatal(err)
		}
		out["ext-"+version+".o"], out["ext-"+version+".p7s"] = b, sig
	}
	for name, b := range mutants(t, out["ext-1.0.0.o"]) {
		sig, err := keys.SignObject(b)
		if err != nil {
			t.Fatal(err)
		}
		out["mutants/"+name] = b
		out["mutants/"+strings.TrimSuffix(name, ".o")+".p7s"] = sig
	}
	// bin/iupkg is there wherever iu.ko is. The first uses all maps and helpers, the others are for TestGuestHooks.
	for _, name := range builtSamples {
		if out, err := exec.Command("../bin/iupkg", "build", "../runtime-crate/samples/"+name).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	// What else the toolchain has built, if it has. The faulty samples are for internal/vmtest.
	patterns := []string{"../extensions/*/target/iupkg/manifest.json"}
	for _, name := range builtSamples {
		patterns = append(patterns, "../runtime-crate/samples/"+name+"/target/iupkg/manifest.json")
	}
	if os.Getenv("IUPKG_LONG") != "" {
		// Every template of `iupkg new`, as it is.
		dir := t.TempDir()
		for _, h := range manifest.Hooks() {
			name := "my-" + strings.ReplaceAll(string(h), "_", "-")
			for _, args := range [][]string{{"new", name, "--type", string(h), "--dir", filepath.Join(dir, name)}, {"build", filepath.Join(dir, name)}} {
				if out, err := exec.Command("../bin/iupkg", args...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
			}
		}
		patterns = append(patterns, filepath.Join(dir, "*/target/iupkg/manifest.json"))
	}
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, err := manifest.Parse(b)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			object, err := os.ReadFile(filepath.Join(filepath.Dir(file), m.Name+".o"))
			if err != nil {
				t.Fatal(err)
			}
			sig, err := keys.SignObject(object)
			if err != nil {
				t.Fatal(err)
			}
			out["built-"+m.Name+".json"], out["built-"+m.Name+".o"], out["built-"+m.Name+".p7s"] = b, object, sig
		}
	}
	return out
}

// mutants are changed copies of an object, by file name (kernel/module/test/elf_test.c).
// MUTANTS says how many, for a long run; 60 unless it is set.
func mutants(t *testing.T, object []byte) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "object"), object, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	count := 60
	if s := os.Getenv("MUTANTS"); s != "" {
		var err error
		if count, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("make", "-s", "-C", "module", "mutants", "OBJECT="+filepath.Join(dir, "object"), "DIR="+filepath.Join(dir, "out"),
		fmt.Sprintf("N=%d", 10*count), "K=10")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "MAKEFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	files, err := os.ReadDir(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		if out[f.Name()], err = os.ReadFile(filepath.Join(dir, "out", f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
