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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/iupkg/iupkg/manifest"
	"golang.org/x/sys/unix"
)

// The samples that do what other frameworks' samples do: runtime-crate/samples/README.md
// has the table.

// openMap opens a map of a loaded extension until it is unloaded.
func (g *hookGuest) openMap(t *testing.T, l *Loaded, name string) *ebpf.Map {
	t.Helper()
	for _, m := range l.Maps {
		if m.Name == name {
			b, err := ebpf.LoadPinnedMap(m.Pin, nil)
			if err != nil {
				t.Fatal(err)
			}
			g.opened = append(g.opened, b)
			return b
		}
	}
	t.Fatalf("no map %s: %+v", name, l.Maps)
	return nil
}

// unload unloads an extension of which maps were opened.
func (g *hookGuest) unload(t *testing.T, l *Loaded, before state) {
	t.Helper()
	for _, m := range g.opened {
		m.Close()
	}
	g.opened = nil
	unload(t, l, before)
}

// timings has the sample measure, and works out what its results must be.
func (g *hookGuest) timings(t *testing.T) {
	const depth = 100
	l := g.loadSample(t, "timings", map[string]string{"depth": fmt.Sprint(depth)}, nil)
	calls := uint64(1)
	for n := range uint64(depth) {
		calls = calls*3 ^ (n + 1)
	}
	for run := range uint64(2) {
		unlink(t, filepath.Join(t.TempDir(), "no-such-file"), unix.ENOENT)
		seen, rows := numbers(t, l, "seen"), values(t, l, "timings")
		var ns, results []uint64
		for _, r := range rows {
			ns, results = append(ns, binary.NativeEndian.Uint64(r)), append(results, binary.NativeEndian.Uint64(r[8:]))
		}
		t.Logf("nanoseconds of nothing, an atomic, a hash lookup, an array lookup, a lock, %d calls: %v", depth, ns)
		// Others may remove files meanwhile: the lock's count tells how often.
		if want := []uint64{0, seen[1], seen[1], seen[1], seen[0], calls}; !slices.Equal(results, want) || seen[0] <= run {
			t.Errorf("results %v, want %v; %d runs", results, want, seen[0])
		}
	}
	unload(t, l, g.guest.before)
}

// logged reads lines of an extension from the kernel log until all are there.
func logged(t *testing.T, k *kernelLog, want ...string) {
	t.Helper()
	var lines []string
	buf := make([]byte, 8192)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		n, err := unix.Read(k.fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			missing := func(w string) bool {
				return !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, w) })
			}
			if !slices.ContainsFunc(want, missing) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		} else if err == nil {
			_, line, _ := strings.Cut(string(buf[:n]), ";")
			lines = append(lines, strings.TrimSpace(line))
		} else if !errors.Is(err, unix.EPIPE) {
			t.Fatal(err)
		}
	}
	t.Errorf("the log has %q, want %q", lines, want)
}

func (g *hookGuest) syscalls(t *testing.T) {
	if !g.all {
		return
	}
	k := openKernelLog()
	defer k.close()
	l := g.loadSample(t, "syscalls", map[string]string{"process": fmt.Sprint(os.Getpid())}, nil)

	opens := g.openMap(t, l, "opens")
	var before, after [2]uint64
	read := func(to *[2]uint64) {
		for i := range uint32(2) {
			if err := opens.Lookup(i, &to[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	read(&before)
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	read(&after)
	if after[0] <= before[0] || after[1] <= before[1] {
		t.Errorf("openat was entered %d times and left %d times more", after[0]-before[0], after[1]-before[1])
	}

	// What a filter of system calls tells of.
	if fd, err := unix.Dup(int(file.Fd())); err != nil {
		t.Fatal(err)
	} else {
		unix.Close(fd)
	}
	for _, n := range []int{511, 512} {
		if _, err := unix.Write(int(file.Fd()), make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	unix.Getuid()
	for range 3 {
		unix.Write(-1, []byte("x")) // fails
	}
	logged(t, k, fmt.Sprintf("dup by process %d on CPU", os.Getpid()), fmt.Sprintf("write(fd=%d, buf=", file.Fd()), "size=512)",
		"syscall=102 (one of get/set uid/pid/gid)")

	// By number.
	count := func(name string) (n uint64) {
		if err := g.openMap(t, l, name).Lookup(uint32(unix.SYS_WRITE), &n); err != nil {
			t.Errorf("%s of write: %v", name, err)
		}
		return n
	}
	if calls, failed, ns := count("counts"), count("failures"), count("latency"); calls < 5 || failed < 3 || failed > calls || ns < 5 {
		t.Errorf("write: %d calls, %d failed, %d ns", calls, failed, ns)
	}

	// Chosen processes fail, with the errno chosen.
	errnos := g.openMap(t, l, "errnos")
	unlink(t, filepath.Join(dir, "other"), unix.ENOENT)
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errnos.Put(uint32(os.Getpid()), uint32(unix.ENOSPC)); err != nil {
		t.Fatal(err)
	}
	unlink(t, filepath.Join(dir, "other"), unix.ENOSPC)
	if err := errnos.Delete(uint32(os.Getpid())); err != nil {
		t.Fatal(err)
	}
	unlink(t, filepath.Join(dir, "other"), nil)

	// Where time goes: this loop is in a stack of user space under this process's name.
	type place struct {
		Comm         [16]byte
		Kernel, User uint32
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	stacks, found := g.openMap(t, l, "stacks"), false
	for end := time.Now().Add(10 * time.Second); !found && time.Now().Before(end); {
		for at := time.Now().Add(200 * time.Millisecond); time.Now().Before(at); {
		}
		var p place
		var n uint64
		for it := g.openMap(t, l, "places").Iterate(); it.Next(&p, &n); {
			var frames [127]uint64
			if text(p.Comm[:]) == strings.TrimSpace(string(comm)) && n > 0 && stacks.Lookup(p.User, &frames) == nil && frames[0] != 0 && frames[0]>>63 == 0 {
				found = true
			}
		}
	}
	if !found {
		t.Errorf("no stack of %s among the samples", comm)
	}
	g.unload(t, l, g.guest.before)
}

const (
	paxosPrepare  = 1
	paxosPrepared = 2
	paxosPort     = 12345
)

// paxosPacket is what runtime-crate/samples/paxos understands.
func paxosPacket(kind, replica, all byte, view, op uint32) []byte {
	p := make([]byte, 14+20+8+32)
	copy(p, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0})
	ip, udp, m := p[14:], p[34:], p[42:]
	copy(ip, []byte{0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2})
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(udp, paxosPort)
	binary.BigEndian.PutUint16(udp[2:], paxosPort)
	binary.BigEndian.PutUint16(udp[4:], 40)
	copy(m, []byte{'i', 'u', 'P', 'X', kind, replica, all, 0})
	binary.BigEndian.PutUint32(m[8:], view)
	binary.BigEndian.PutUint32(m[12:], op)
	copy(m[16:], "an operation....")
	return p
}

// paxosEnd sends and receives at one of the interfaces.
type paxosEnd struct {
	fd  int
	dev *net.Interface
}

func openEnd(t *testing.T, name string) *paxosEnd {
	t.Helper()
	dev, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	const protocol = 0x0008 // ETH_P_IP in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: dev.Index, Protocol: protocol}); err != nil {
		t.Fatal(err)
	}
	return &paxosEnd{fd, dev}
}

func (e *paxosEnd) send(t *testing.T, p []byte) {
	t.Helper()
	if err := unix.Sendto(e.fd, p, 0, &unix.SockaddrLinklayer{Ifindex: e.dev.Index, Protocol: 0x0008, Halen: 6}); err != nil {
		t.Fatal(err)
	}
}

// receive returns the next packet that came in and is the protocol's, nil after a while.
func (e *paxosEnd) receive(t *testing.T, wait time.Duration) []byte {
	t.Helper()
	for end := time.Now().Add(wait); ; {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		tv := unix.NsecToTimeval(left.Nanoseconds())
		if err := unix.SetsockoptTimeval(e.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 2000)
		n, from, err := unix.Recvfrom(e.fd, p, 0)
		if l, ok := from.(*unix.SockaddrLinklayer); err == nil && n == 74 && ok && l.Pkttype != unix.PACKET_OUTGOING && string(p[42:46]) == "iuPX" {
			return p[:n]
		}
	}
}

func (g *hookGuest) paxos(t *testing.T) {
	// A veth sends back only if its peer has XDP, too.
	spec, err := stubSpec("harvest", "harvest_xdp")
	if err != nil {
		t.Fatal(err)
	}
	pass, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer pass.Close()
	far := openEnd(t, "iut0")
	held, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: far.dev.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	before := readState(t)
	l := g.loadSample(t, "paxos", map[string]string{"iface": "iut1", "me": "1", "majority": "2"}, nil)
	near := openEnd(t, "iut1")

	// A follower answers what is next, once logged, and what it has already.
	log, err := ringbuf.NewReader(g.openMap(t, l, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, op := range []uint32{1, 2, 2} {
		far.send(t, paxosPacket(paxosPrepare, 0, 0, 0, op))
		p := far.receive(t, 5*time.Second)
		if p == nil || p[46] != paxosPrepared || p[47] != 1 || binary.BigEndian.Uint32(p[54:]) != op || !bytes.Equal(p[26:34], []byte{10, 9, 0, 2, 10, 9, 0, 1}) {
			t.Errorf("operation %d was answered by %x", op, p)
		}
	}
	far.send(t, paxosPacket(paxosPrepare, 0, 0, 0, 9))
	if p := near.receive(t, 5*time.Second); p == nil || binary.BigEndian.Uint32(p[54:]) != 9 {
		t.Errorf("user space sees %x where operations are missing", p)
	}
	log.SetDeadline(time.Now().Add(2 * time.Second))
	for op := range byte(3) {
		r, err := log.Read()
		switch {
		case op < 2 && (err != nil || r.RawSample[0] != op+1 || string(r.RawSample[4:]) != "an operation...."):
			t.Errorf("entry %d of the log: %v, %v", op, r.RawSample, err)
		case op == 2 && err == nil:
			t.Errorf("one too many in the log: %v", r.RawSample)
		}
	}
	log.Close()

	// The leader's process sees the majority, once.
	for _, replica := range []byte{2, 2, 3, 4} {
		far.send(t, paxosPacket(paxosPrepared, replica, 0, 0, 7))
	}
	if p := near.receive(t, 5*time.Second); p == nil || p[47] != 3 {
		t.Errorf("user space sees %x, want the answer of replica 3", p)
	}
	if p := near.receive(t, 300*time.Millisecond); p != nil {
		t.Errorf("user space sees %x, too", p)
	}

	// One packet goes to each.
	replicas := g.openMap(t, l, "replicas")
	for _, i := range []byte{0, 1, 2} { // 1 is the leader itself
		if err := replicas.Put(uint32(i), []byte{2, 0, 0, 0, 0, 0x10 + i, 10, 9, 1, i, 0x1f, 0x90 + i}); err != nil {
			t.Fatal(err)
		}
	}
	near.send(t, paxosPacket(paxosPrepare, 1, 1, 0, 3))
	for _, i := range []byte{0, 2} {
		p := far.receive(t, 5*time.Second)
		if p == nil || p[5] != 0x10+i || p[33] != i || p[37] != 0x90+i || p[48] != 0 {
			t.Errorf("replica %d gets %x", i, p)
		}
	}
	if p := far.receive(t, 300*time.Millisecond); p != nil {
		t.Errorf("and %x", p)
	}
	g.unload(t, l, before)
}

// counting sends packets of two protocols through xdp_count, both ways.
func (g *hookGuest) counting(t *testing.T) {
	before := readState(t)
	l := g.loadSample(t, "xdp-count", map[string]string{"iface": "iut1", "drop_port": fmt.Sprint(paxosPort)}, nil)
	far, near := openEnd(t, "iut0"), openEnd(t, "iut1")
	udp := paxosPacket(paxosPrepare, 0, 0, 0, 1)
	other := paxosPacket(paxosPrepare, 0, 0, 0, 2)
	other[37]++ // another port, and no checksum to mind
	tcp := make([]byte, 14+20+20+6)
	copy(tcp, udp[:34])
	tcp[17], tcp[23] = 46, 6
	copy(tcp[34:], []byte{0x12, 0x34, 0, 80})
	tcp[46] = 5 << 4
	copy(tcp[54:], "GET /x")
	for range 3 {
		far.send(t, udp)
	}
	far.send(t, other)
	if p := near.receive(t, 5*time.Second); p == nil || p[57] != 2 {
		t.Errorf("user space sees %x, want what is not dropped", p)
	}
	near.send(t, tcp)

	var perCPU []uint64
	if err := g.openMap(t, l, "protocols").Lookup(uint32(unix.IPPROTO_UDP), &perCPU); err != nil {
		t.Fatal(err)
	}
	var packets uint64
	for _, n := range perCPU {
		packets += n
	}
	var source [3]uint64
	if err := g.openMap(t, l, "sources").Lookup([]byte{10, 9, 0, 1}, &source); err != nil {
		t.Fatal(err)
	}
	totals := numbers(t, l, "totals")
	if packets != 4 || source[0] != 4 || source[1] != 4*74 || source[2] == 0 || totals[0] != 3 || totals[1] < 1 {
		t.Errorf("%d UDP packets, source %v, totals %v", packets, source, totals)
	}
	// A lock word stands in front of: bytes, source and destination port, payload.
	if last := values(t, l, "last")[0]; !bytes.Equal(last[4:8], []byte{6, 0, 0, 0}) || !bytes.Equal(last[8:12], []byte{0x34, 0x12, 80, 0}) || string(last[12:18]) != "GET /x" {
		t.Errorf("the last segment is %x", last)
	}
	g.unload(t, l, before)
}

// templates loads what `iupkg new` makes for each hook, and has it run. They are built if
// IUPKG_LONG is set.
func (g *hookGuest) templates(t *testing.T) {
	if _, err := os.Stat(filepath.Join(g.dir, "built-my-xdp.o")); err != nil {
		t.Skip("not built: IUPKG_LONG is not set")
	}
	facts, err := Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cgroup := t.TempDir()
	if err := unix.Mount("none", cgroup, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(cgroup, 0)
	if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	end := openEnd(t, "iut1")
	for _, hook := range manifest.Hooks() {
		if facts.Hooks[hook] != manifest.Yes {
			t.Logf("%s: not on this kernel", hook)
			continue
		}
		before := readState(t)
		name := "my-" + strings.ReplaceAll(string(hook), "_", "-")
		spec := g.sample(t, name, map[string]string{}, nil)
		for _, p := range spec.Manifest.Params {
			switch p.Name {
			case "iface":
				spec.Params["iface"] = "iut1"
			case "cgroup":
				spec.Params["cgroup"] = cgroup
			}
		}
		l, err := Load(t.Context(), spec)
		if err != nil {
			t.Errorf("%s: %v", hook, err)
			continue
		}
		if hook == "socket_filter" { // whoever has a socket attaches it
			prog, err := ebpf.LoadPinnedProgram(l.Programs[0].Pin, nil)
			if err != nil {
				t.Fatal(err)
			}
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
			if err == nil {
				err = unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_ATTACH_BPF, prog.FD())
			}
			if err != nil {
				t.Fatal(err)
			}
			unix.Write(fds[0], []byte("a datagram"))
			prog.Close()
			unix.Close(fds[0])
			unix.Close(fds[1])
		}
		// Something for each: packets, writes, programs, names, sockets, connections.
		g.send(t, 100, 3)
		end.send(t, paxosPacket(paxosPrepare, 0, 0, 0, 1))
		if c, err := net.DialTimeout("tcp4", "127.0.0.1:9", time.Second); err == nil {
			c.Close()
		}
		if c, err := net.Dial("udp4", "127.0.0.1:9"); err == nil {
			c.Write([]byte("x"))
			c.Close()
		}
		exec.Command("/bin/bash", "-c", "getent ahosts iu.invalid; touch /tmp/iu-t; rm -f /tmp/iu-t; for i in {1..20000}; do :; done").Run()
		s, err := StatusOf(l.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Programs {
			t.Logf("%s at %s: %d runs", p.Name, p.Hook, p.Runs)
			if p.Runs == 0 {
				t.Errorf("%s: the program did not run", hook)
			}
		}
		g.unload(t, l, before)
	}
}
