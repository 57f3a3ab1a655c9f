// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// probeTimeout is far more than a kernel takes to boot under KVM, and short enough to be spent once for nothing.
const probeTimeout = 15 * time.Second

// accelAnswer is the probe's answer, kept in the cache. A host that has been restarted, or another QEMU, is asked again.
type accelAnswer struct {
	Host  string `json:"host"`
	Accel string `json:"accel"`
	Why   string `json:"why"`
}

// probeAccel says "kvm" only where a stock kernel has booted with it: nested virtualisation may offer /dev/kvm and still
// not run a stock kernel. All doubts are answered with "tcg", which works everywhere.
func probeAccel(ctx context.Context, k *Kernel) string {
	if a := os.Getenv("IUPKG_VM_ACCEL"); a == "tcg" || a == "kvm" {
		return a
	}
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "tcg"
	}
	kvm.Close()
	cache, err := CacheDir()
	if err != nil {
		return "tcg"
	}
	host, err := hostID(ctx)
	if err != nil {
		return "tcg"
	}
	dir := filepath.Join(cache, "kernels")
	unlock, err := lockDir(dir)
	if err != nil {
		return "tcg"
	}
	defer unlock()
	file := filepath.Join(dir, "accel.json")
	var a accelAnswer
	if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &a) == nil && a.Host == host {
		return a.Accel
	}
	a = accelAnswer{Host: host, Accel: "kvm"}
	m, err := start(ctx, probeConfig(), k, "kvm")
	if err != nil {
		a.Accel, a.Why = "tcg", firstOf(err)
	} else {
		m.Stop()
	}
	if ctx.Err() != nil {
		return "tcg" // interrupted, not answered
	}
	if b, err := json.Marshal(a); err == nil {
		_ = os.WriteFile(file, append(b, '\n'), 0o644)
	}
	return a.Accel
}

func probeConfig() Config {
	c := Config{CPUs: 2, NoNet: true, BootTimeout: probeTimeout, Kernel: "-"}
	_ = c.complete()
	return c
}

func firstOf(err error) string {
	var d *Death
	if errors.As(err, &d) {
		return d.Cause
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// hostID changes when the host restarts or its QEMU does.
func hostID(ctx context.Context) (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	v, err := qemuVersion(ctx)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(id)) + " " + v, nil
}

// qemuVersion is QEMU's first word about itself, "QEMU emulator version 10.0.2 (…)".
func qemuVersion(ctx context.Context) (string, error) {
	v, err := command(ctx, "", "qemu-system-x86_64", "--version")
	if err != nil {
		return "", err
	}
	v, _, _ = strings.Cut(v, "\n")
	return v, nil
}

// runsAtOnce says whether this QEMU may emulate several CPUs at once. Before 8.1 it translates a page of code without
// keeping others from writing to it, so that a CPU may go on with what another has just patched. Kernels patch
// themselves all the time, and do not survive a breakpoint whose handler has gone.
func runsAtOnce(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "QEMU emulator version %d.%d", &major, &minor)
	return err == nil && (major > 8 || major == 8 && minor >= 1)
}
