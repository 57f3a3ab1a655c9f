// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A warm install: the package is in the store, the index is synced. From the start
// of the command to the first packet that the extension handles, against a plain
// bpftool prog load and attach of a comparable eBPF program in the same boot. The
// median of several is reported as a ratio; IUPKG_LATENCY names a file to write it
// to.
func TestWarmInstall(t *testing.T) {
	b := newBed(t, "6.12")
	b.publishExt("1.0.0", "iut1", nil)
	b.run(0, nil, "setup")
	b.run(0, nil, "trust", "add", b.TrustFile())
	b.shell(`ip link add iut0 type veth peer name iut1; ip link set iut0 up; ip link set iut1 up`)
	b.run(0, nil, "install", "ext")
	b.run(0, nil, "remove", "ext")
	script, err := filepath.Abs("testdata/warm.sh")
	if err != nil {
		t.Fatal(err)
	}
	runs := "3"
	if os.Getenv("IUPKG_LATENCY") != "" {
		runs = "9"
	}
	object := filepath.Join(b.Dir, "plain.o")
	if out, err := exec.Command("clang-22", "-O2", "-g", "-target", "bpf", "-c", "testdata/plain.bpf.c", "-o", object).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r, err := b.m.Shell(b.ctx, "RUNS="+runs+" bash "+script+" "+b.IUPkg()+" "+object)
	if err != nil || r.Exit != 0 {
		t.Fatalf("exit %d, %v\n%s%s", r.Exit, err, r.Stdout, r.Stderr)
	}
	out := r.Stdout
	t.Log(out, r.Stderr)
	t.Log(out)
	figures := map[string]float64{}
	for line := range strings.Lines(out) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ms, err := strconv.ParseFloat(value, 64); ok && err == nil {
			figures[name] = ms
		}
	}
	ours, plain := figures["install"], figures["bpftool"]
	if ours <= 0 || plain <= 0 {
		t.Fatalf("no figures in %q", out)
	}
	ratio := ours / plain
	t.Logf("warm install to first packet: %.0f ms; bpftool: %.0f ms; ratio %.2f", ours, plain, ratio)
	if file := os.Getenv("IUPKG_LATENCY"); file != "" {
		doc, err := json.Marshal(map[string]any{"name": "install.warm", "value": ours, "unit": "ms", "baseline": plain, "ratio": ratio})
		if err == nil {
			err = os.WriteFile(file, append(doc, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b.checkLog()
}
