// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/iupkg/iupkg/manifest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestGuestHooks runs in the machine of TestGuest, after it: the hooks other
// than XDP and TC, each by what it does to the machine.
func TestGuestHooks(t *testing.T) {
	dir := os.Getenv("IUPKG_VM_TEST")
	if dir == "" {
		t.Skip("runs in a virtual machine only")
	}
	g := &hookGuest{guest: guest{dir: dir}}
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"facts", g.facts},
		{"arguments", g.arguments},
		{"tracing", g.tracing},
		{"probes", g.probes},
		{"timings", g.timings},
		{"syscalls", g.syscalls},
		{"paxos", g.paxos},
		{"counting", g.counting},
		{"templates", g.templates},
		{"nested", g.nested},
		{"gates", g.gates},
		{"other hooks", g.otherHooks},
		{"junk contexts", g.junkContexts},
		{"remove runtime", g.removeRuntime},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow()
		}
	}
}

type hookGuest struct {
	guest
	all bool // all hooks, as from 6.12 on
	// opened are maps that have to be closed before nothing is left of an extension.
	opened []*ebpf.Map
}

func (g *hookGuest) facts(t *testing.T) {
	before, err := Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := InstallRuntime(t.Context(), filepath.Join(g.dir, "iu.ko")); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDevice()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.AddKey(g.file(t, "cert.der")); err != nil {
		t.Fatal(err)
	}
	after, err := Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.all = !strings.HasPrefix(after.Release, "6.1.")
	for _, h := range manifest.Hooks() {
		want := manifest.Yes
		switch h {
		case "xdp", "tc", "fentry", "fexit", "tp_btf", "lsm":
		default:
			if !g.all {
				want = manifest.No
			}
		}
		t.Logf("%s: %s before the runtime is there, %s with it", h, before.Hooks[h], after.Hooks[h])
		if before.Hooks[h] != want || after.Hooks[h] != want {
			t.Errorf("%s: want %s", h, want)
		}
	}
	g.guest.before = readState(t)
}

// sample is the spec of a built sample; edit may change where it attaches.
func (g *hookGuest) sample(t *testing.T, name string, params map[string]string, edit func(*manifest.Program)) LoadSpec {
	t.Helper()
	m, err := manifest.Parse(g.file(t, "built-"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Programs {
		if edit != nil {
			edit(&m.Programs[i])
		}
	}
	return LoadSpec{
		Manifest: m, Object: g.file(t, "built-"+name+".o"), Signature: g.file(t, "built-"+name+".p7s"), Runtime: g.file(t, "iu.ko"),
		Params: params, Notice: func(s string) { t.Logf("notice: %s", s) },
	}
}

func (g *hookGuest) loadSample(t *testing.T, name string, params map[string]string, edit func(*manifest.Program)) *Loaded {
	t.Helper()
	began := time.Now()
	l, err := Load(t.Context(), g.sample(t, name, params, edit))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s loaded in %v", name, time.Since(began))
	for _, p := range l.Programs {
		if p.Link != nil {
			t.Logf("%s at %s: %s", p.Name, p.Hook, p.Link.Where)
		}
	}
	return l
}

func unload(t *testing.T, l *Loaded, before state) {
	t.Helper()
	s, err := StatusOf(l.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Programs {
		t.Logf("%s: %d runs, faults %v", p.Name, p.Runs, p.Faults)
		if len(p.Faults) > 0 {
			t.Errorf("%s had faults", p.Name)
		}
	}
	if err := Unload(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	same(t, before)
}

// values reads a map of a loaded extension; each value has size bytes.
func values(t *testing.T, l *Loaded, name string) [][]byte {
	t.Helper()
	for _, m := range l.Maps {
		if m.Name != name {
			continue
		}
		p, err := ebpf.LoadPinnedMap(m.Pin, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		var out [][]byte
		for i := range p.MaxEntries() {
			b, err := p.LookupBytes(i)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		return out
	}
	t.Fatalf("no map %s: %+v", name, l.Maps)
	return nil
}

func numbers(t *testing.T, l *Loaded, name string) []uint64 {
	t.Helper()
	var out []uint64
	for _, b := range values(t, l, name) {
		var w [8]byte
		copy(w[:], b)
		out = append(out, binary.NativeEndian.Uint64(w[:]))
	}
	return out
}

func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// arguments are refused that are not the target's.
func (g *hookGuest) arguments(t *testing.T) {
	for _, c := range []struct{ program, key, value, want string }{
		{"removing", "function", "no_such_function", `no function "no_such_function"`},
		{"removing", "function", "update_process_times", "takes 2 arguments (i32, pointer), update_process_times has 1"},
		{"removing", "function", "vfs_fsync", "argument 0 of vfs_fsync is a pointer, the program takes i32"},
		{"removed", "function", "update_process_times", "update_process_times returns nothing, the program takes i32"},
		{"removed", "function", "vfs_write", "what vfs_write returns is"},
		{"started", "tracepoint", "no_such_tracepoint", `no tracepoint "no_such_tracepoint"`},
		{"started", "tracepoint", "sched_switch", "argument 0 of sched_switch is a bool"},
		{"sockets", "hook", "no_such_hook", `no hook "no_such_hook"`},
		{"sockets", "hook", "file_open", "takes 4 arguments"},
	} {
		_, err := Load(t.Context(), g.sample(t, "tracing", nil, func(p *manifest.Program) {
			if p.Name == c.program {
				p.Attach = map[string]string{c.key: c.value}
			}
		}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s at %s: %v, want %q", c.program, c.value, err, c.want)
		}
		same(t, g.guest.before)
	}
}

func unlink(t *testing.T, path string, want error) {
	t.Helper()
	if err := unix.Unlinkat(unix.AT_FDCWD, path, 0); !errors.Is(err, want) {
		t.Fatalf("unlink %s: %v, want %v", path, err, want)
	}
}

func (g *hookGuest) tracing(t *testing.T) {
	const family = 9 // X.25, which nobody speaks
	l := g.loadSample(t, "tracing", map[string]string{"family": fmt.Sprint(family)}, nil)
	file := filepath.Join(t.TempDir(), "iu-removed")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []error{nil, unix.ENOENT} {
		unlink(t, file, want)
		last := values(t, l, "last")[0]
		// A lock word stands in front of the value: result, pid, uid, name.
		i := bytes.Index(last, []byte(file))
		if i < 16 {
			t.Fatalf("the last name is not %s: %x", file, last)
		}
		result := int64(binary.NativeEndian.Uint64(last[i-16:]))
		pid := binary.NativeEndian.Uint32(last[i-8:])
		if wantNumber := map[bool]int64{true: 0, false: -int64(unix.ENOENT)}[want == nil]; result != wantNumber || pid != uint32(os.Getpid()) {
			t.Errorf("unlink returned %d to %d, want %d to %d", result, pid, wantNumber, os.Getpid())
		}
	}
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if e := numbers(t, l, "exec"); e[0] != uint64(cmd.Process.Pid) {
		t.Errorf("the last process started is %d, want %d", e[0], cmd.Process.Pid)
	}
	for fam, want := range map[int]error{family: unix.EACCES, unix.AF_UNIX: nil} {
		fd, err := unix.Socket(fam, unix.SOCK_DGRAM, 0)
		if !errors.Is(err, want) {
			t.Errorf("socket of family %d: %v, want %v", fam, err, want)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
	time.Sleep(200 * time.Millisecond)
	calls := numbers(t, l, "calls")
	t.Logf("calls %v", calls)
	// removing, removed, started, sockets, ticks
	if calls[0] < 2 || calls[1] < 2 || calls[2] < 1 || calls[3] < 2 || calls[4] < 5 {
		t.Error("too few")
	}
	unload(t, l, g.guest.before)
	if _, err := unix.Socket(family, unix.SOCK_DGRAM, 0); errors.Is(err, unix.EACCES) {
		t.Error("the hook is still there")
	}
}

func (g *hookGuest) probes(t *testing.T) {
	if !g.all {
		spec := g.sample(t, "probes", nil, nil)
		if _, err := Load(t.Context(), spec); !errors.Is(err, ErrRefused) {
			t.Errorf("on a kernel without these hooks: %v", err)
		}
		same(t, g.guest.before)
		return
	}
	for name, c := range map[string]struct{ program, key, value, want string }{
		"no function":   {"removing", "function", "no_such_function", `no function "no_such_function"`},
		"no tracepoint": {"started", "event", "sched/no_such_event", "no tracepoint sched/no_such_event"},
		"no program":    {"called", "path", "/no/such/program", "cannot probe /no/such/program"},
		"no symbol":     {"called", "symbol", "no_such_symbol", `has no symbol "no_such_symbol"`},
	} {
		_, err := Load(t.Context(), g.sample(t, "probes", nil, func(p *manifest.Program) {
			if p.Name == c.program {
				p.Attach[c.key] = c.value
			}
		}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		same(t, g.guest.before)
	}
	l := g.loadSample(t, "probes", nil, nil)
	file := filepath.Join(t.TempDir(), "iu-removed")
	unlink(t, file, unix.ENOENT)
	// Bash asks for its parent when it starts.
	if err := exec.Command("/bin/bash", "-c", "exec /bin/true").Run(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
	}
	calls, results, names := numbers(t, l, "calls"), numbers(t, l, "results"), values(t, l, "names")
	t.Logf("calls %v, results %v, names %q %q", calls, results, text(names[0]), text(names[1]))
	for i, what := range []string{"removing", "removed", "called", "returned", "started", "sampled"} {
		if calls[i] < 1 {
			t.Errorf("%s was not called", what)
		}
	}
	if text(names[0]) != file || int64(results[1]) != -int64(unix.ENOENT) {
		t.Errorf("the last file is %q, want %q; it returned %d", text(names[0]), file, int64(results[1]))
	}
	if results[3] != uint64(os.Getpid()) {
		t.Errorf("getppid returned %d, want %d", results[3], os.Getpid())
	}
	if name := text(names[1]); name != "/bin/true" {
		t.Errorf("the last program is %q", name)
	}
	if calls[5] < 20 || results[5] == 0 {
		t.Errorf("%d samples, %d of them in user space", calls[5], results[5])
	}
	unload(t, l, g.guest.before)
}

// nested runs a kprobe inside of a runtime function that an XDP program calls,
// and one in the timer's interrupt.
func (g *hookGuest) nested(t *testing.T) {
	if !g.all {
		return
	}
	outer, err := Load(t.Context(), g.spec(t, "1.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	now := readState(t)
	inner := g.loadSample(t, "probes", nil, func(p *manifest.Program) {
		switch p.Name {
		case "removing":
			p.Attach = map[string]string{"function": "htab_map_update_elem"}
		case "removed":
			p.Attach = map[string]string{"function": "update_process_times"}
		}
	})
	g.send(t, 100, 50)
	g.reaches(t, outer, 50, 50)
	if c := numbers(t, inner, "calls"); c[0] < 50 || c[1] < 1 {
		t.Errorf("calls %v: want 50 inside of the other program", c)
	}
	unload(t, inner, now)
	if err := Unload(t.Context(), outer); err != nil {
		t.Fatal(err)
	}
	same(t, g.guest.before)
}

func (g *hookGuest) gates(t *testing.T) {
	if !g.all {
		return
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	cgroup := t.TempDir()
	if err := unix.Mount("none", cgroup, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(cgroup, 0)
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	receiver, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	port := func(a net.Addr) string { _, p, _ := net.SplitHostPort(a.String()); return p }

	l := g.loadSample(t, "gates", map[string]string{"cgroup": cgroup, "from": "7777", "to": port(server.Addr()), "closed": "7778"}, nil)
	c, err := net.DialTimeout("tcp4", "10.99.99.99:7777", 5*time.Second)
	if err != nil {
		t.Fatalf("the connection did not go elsewhere: %v", err)
	}
	if c.RemoteAddr().String() != server.Addr().String() {
		t.Logf("the socket says it goes to %s", c.RemoteAddr())
	}
	c.Close()

	closed, err := net.Dial("udp4", "127.0.0.1:7778")
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	if _, err := closed.Write([]byte("x")); !errors.Is(err, unix.EPERM) {
		t.Errorf("a packet to the closed port: %v", err)
	}

	// Whoever has the socket attaches the filter.
	for _, p := range l.Programs {
		if p.Name == "filtering" {
			prog, err := ebpf.LoadPinnedProgram(p.Pin, nil)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := receiver.(*net.UDPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var serr error
			if err := raw.Control(func(fd uintptr) {
				serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_BPF, prog.FD())
			}); err != nil || serr != nil {
				t.Fatal(err, serr)
			}
			prog.Close()
		}
	}
	to, err := net.Dial("udp4", receiver.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for _, s := range []string{"no, not this", "yes, this"} {
		if _, err := to.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 64)
	_ = receiver.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, _, err := receiver.ReadFrom(b)
	if err != nil || string(b[:n]) != "yes," {
		t.Errorf("the first datagram is %q, %v", b[:n], err)
	}
	counts := numbers(t, l, "counts")
	t.Logf("counts %v", counts)
	if counts[0] != 1 || counts[1] != 1 || counts[2] == 0 || counts[3] == 0 {
		t.Error("want one connection moved, one packet dropped, some bytes sent and received")
	}
	receiver.Close()
	if err := Unload(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	same(t, g.guest.before)
}

// stubs makes a stub for each hook, with a target where it takes one.
func (g *hookGuest) stubs(t *testing.T, do func(hook Hook, spec *ebpf.ProgramSpec, to *btfTarget)) {
	t.Helper()
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Fatal(err)
	}
	for hook := HookXDP; hook < hookMax; hook++ {
		target := &stubTarget{size: 2 * wordSize}
		if probe := hooksNeed[hook].probe; probe != "" {
			target.btf = &btfTarget{name: probe, id: rawType(raw, probe)}
		}
		if hook == HookCgroupSKB {
			target.attach = ebpf.AttachCGroupInetIngress
		}
		if hook == HookCgroupSockAddr {
			target.attach = ebpf.AttachCGroupInet4Connect
		}
		spec, err := slotStub(hook, 0, target)
		if err != nil {
			t.Fatal(err)
		}
		do(hook, spec, target.btf)
	}
}

// otherHooks tries every kfunc from every hook's stub. What may not be refused
// takes only bytes, or has the very same context.
func (g *hookGuest) otherHooks(t *testing.T) {
	class := map[Hook]string{HookKprobe: "registers", HookKretprobe: "registers", HookUprobe: "registers"}
	if !g.all {
		for _, h := range []Hook{HookFentry, HookFexit, HookTPBTF, HookLSM} {
			class[h] = "words" // no filters on this kernel
		}
	}
	loaded, refusedN := 0, 0
	g.stubs(t, func(hook Hook, spec *ebpf.ProgramSpec, to *btfTarget) {
		for other := HookXDP; other < hookMax; other++ {
			k, err := findKfunc(runtimeModule, kfuncOf(other))
			if err != nil {
				continue // not even there on this kernel
			}
			p, err := loadCaller(spec.Copy(), k, to)
			k.btf.Close()
			if err == nil {
				p.Close()
				loaded++
				if hook != other && (class[hook] == "" || class[hook] != class[other]) {
					t.Errorf("a stub of %s may call %s", hook, kfuncOf(other))
				}
				continue
			}
			refusedN++
			offered := g.all || hook == HookXDP || hook == HookTC || class[hook] == "words"
			if hook == other && offered {
				t.Errorf("a stub of %s may not call %s: %v", hook, kfuncOf(other), err)
			}
		}
	})
	t.Logf("%d pairs of stub and kfunc were loaded, %d refused", loaded, refusedN)
	if refusedN < 20 {
		t.Error("too few were refused")
	}
}

// junkContexts hands kfuncs something else than the context.
func (g *hookGuest) junkContexts(t *testing.T) {
	junk := map[string]asm.Instructions{
		"a number":         {asm.Mov.Imm(asm.R1, 0x1000)},
		"null":             {asm.Mov.Imm(asm.R1, 0)},
		"its stack":        {asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -512)},
		"beyond its stack": {asm.Mov.Reg(asm.R1, asm.RFP)},
		"past the context": {asm.Add.Imm(asm.R1, 8)},
	}
	g.stubs(t, func(hook Hook, spec *ebpf.ProgramSpec, to *btfTarget) {
		k, err := findKfunc(runtimeModule, kfuncOf(hook))
		if err != nil {
			return
		}
		defer k.btf.Close()
		call := 0
		for !spec.Instructions[call].IsKfuncCall() {
			call++
		}
		takesBytes := hooksNeed[hook].probe != "" || hook == HookTracepoint
		for what, ins := range junk {
			if takesBytes && what == "its stack" {
				continue // that is where they are
			}
			bad := spec.Copy()
			// A number of bytes or of a slot, and a slot.
			bad.Instructions = append(append(asm.Instructions{}, ins...), asm.Mov.Imm(asm.R2, 64), asm.Mov.Imm(asm.R3, 0))
			bad.Instructions = append(bad.Instructions, spec.Instructions[call:]...)
			if p, err := loadCaller(bad, k, to); err == nil {
				p.Close()
				t.Errorf("%s: %s was taken for its context", hook, what)
			}
		}
	})
}
