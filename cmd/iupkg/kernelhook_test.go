// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/internal/testbed"
	"github.com/iupkg/iupkg/manifest"
)

// TestKernelHook installs a kernel with apt-get in a Debian of its own, made by
// scripts/pristine in the folder that IUPKG_KERNEL_HOOK names. The hook that setup
// has put there says loudly what would not load, and once there is a version that
// does, makes it ready; neither keeps the kernel from being installed.
func TestKernelHook(t *testing.T) {
	dir := os.Getenv("IUPKG_KERNEL_HOOK")
	if dir == "" {
		t.Skip("wants IUPKG_KERNEL_HOOK, a folder for a Debian (make kernel-hook)")
	}
	const kernelPackage = "linux-image-6.12-amd64"
	ctx := t.Context()
	p := &testbed.Publisher{Src: repoDir, Dir: t.TempDir(), Say: t.Logf}
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	publish := func(version, release string) {
		t.Helper()
		src := filepath.Join(p.Dir, version)
		err := testbed.MakeExt(repoDir, src, version, "eth0", func(m *manifest.Manifest) { m.Requires.Release = release })
		if err == nil {
			_, err = p.Run(ctx, "publish", src, "--no-build", "--key", testbed.Key, "--registry", p.Registry())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	inside := func(command string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, filepath.Join(repoDir, "scripts", "pristine"), dir, "--", "bash", "-c", command)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out.String())
		}
		return out.String()
	}
	inside("true")

	// A machine on 6.1 with ext 1.0.0, which no newer kernel takes.
	publish("1.0.0", "<6.10")
	root := filepath.Join(dir, "var/lib/iupkg")
	for _, path := range []string{root, filepath.Join(dir, "opt/iupkg"), filepath.Join(dir, "etc/iupkg")} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	profile := filepath.Join(p.Dir, "6.1.json")
	text, err := manifest.EncodeProfile(&manifest.Profile{Schema: manifest.Schema, Release: "6.1.0-56-amd64", Arch: "amd64"})
	if err == nil {
		err = os.WriteFile(profile, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"trust", "add", p.TrustFile()},
		{"--registry", p.Registry(), "--kernel", profile, "install", "--download-only", "ext"},
	} {
		if _, err := p.Run(ctx, append([]string{"--root", root}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	pkg, err := fetchedPackage(root, "ext@1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := (&install.Generation{Schema: 1, Number: 1, Did: "install ext", Kernel: "6.1.0-56-amd64", Packages: []install.Package{*pkg}}).Encode()
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "generations", "1.json"), g, 0o644)
	}
	if err == nil {
		err = os.Symlink("generations/1.json", filepath.Join(root, "current"))
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "opt/iupkg/lib"), 0o755)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "etc/iupkg"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "etc/iupkg/config.toml"), []byte("registry = \""+p.Registry()+"\"\n"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"bin": "opt/iupkg/bin", "lib/iupkg": "opt/iupkg/lib/iupkg"} {
		if out, err := exec.Command("cp", "-a", filepath.Join(repoDir, from), filepath.Join(dir, to)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	out := inside("/opt/iupkg/bin/iupkg setup --services-only; apt-get -q update >/dev/null; dpkg -P $(dpkg -l 'linux-image-*' | sed -n 's/^[a-z]i  *\\([^ ]*\\) .*/\\1/p') >/dev/null 2>&1 || true")
	t.Log(out)

	apt := "DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install " + kernelPackage + " xz-utils 2>&1"
	out = inside(apt)
	t.Log(out)
	for _, want := range []string{"not all installed extensions are ready for Linux 6.12", "ext"} {
		if !strings.Contains(out, want) {
			t.Errorf("apt-get does not say %q", want)
		}
	}
	if state := inside("dpkg -l " + kernelPackage); !strings.Contains(state, "ii  "+kernelPackage) {
		t.Errorf("the kernel was not installed:\n%s", state)
	}

	publish("1.1.0", ">=6.10")
	out = inside("DEBIAN_FRONTEND=noninteractive apt-get -q -y install --reinstall $(dpkg -l 'linux-image-6.12*+*' | sed -n 's/^ii  *\\([^ ]*\\) .*/\\1/p') 2>&1")
	t.Log(out)
	if !strings.Contains(out, "ext 1.1.0 is ready for Linux 6.12") {
		t.Error("apt-get does not say that ext 1.1.0 is ready")
	}
	prepared, err := filepath.Glob(filepath.Join(root, "prepared", "6.12*.json"))
	if err != nil || len(prepared) != 1 {
		t.Fatalf("prepared: %v, %v", prepared, err)
	}

	// With the kernel goes what was kept for it.
	t.Log(inside("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge 'linux-image-6.12*' 2>&1"))
	if left, _ := filepath.Glob(filepath.Join(root, "prepared", "*.json")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
