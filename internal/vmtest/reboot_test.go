// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/kernel/vm"
	"github.com/iupkg/iupkg/manifest"
)

// machine is a machine whose state outlives it.
func machine(kernel, state string) vm.Config {
	return vm.Config{Kernel: kernel, CPUs: 2, MemMiB: 1024, Shares: []vm.Share{{Host: state, Guest: "/var/lib/iupkg", Writable: true}}}
}

// The plug is pulled and the machine booted over the same state: restore, as the
// service runs it, brings back what is installed. What has drifted is seen by
// verify and doctor and mended. Another kernel gets what fits it, from what was
// prepared for it, with no registry at hand.
func TestReboot(t *testing.T) {
	b := newPublisher(t)
	state := t.TempDir()
	b.publishExt("1.0.0", "eth0", func(m *manifest.Manifest) { m.Requires.Release = "<6.10" })
	// Of several objects the last is the one for this kernel.
	variant := func(config string) func(m *manifest.Manifest) {
		return func(m *manifest.Manifest) { m.Requires.Release, m.Requires.Config = ">=6.10", []string{config} }
	}
	b.publishVariants("1.1.0", "eth0", variant("PREEMPT_RT"), variant("KASAN"), variant("!PREEMPT_RT && BPF_SYSCALL"))
	b.boot(machine("6.1", state))
	b.run(0, []string{"iupkg-restore.service", "zz-iupkg"}, "setup")
	b.run(0, nil, "trust", "add", b.TrustFile())
	b.run(0, nil, "install", "ext", "--set", "PANIC_LEN=4321")
	b.run(0, []string{"1.0.0"}, "list")

	// The service's own command after a reboot, with no registry.
	b.boot(machine("6.1", state))
	b.run(0, nil, "setup")
	service := b.shell(`sed -n 's/^ExecStart=//p' /etc/systemd/system/iupkg-restore.service`)
	if !strings.HasSuffix(strings.TrimSpace(service), " restore") {
		t.Fatalf("the service runs %q", service)
	}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		b.shell("systemd-analyze verify /etc/systemd/system/iupkg-restore.service")
	}
	b.shell(service)
	b.run(0, nil, "verify")
	b.run(0, []string{"4321"}, "list", "--json")
	b.talk(1)
	if runs, _ := b.faults("ext"); runs == 0 {
		t.Error("no packet was handled after the reboot")
	}
	// Once more is nothing.
	b.run(0, []string{"is loaded"}, "--offline", "restore")
	b.run(0, nil, "doctor")

	// Drift: the link is taken away, the pins, the clock goes back by a year.
	b.shell("date -s '1 year ago' >/dev/null; rm /sys/fs/bpf/iupkg/ext/links/*")
	b.run(1, []string{"no longer attached"}, "--offline", "verify")
	b.run(1, []string{"no longer attached", "doctor --fix"}, "--offline", "doctor")
	b.run(0, []string{"loaded ext 1.0.0"}, "--offline", "doctor", "--fix")
	b.run(0, nil, "--offline", "verify")
	b.talk(1)
	// All pins are gone, and the module if the kernel lets it go.
	t.Log(b.shell("rm -r /sys/fs/bpf/iupkg/ext; rmmod $(sed -n 's/^\\(iux_[^ ]*\\) .*/\\1/p' /proc/modules) 2>&1 || true"))
	b.run(1, []string{"failed"}, "--offline", "verify")
	b.run(0, []string{"loaded ext 1.0.0"}, "--offline", "doctor", "--fix")
	b.run(0, nil, "--offline", "verify")
	b.talk(1)
	// A bit rots in the store: what is broken is never used again, and fetched anew.
	b.shell("cd /var/lib/iupkg/blobs/sha256; f=$(grep -l ELF * | head -1); printf x | dd of=$f conv=notrunc bs=1 seek=100 2>/dev/null")
	b.run(0, []string{"mended"}, "verify")
	b.shell("[ $(ls /var/lib/iupkg/quarantine | wc -l) = 1 ]")
	b.run(0, nil, "--offline", "verify")
	// With the clock back, transactions go on and their order is that of their numbers.
	b.run(0, nil, "--offline", "remove", "ext")
	b.run(0, nil, "--offline", "rollback")
	b.run(0, nil, "--offline", "verify")
	var history []struct{ Number int }
	if err := json.Unmarshal([]byte(b.run(0, nil, "history", "--json").Stdout), &history); err != nil || len(history) != 3 || history[2].Number != 3 {
		t.Errorf("history: %+v, %v", history, err)
	}
	b.shell("date -s '1 year' >/dev/null")

	// A new kernel is installed: what would not load is replaced by what does, ahead of
	// its first boot.
	next, err := vm.Find(b.ctx, "6.12")
	if err != nil {
		t.Fatal(err)
	}
	b.shell("cp " + next.Image() + " " + next.ConfigFile() + " /boot/")
	b.run(0, []string{"ext 1.1.0 is ready for Linux " + next.Release, "resolved ext 1.1.0 in the place of 1.0.0"}, "prepare", next.Release)
	b.run(0, []string{"1.0.0"}, "list")
	b.run(0, nil, "gc", "--keep", "1") // what was prepared stays
	b.checkLog()

	b.boot(machine("6.12", state))
	b.run(0, []string{"another kernel", "loaded ext 1.1.0"}, "--offline", "restore")
	b.run(0, nil, "--offline", "verify")
	b.run(0, []string{"restore on Linux " + next.Release}, "history")
	b.run(0, []string{"ext", "installed (variant 3)"}, "resolve", "ext")
	b.talk(1)
	if runs, _ := b.faults("ext"); runs == 0 {
		t.Error("no packet was handled by the new kernel")
	}
	b.checkLog()
}
