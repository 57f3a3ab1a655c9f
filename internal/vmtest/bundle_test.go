// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/internal/testbed"
	"github.com/iupkg/iupkg/manifest"
)

// A machine with no network installs from a bundle, as strictly as from a registry:
// who is not trusted, and what was changed, is refused there too.
func TestBundle(t *testing.T) {
	b := newPublisher(t)
	b.publishVariants("1.0.0", "eth0",
		func(m *manifest.Manifest) { m.Requires.Config = []string{"PREEMPT_RT"} },
		func(m *manifest.Manifest) { m.Requires.Config = []string{"!PREEMPT_RT"} })
	root, file := filepath.Join(b.Dir, "packer"), filepath.Join(b.Dir, "ext.tar")
	for _, args := range [][]string{
		{"--root", root, "trust", "add", b.TrustFile()},
		{"--root", root, "--registry", b.Registry(), "--no-progress", "bundle", "ext", "-o", file},
	} {
		if _, err := b.Run(b.ctx, args...); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(raw), "\x7fELF")
	if at < 0 {
		t.Fatal("there is no object in the bundle")
	}
	// Both objects, so that whichever is wanted is not the signed one.
	changed := strings.ReplaceAll(string(raw), "\x7fELF\x02\x01\x01", "\x7fELF\x02\x01\x02")
	bad := filepath.Join(b.Dir, "bad.tar")
	if err := os.WriteFile(bad, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	b.boot(machine("6.12", t.TempDir()))
	b.run(0, nil, "setup")
	b.shell("ip link set eth0 down; ip link set lo down; ! timeout 5 bash -c '</dev/tcp/10.0.2.2/1' 2>/dev/null")
	alone := func(code int, says string, args ...string) {
		t.Helper()
		before := b.state()
		r, err := b.m.Run(b.ctx, append([]string{b.IUPkg(), "--no-progress"}, args...)...)
		if err != nil || r.Exit != code || !strings.Contains(r.Stdout+r.Stderr, says) {
			t.Fatalf("iupkg %s: exit %d, want %d and %q, %v\n%s%s", strings.Join(args, " "), r.Exit, code, says, err, r.Stdout, r.Stderr)
		}
		if code != 0 && b.state() != before {
			t.Errorf("iupkg %s changed the machine", strings.Join(args, " "))
		}
	}
	alone(4, "", "install", "--bundle", file, "ext")
	alone(0, "", "trust", "add", b.TrustFile())
	alone(5, "", "--registry", b.GuestRegistry(), "install", "ext")
	alone(5, "digest", "install", "--bundle", bad, "ext")
	alone(0, "signed by "+testbed.Key, "install", "--bundle", file, "ext")
	alone(0, "", "--offline", "verify")
	alone(0, "1.0.0", "list")
	// It was the object itself that was installed: it handles packets once there are any.
	b.shell("ip link set lo up; ip link set eth0 up; ip addr replace 10.0.2.15/24 dev eth0")
	b.talk(1)
	if runs, _ := b.faults("ext"); runs == 0 {
		t.Error("no packet was handled")
	}
	b.checkLog()
}
