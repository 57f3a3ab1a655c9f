// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package vmtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/internal/crash"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

// sweep is what TestGuestKill does in a machine, by JSON in the environment.
type sweep struct {
	IUPkg string
	// Ops are command lines of iupkg, each tried from the state that Before leaves.
	Ops []sweepOp
	// Points bounds how many points of each op are tried, evenly spread; 0: all.
	Points int
}

type sweepOp struct {
	Name   string
	Before []string // command lines
	Kill   string
	// Old and New are the version of ext before and after, "" for none.
	Old, New string
}

const sweepEnv = "IUPKG_VM_SWEEP"

// TestKillInMachine kills the real iupkg, with the real kernel behind it, at system
// calls that change anything. Each time the next command finds the old or the new
// version, whole: in the store, in the runtime, attached, and nothing left over.
// IUPKG_CRASH=all tries every such call, else it is a sample.
func TestKillInMachine(t *testing.T) {
	b := newBed(t, "6.12")
	b.publishExt("1.0.0", "iut1", nil)
	b.publishExt("1.1.0", "iut1", func(m *manifest.Manifest) {
		for i := range m.Maps {
			if m.Maps[i].Name == "SEEN" {
				m.Maps[i].Migrate = manifest.MigrateDrop
			}
		}
	}, "-DEXT_STEP=1000", "-DEXT_SEEN=32")
	b.run(0, nil, "setup")
	b.run(0, nil, "trust", "add", b.TrustFile())
	b.shell(`ip link add iut0 type veth peer name iut1; ip link set iut0 up; ip link set iut1 up`)
	// Both are fetched once: the sweep needs no registry.
	b.run(0, nil, "install", "--download-only", "ext@1.0.0")
	b.run(0, nil, "install", "--download-only", "ext@1.1.0")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := sweep{IUPkg: b.IUPkg(), Points: 2, Ops: []sweepOp{
		{Name: "install", Kill: "install ext@1.0.0", New: "1.0.0"},
		{Name: "upgrade", Before: []string{"install ext@1.0.0"}, Kill: "install ext@1.1.0", Old: "1.0.0", New: "1.1.0"},
		{Name: "rollback", Before: []string{"install ext@1.0.0", "install ext@1.1.0"}, Kill: "rollback", Old: "1.1.0", New: "1.0.0"},
		{Name: "remove", Before: []string{"install ext@1.0.0"}, Kill: "remove ext", Old: "1.0.0"},
	}}
	if os.Getenv("IUPKG_CRASH") == "all" {
		s.Points = 0
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.m.Run(b.ctx, "/usr/bin/env", sweepEnv+"="+string(text), exe, "-test.v", "-test.timeout", "3h", "-test.run", "^TestGuestKill$")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r.Stdout, r.Stderr)
	if r.Exit != 0 || !strings.Contains(r.Stdout, "--- PASS: TestGuestKill") {
		t.Errorf("the sweep failed with exit code %d", r.Exit)
	}
	b.checkLog()
}

// TestGuestKill runs in a machine, started by TestKillInMachine.
func TestGuestKill(t *testing.T) {
	text := os.Getenv(sweepEnv)
	if text == "" {
		t.Skip("runs in a virtual machine only")
	}
	g := &killer{t: t}
	if err := json.Unmarshal([]byte(text), &g.sweep); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, op := range g.Ops {
		t.Run(op.Name, func(t *testing.T) {
			g.t, g.ready = t, false
			n := g.count(&op)
			step := 1
			if g.Points > 0 {
				step = max(1, n/g.Points)
			}
			tried := 0
			for at := 0; at < n; at += step {
				g.kill(&op, at)
				tried++
			}
			total += tried
			t.Logf("%d calls change anything, killed at %d of them", n, tried)
			if n < 20 {
				t.Errorf("only %d calls change anything", n)
			}
		})
	}
	t.Logf("killed at %d points", total)
}

type killer struct {
	sweep
	t     *testing.T
	ready bool // what is installed is what the op under way starts from, if it was not done
}

func (g *killer) command(line string) *exec.Cmd {
	args := append([]string{"--offline", "--no-progress"}, strings.Fields(line)...)
	cmd := exec.Command(g.IUPkg, args...)
	return cmd
}

func (g *killer) run(line string) string {
	g.t.Helper()
	out, err := g.command(line).CombinedOutput()
	if err != nil {
		g.t.Fatalf("iupkg %s: %v\n%s", line, err, out)
	}
	return string(out)
}

// prepare makes the state that an op starts from, if it is not there still.
func (g *killer) prepare(op *sweepOp) {
	g.t.Helper()
	if g.ready && g.version() == op.Old {
		return
	}
	if g.version() != "" {
		g.run("remove ext")
	}
	for _, line := range op.Before {
		g.run(line)
	}
	g.ready = true
}

// count is how many calls of an op change anything.
func (g *killer) count(op *sweepOp) int {
	g.t.Helper()
	g.prepare(op)
	n := 0
	if _, err := crash.Trace(g.command(op.Kill), func(c *crash.Call) bool {
		if !c.Done && c.Changes() {
			n++
		}
		return false
	}); err != nil {
		g.t.Fatal(err)
	}
	return n
}

// kill runs an op, kills it before the call with that number, and checks what the
// next command finds.
func (g *killer) kill(op *sweepOp, at int) {
	g.t.Helper()
	g.prepare(op)
	seen, last := 0, ""
	cmd := g.command(op.Kill)
	_, err := crash.Trace(cmd, func(c *crash.Call) bool {
		if c.Done || !c.Changes() {
			return false
		}
		seen++
		last = fmt.Sprintf("call %d, system call %d %s", seen, c.Nr, c.Path(c.Args[0]))
		return seen > at
	})
	if err != nil {
		g.t.Fatal(err)
	}
	// The next command, whatever it is, undoes what is to be undone; this one changes
	// nothing else.
	out := g.run("restore")
	have := g.version()
	if have != op.Old && have != op.New {
		g.t.Fatalf("killed at %s: version %q is installed, want %q or %q\n%s", last, have, op.Old, op.New, out)
	}
	if left := g.leftOver(have); len(left) > 0 {
		g.t.Fatalf("killed at %s: with version %q the kernel has %v\n%s", last, have, left, out)
	}
}

// version is what is installed of ext.
func (g *killer) version() string {
	g.t.Helper()
	cur, err := install.Open(install.DefaultRoot).Current()
	if err != nil {
		g.t.Fatal(err)
	}
	if p := cur.Find("ext"); p != nil {
		return p.Version
	}
	return ""
}

// leftOver is what the kernel has too much or too little of, for a version.
func (g *killer) leftOver(version string) []string {
	g.t.Helper()
	var wrong []string
	want := 1
	if version == "" {
		want = 0
	}
	modules, err := os.ReadFile("/proc/modules")
	if err != nil {
		g.t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(modules)) {
		if strings.HasPrefix(line, "iux_") {
			n++
		}
	}
	if n != want {
		wrong = append(wrong, strconv.Itoa(n)+" modules")
	}
	for sub, names := range map[string][]string{
		"maps": {"COUNTS", "SEEN"}, "progs": {"count_tc", "count_xdp"}, "links": {"count_tc", "count_xdp"},
	} {
		if want == 0 {
			names = nil
		}
		var have []string
		entries, _ := os.ReadDir(filepath.Join("/sys/fs/bpf/iupkg/ext", sub))
		for _, e := range entries {
			have = append(have, e.Name())
		}
		if !slices.Equal(have, names) {
			wrong = append(wrong, fmt.Sprintf("%s %v", sub, have))
		}
	}
	list, err := kernel.List()
	if err != nil {
		return append(wrong, err.Error())
	}
	if len(list) != want {
		wrong = append(wrong, fmt.Sprintf("%d extensions", len(list)))
	}
	for _, x := range list {
		if x.Version != version || !x.Committed {
			wrong = append(wrong, fmt.Sprintf("version %s runs, committed: %v", x.Version, x.Committed))
		}
	}
	if want == 1 {
		rec := install.Open(install.DefaultRoot).Record("ext")
		if rec == nil {
			return append(wrong, "no record")
		}
		if err := rec.Intact(); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}
