// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// A transaction is tried in a machine before anything is changed here: what passes
// its self-tests is said to, what does not ends with the reason; this machine is
// left as it was.
func TestCanary(t *testing.T) {
	if os.Getenv("IUPKG_LONG") == "" {
		t.Skip("boots machines for a long time: IUPKG_LONG=1")
	}
	b := newPublisher(t)
	iface := hostInterface(t)
	packet := strings.Repeat("ff", 12) + "0806" + strings.Repeat("00", 46)
	with := func(tests ...manifest.SelfTest) func(*manifest.Manifest) {
		return func(m *manifest.Manifest) { m.SelfTests = tests }
	}
	b.publishExt("1.0.0", iface, with(
		manifest.SelfTest{Name: "ARP passes", Program: "count_xdp", Packet: packet, Expect: "pass"},
		manifest.SelfTest{Name: "ARP goes on", Program: "count_tc", Packet: packet, Expect: "ok"},
	))
	b.publishExt("1.1.0", iface, with(manifest.SelfTest{Name: "ARP is dropped", Program: "count_xdp", Packet: packet, Expect: "drop"}))
	b.publishExt("1.2.0", iface, with(manifest.SelfTest{Program: "count_xdp", Packet: packet + strings.Repeat("00", 1234-60), Expect: "pass"}))
	root := filepath.Join(b.Dir, "root")
	// What is resolved is for the machine's kernel, whatever runs here.
	profile := filepath.Join(b.Dir, "profile.json")
	text, err := manifest.EncodeProfile(&manifest.Profile{Schema: manifest.Schema, Release: "6.12.0", Arch: "amd64"})
	if err == nil {
		err = os.WriteFile(profile, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	iupkg := func(args ...string) (string, error) {
		cmd := exec.CommandContext(b.ctx, b.IUPkg(), append([]string{"--root", root, "--registry", b.Registry(), "--no-progress"}, args...)...)
		out, err := cmd.CombinedOutput()
		t.Logf("iupkg %s\n%s", strings.Join(args, " "), out)
		return string(out), err
	}
	if _, err := iupkg("trust", "add", b.TrustFile()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		version string
		fails   bool
		says    []string
	}{
		{"1.0.0", false, []string{"canary: booted Linux 6.12", "canary: ext 1.0.0 loaded there, 2 self-tests passed"}},
		{"1.1.0", true, []string{"the canary failed", "self-test ARP is dropped: program count_xdp: the verdict is pass, want drop", "nothing was changed here"}},
		{"1.2.0", true, []string{"the canary failed", "faults of cause panic"}},
	} {
		out, err := iupkg("install", "ext@"+c.version, "--set", "iface="+iface, "--kernel", profile, "--canary-kernel", "6.12", "--dry-run")
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", c.version, err)
		}
		for _, want := range c.says {
			if !strings.Contains(out, want) {
				t.Errorf("%s: does not say %q", c.version, want)
			}
		}
		if list, err := iupkg("list"); err != nil || strings.Contains(list, "ext") {
			t.Errorf("%s: %v: something was installed", c.version, err)
		}
	}
	// Without QEMU or an image it says so.
	cmd := exec.CommandContext(b.ctx, b.IUPkg(), "--root", root, "--offline", "--kernel", profile, "install", "ext@1.0.0", "--set", "iface="+iface, "--canary", "--dry-run")
	cmd.Env = []string{"PATH=/nonexistent", "HOME=" + b.Dir}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "the canary needs QEMU") {
		t.Errorf("%v: %s", err, out)
	}
}

// hostInterface is an interface of this machine, which the other one makes: not the
// loopback, which it has, if there is another.
func hostInterface(t *testing.T) string {
	devs, err := net.Interfaces()
	if err != nil || len(devs) == 0 {
		t.Skip("this machine has no network interfaces: ", err)
	}
	for _, d := range devs {
		if d.Flags&(net.FlagLoopback|net.FlagUp) == net.FlagUp {
			return d.Name
		}
	}
	return devs[0].Name
}
