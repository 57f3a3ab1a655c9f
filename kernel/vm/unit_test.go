// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/kernel/vm/wire"
)

func TestPackageOf(t *testing.T) {
	for name, want := range map[string]string{
		"6.12":                      "linux-image-6.12-amd64",
		"6.1":                       "linux-image-amd64",
		"6.1-cloud":                 "linux-image-cloud-amd64",
		"6.12-rt":                   "linux-image-6.12-rt-amd64",
		"6.12.117+deb12-amd64":      "linux-image-6.12.117+deb12-amd64",
		"6.1.0-56-cloud-amd64":      "linux-image-6.1.0-56-cloud-amd64",
		"linux-image-6.12-rt-amd64": "linux-image-6.12-rt-amd64",
		"":                          "",
		"6":                         "",
		"../6.12.1-amd64":           "",
		"linux-image-../../x":       "",
		"linux-headers-6.12-amd64":  "",
	} {
		got, err := PackageOf(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("PackageOf(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestModulesFor(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// As depmod writes it: all dependencies of a module, what to load first at the end.
	write("modules.dep", "kernel/a/9p.ko.xz: kernel/a/9pnet.ko.xz kernel/b/netfs.ko.xz\n"+
		"kernel/a/9pnet.ko.xz: kernel/b/netfs.ko.xz\nkernel/b/netfs.ko.xz:\nkernel/c/9pnet-virtio.ko.xz: kernel/a/9pnet.ko.xz kernel/b/netfs.ko.xz\n")
	write("modules.builtin", "kernel/drivers/virtio/virtio-pci.ko\n")
	got, err := modulesFor(dir, []string{"virtio_pci", "9pnet_virtio", "9p"})
	want := "kernel/b/netfs.ko.xz kernel/a/9pnet.ko.xz kernel/c/9pnet-virtio.ko.xz kernel/a/9p.ko.xz"
	if err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %v, %v\nwant %s", got, err, want)
	}
	if _, err := modulesFor(dir, []string{"overlay"}); err == nil || !strings.Contains(err.Error(), "overlay") {
		t.Errorf("a module that is nowhere: got %v", err)
	}
}

// The archive must be one that another program reads.
func TestCpio(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("cpio is not installed")
	}
	var b bytes.Buffer
	c := &cpioWriter{w: &b}
	c.dir("d")
	c.file("d/odd", 0o755, []byte("12345"))
	c.file("d/empty", 0o644, nil)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command("cpio", "-id", "--quiet")
	cmd.Dir, cmd.Stdin = dir, &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "d/odd"))
	if err != nil || string(got) != "12345" {
		t.Errorf("got %q, %v", got, err)
	}
	fi, err := os.Stat(filepath.Join(dir, "d/odd"))
	if err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "d/empty")); err != nil || fi.Size() != 0 {
		t.Errorf("empty file: %v", err)
	}
}

func TestProblems(t *testing.T) {
	for line, bad := range map[string]bool{
		"iu: loading out-of-tree module taints kernel.":                                             false,
		"iu: module verification failed: signature and/or required key missing - tainting kernel":   false,
		"evil: module license 'Proprietary' taints kernel.":                                         true,
		"WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x0/0x10":                                         true,
		"BUG: unable to handle page fault for address: ffff":                                        true,
		"rcu: INFO: rcu_preempt self-detected stall on CPU":                                         true,
		"rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-... }":                 true,
		"watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:1]":                                   true,
		"Unpatched return thunk in use. This should not happen!":                                    true,
		"INFO: task x:1 blocked for more than 120 seconds.":                                         true,
		"rcu: Hierarchical SRCU implementation.":                                                    false,
		"Spectre V2 : Mitigation: Retpolines":                                                       false,
		"rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.":                    false,
		"kfence: initialized - using 2097152 bytes for 255 objects":                                 false,
		"EXT4-fs (vda1): WARNING is a word that a file system may use":                              false,
		"x86/mm: Checked W+X mappings: passed, no W+X pages found.":                                 false,
		"WARNING: possible circular locking dependency detected":                                    true,
		"Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP":  true,
		"CPU: 0 UID: 0 PID: 9 Comm: x Tainted: G           OE      6.12.117+deb12-amd64 #1  Debian": true,
	} {
		l := parseKmsg("4,12,345678,-;" + line + "\n")
		if len(l.Records) != 1 || l.Records[0].Usec != 345678 || l.Records[0].Level != 4 {
			t.Fatalf("parsed %+v", l.Records)
		}
		if got := len(l.Problems()) == 1; got != bad {
			t.Errorf("%q: problem is %v, want %v", line, got, bad)
		}
	}
}

func TestConsole(t *testing.T) {
	var panics []string
	c := &console{onPanic: func(l string) { panics = append(panics, l) }}
	for _, s := range []string{"[ 1.0] Kernel pan", "ic - not syncing: Fatal exception\r\n", "rest"} {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if len(panics) != 1 || panics[0] != "Fatal exception" {
		t.Errorf("panics: %q", panics)
	}
	if got := c.tail(2); got != "[ 1.0] Kernel panic - not syncing: Fatal exception\nrest" {
		t.Errorf("tail: %q", got)
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"no kernel":        {},
		"accelerator":      {Kernel: "6.12", Accel: "xen"},
		"icount and CPUs":  {Kernel: "6.12", Icount: "shift=0", CPUs: 2},
		"icount and KVM":   {Kernel: "6.12", Icount: "shift=0", Accel: "kvm"},
		"forward, no card": {Kernel: "6.12", NoNet: true, Forwards: []Forward{{Proto: "tcp", Guest: 1}}},
		"forward protocol": {Kernel: "6.12", Forwards: []Forward{{Proto: "sctp", Guest: 1}}},
		"share target":     {Kernel: "6.12", Shares: []Share{{Host: "/tmp", Guest: "x"}}},
	} {
		if _, err := Start(context.Background(), c); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}

func TestRunsAtOnce(t *testing.T) {
	for version, want := range map[string]bool{
		"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)":      false,
		"QEMU emulator version 8.0.5":                                         false,
		"QEMU emulator version 8.1.0":                                         true,
		"QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)": true,
		"something else": false,
	} {
		if got := runsAtOnce(version); got != want {
			t.Errorf("%s: %v, want %v", version, got, want)
		}
	}
}

func TestPickPorts(t *testing.T) {
	got, err := pickPorts([]Forward{{"tcp", 0, 11211}, {"udp", 0, 11211}, {"tcp", 4444, 80}})
	if err != nil || got[0].Host == 0 || got[0].Host != got[1].Host || got[2].Host != 4444 {
		t.Errorf("got %+v, %v", got, err)
	}
	m := &Machine{forwards: got}
	if m.Addr("tcp", 80) != "127.0.0.1:4444" || m.Addr("udp", 80) != "" {
		t.Errorf("addresses %q %q", m.Addr("tcp", 80), m.Addr("udp", 80))
	}
}

func TestBadModuleCompression(t *testing.T) {
	if _, err := readModule(context.Background(), "x.ko.lz4"); err == nil {
		t.Error("read")
	}
	bad := filepath.Join(t.TempDir(), "x.ko.xz")
	if err := os.WriteFile(bad, []byte("not xz"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readModule(context.Background(), bad); err == nil {
		t.Error("read a file that is not xz")
	}
}

func FuzzParseKmsg(f *testing.F) {
	f.Add("6,1,2,-;text\n SUBSYSTEM=x\n")
	f.Add(";;,,\n,")
	f.Fuzz(func(t *testing.T, s string) { _ = parseKmsg(s).Problems() })
}

func FuzzWire(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 1, 0, 0, 0, 0, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			fr, err := wire.Read(r)
			if err != nil {
				return
			}
			if len(fr.Payload) > wire.MaxPayload {
				t.Fatal("over the limit")
			}
		}
	})
}
