// SPDX-License-Identifier: Apache-2.0

// Package vmtest starts machines for tests. A test passes only if, after its own checks, the machine still answers and
// its kernel log is clean: that is asked of the machine from outside, so silence, a panic or a warning fails the test.
package vmtest

import (
	"context"
	"testing"
	"time"

	"github.com/iupkg/iupkg/kernel/vm"
)

// Kernels are the stock kernels that everything must work on.
var Kernels = []string{"6.12", "6.1"}

// Start boots a machine that ends with the test. Tests with -short are skipped: a boot takes some seconds.
func Start(t testing.TB, cfg vm.Config) *vm.Machine {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a virtual machine")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	m, err := vm.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s up in %.1fs with %s", m.Kernel.Release, m.BootTime.Seconds(), m.Accel)
	t.Cleanup(func() {
		defer m.Stop()
		CheckClean(t, m)
	})
	return m
}

// CheckClean fails the test if the machine is dead or its kernel has complained.
func CheckClean(t testing.TB, m *vm.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log, err := m.Dmesg(ctx)
	if err != nil {
		t.Errorf("after the test: %v", err)
		return
	}
	if p := log.Problems(); len(p) > 0 {
		t.Errorf("the kernel complained %d times, first: %s\nits log:\n%s", len(p), p[0], tail(log, 150))
	}
}

func tail(l *vm.Log, n int) *vm.Log {
	return &vm.Log{Records: l.Records[max(0, len(l.Records)-n):]}
}

// Run runs a command in the machine and fails the test unless it exits with 0; it returns stdout.
func Run(t testing.TB, m *vm.Machine, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	r, err := m.Run(ctx, argv...)
	if err != nil {
		t.Fatal(err)
	}
	if r.Exit != 0 {
		t.Fatalf("%v: exit %d\nstdout: %s\nstderr: %s", argv, r.Exit, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Shell is Run of a bash script in which any failing command is fatal.
func Shell(t testing.TB, m *vm.Machine, script string) string {
	t.Helper()
	return Run(t, m, "/bin/bash", "-euo", "pipefail", "-c", script)
}
