// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
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
	"github.com/cilium/ebpf/perf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/iupkg/iupkg/manifest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The jobs of runtime-crate/samples/xdp_maps that the guest treats by themselves.
const (
	jobPerf    = 9
	jobStack   = 10
	jobDevices = 11
	jobCPU     = 12
	jobPanic   = 13
	jobBuffers = 22
	jobTC      = 32
	jobTCEnd   = 38
	jobTCSend  = 38 // redirects
	jobTCCopy  = 39

	// Places of the map results that user space sets.
	atLength  = 61
	atIfindex = 62
)

// maps has the sample xdp_maps use every map and every helper, and looks at what came
// of it from user space.
func (g *guest) maps(t *testing.T) {
	if _, err := os.Stat(filepath.Join(g.dir, "built-xdp-maps.o")); err != nil {
		t.Skip("the sample xdp_maps is not built")
	}
	m, err := manifest.Parse(g.file(t, "built-xdp-maps.json"))
	if err != nil {
		t.Fatal(err)
	}
	before := readState(t)
	// Emulated machines are slow, the more so beside others.
	l, err := Load(t.Context(), LoadSpec{Manifest: m, Object: g.file(t, "built-xdp-maps.o"), Signature: g.file(t, "built-xdp-maps.p7s"),
		Runtime: g.file(t, "iu.ko"), Params: map[string]string{"iface": "iut1", "probe/budget": "1s"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &mapsGuest{guest: g, loaded: l, maps: map[string]*ebpf.Map{}}
	for _, x := range l.Maps {
		if s.maps[x.Name], err = ebpf.LoadPinnedMap(x.Pin, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"jobs", s.jobs}, {"types", s.types}, {"records", s.records}, {"stacks", s.stacks}, {"devices", s.devices}, {"cpus", s.cpus},
		{"panic", s.panics}, {"tc", s.tc}, {"buffers", s.buffers},
	} {
		t.Run(step.name, step.run)
	}
	for _, x := range s.maps {
		x.Close()
	}
	if err := Unload(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	same(t, before)
}

type mapsGuest struct {
	*guest
	loaded *Loaded
	maps   map[string]*ebpf.Map
}

// ask sends a packet that asks for a job.
func (s *mapsGuest) ask(t *testing.T, job, arg byte) {
	t.Helper()
	p := make([]byte, 100)
	copy(p[14:], []byte{job, arg})
	transmit(t, p, 1)
}

// result waits for what a job notes and returns it.
func (s *mapsGuest) result(t *testing.T, job uint32) uint64 {
	t.Helper()
	var r uint64
	for range 100 {
		if err := s.maps["results"].Lookup(job, &r); err != nil {
			t.Fatal(err)
		}
		if r != 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return r
}

// job asks for one and checks that it succeeded.
func (s *mapsGuest) job(t *testing.T, job, arg byte) {
	t.Helper()
	if err := s.maps["results"].Put(uint32(job), uint64(0)); err != nil {
		t.Fatal(err)
	}
	s.ask(t, job, arg)
	switch r := s.result(t, uint32(job)); {
	case r == 0:
		t.Errorf("job %d was not done", job)
	case r != 1:
		t.Errorf("job %d: the check in line %d failed", job, r-1000)
	}
}

func (s *mapsGuest) jobs(t *testing.T) {
	for job := byte(1); job <= 21; job++ {
		if !slices.Contains([]byte{8, jobPerf, jobStack, jobDevices, jobCPU, jobPanic, jobPanic + 1}, job) {
			s.job(t, job, 0)
		}
	}
	// What the first jobs left, seen from here.
	var flow [16]byte
	if err := s.maps["array"].Lookup(uint32(3), &flow); err != nil || flow != [16]byte{7, 0, 0, 0, 0, 0, 0, 0, 80, 0, 1, 2, 10, 0, 0, 1} {
		t.Errorf("array[3]: %v, %v", flow, err)
	}
	var n uint32
	if err := s.maps["routes"].Lookup([]byte{32, 0, 0, 0, 10, 1, 2, 3}, &n); err != nil || n != 2 {
		t.Errorf("routes: %d, %v", n, err)
	}
}

// types has bpftool print maps: their keys and values have names and types.
func (s *mapsGuest) types(t *testing.T) {
	for name, want := range map[string][]string{
		"array":       {`{"key": 3,"value": {"packets": 7,"port": 80,"flags": [1,2],"addr": [10,0,0,1]}}`},
		"locked":      {`{"key": 1,"value": {"lock": 0,"value": {"packets": 1,"port": 0,"flags": [0,0],"addr": [1,2,3,4]}}}`},
		"hash":        {`{"key": [1,0,0,1],"value": {"packets": 7,`},
		"routes":      {`{"key": {"prefixlen": 8,"data": [10,0,0,0]},"value": 2}`, `"prefixlen": 0,`},
		"percpu":      {`"key": 1,"values": [`, `"cpu": 0,"value": `},
		"percpu_hash": {`"key": 5,"values": [`},
		"sums":        {`{"key": 1,"value": 42}`},
	} {
		i := slices.IndexFunc(s.loaded.Maps, func(m Map) bool { return m.Name == name })
		if i < 0 {
			t.Fatalf("no map %s", name)
		}
		out, err := exec.Command("bpftool", "map", "dump", "pinned", s.loaded.Maps[i].Pin).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(strings.Fields(string(out)), ""), strings.ReplaceAll(w, " ", "")) {
				t.Errorf("bpftool says of %s\n%s\nwant %s", name, out, w)
			}
		}
	}
}

func (s *mapsGuest) records(t *testing.T) {
	r, err := ringbuf.NewReader(s.maps["ring"])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.job(t, 8, 0)
	want := [][]byte{{7, 0, 0, 0, 0, 0, 0, 0, 0xbb, 1, 1, 2, 10, 0, 0, 1}, []byte("a record of any length")}
	for _, w := range want {
		r.SetDeadline(time.Now().Add(5 * time.Second))
		if got, err := r.Read(); err != nil || !bytes.Equal(got.RawSample, w) {
			t.Errorf("record %v, %v; want %v", got.RawSample, err, w)
		}
	}
	p, err := perf.NewReader(s.maps["perf"], 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s.job(t, jobPerf, 0)
	for _, w := range [][]byte{{7, 0, 0, 0, 0, 0, 0, 0, 80, 0, 1, 2, 10, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, jobPerf}} {
		p.SetDeadline(time.Now().Add(5 * time.Second))
		if got, err := p.Read(); err != nil || !bytes.HasPrefix(got.RawSample, w) {
			t.Errorf("perf record %v, %v; want %v", got.RawSample, err, w)
		}
	}
}

// stacks finds what the network stack called the program from.
func (s *mapsGuest) stacks(t *testing.T) {
	s.job(t, jobStack, 0)
	var id uint32
	if err := s.maps["counts"].Lookup(uint32(0), &id); err != nil {
		t.Fatal(err)
	}
	var frames [127]uint64
	if err := s.maps["stacks"].Lookup(id, &frames); err != nil {
		t.Fatal(err)
	}
	names := kernelNames(t, frames[:])
	t.Logf("%q", names)
	for _, want := range []string{"net_rx_action"} {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, want) }) {
			t.Errorf("no %s in the stack %q", want, names)
		}
	}
}

// kernelNames says which function each address is in, the zeros at the end left out.
func kernelNames(t *testing.T, addrs []uint64) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Fatal(err)
	}
	type symbol struct {
		addr uint64
		name string
	}
	var all []symbol
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 || !strings.Contains("tTwW", f[1]) {
			continue
		}
		var a uint64
		for _, c := range []byte(f[0]) {
			a = a<<4 | uint64(strings.IndexByte("0123456789abcdef", c))
		}
		all = append(all, symbol{a, f[2]})
	}
	slices.SortFunc(all, func(a, b symbol) int {
		switch {
		case a.addr < b.addr:
			return -1
		case a.addr > b.addr:
			return 1
		}
		return 0
	})
	var names []string
	for _, a := range addrs {
		if a == 0 {
			break
		}
		i, _ := slices.BinarySearchFunc(all, a, func(s symbol, a uint64) int {
			if s.addr <= a {
				return -1
			}
			return 1
		})
		if i > 0 {
			names = append(names, all[i-1].name)
		}
	}
	return names
}

// devices sends packets back through the interface that they came from, by either map, by
// its index, and from TC.
func (s *mapsGuest) devices(t *testing.T) {
	in, err := net.InterfaceByName("iut1")
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.InterfaceByName("iut0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.maps["devs"].Put(uint32(0), uint32(in.Index)); err != nil {
		t.Fatal(err)
	}
	if err := s.maps["devs_hash"].Put(uint32(1000), uint32(in.Index)); err != nil {
		t.Fatal(err)
	}
	// A veth takes redirected packets only if its peer has XDP, too.
	spec, err := stubSpec("harvest", "harvest_xdp")
	if err != nil {
		t.Fatal(err)
	}
	pass, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer pass.Close()
	held, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: out.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: out.Index, Protocol: 0xb588}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		t.Fatal(err)
	}
	if err := s.maps["results"].Put(uint32(atIfindex), uint64(in.Index)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		job, arg byte
		text     string // of the packet at 20
	}{{jobDevices, 0, ""}, {jobDevices, 1, ""}, {jobDevices, 2, ""}, {jobTCSend, 0, ""}, {jobTCCopy, 0, "copy"}} {
		s.job(t, c.job, c.arg)
		p := make([]byte, 200)
		n, _, err := unix.Recvfrom(fd, p, 0)
		if err != nil || n != 100 || !bytes.Equal(p[12:16], []byte{0x88, 0xb5, c.job, c.arg}) || !bytes.HasPrefix(p[20:], []byte(c.text)) {
			t.Errorf("job %d, %d: received %d bytes %x, %v", c.job, c.arg, n, p[:24], err)
		}
	}
}

// buffers sends a packet that takes several of them.
func (s *mapsGuest) buffers(t *testing.T) {
	for _, name := range []string{"iut0", "iut1"} {
		dev, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetMTU(dev, 9000)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer netlink.LinkSetMTU(dev, 1500)
	}
	p := make([]byte, 8000)
	p[14] = jobBuffers
	copy(p[len(p)-4:], "last")
	if err := s.maps["results"].Put(uint32(atLength), uint64(len(p))); err != nil {
		t.Fatal(err)
	}
	if err := s.maps["results"].Put(uint32(jobBuffers), uint64(0)); err != nil {
		t.Fatal(err)
	}
	transmit(t, p, 1)
	if r := s.result(t, jobBuffers); r != 1 {
		t.Errorf("the check in line %d failed", int(r)-1000)
	}
}

// cpus sends a packet to CPU 1, where the TC program notes it.
func (s *mapsGuest) cpus(t *testing.T) {
	if err := s.maps["cpus"].Put(uint32(1), uint32(192)); err != nil {
		t.Fatal(err)
	}
	s.ask(t, jobCPU, 0)
	if r := s.result(t, 63); r != 2 {
		t.Errorf("the packet came to CPU %d, want 1", int(r)-1)
	}
}

// panics has a program fault that holds one of everything.
func (s *mapsGuest) panics(t *testing.T) {
	r, err := ringbuf.NewReader(s.maps["ring"])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const times = 20
	for range times {
		s.ask(t, jobPanic, 0)
	}
	s.job(t, jobPanic+1, 0)
	r.SetDeadline(time.Now().Add(5 * time.Second))
	for {
		got, err := r.Read()
		if err != nil {
			t.Fatalf("no record after the panic: %v", err)
		}
		if string(got.RawSample) == "after the panic" {
			break
		}
	}
	st, err := StatusOf("xdp-maps")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range st.Programs {
		if p.Hook == manifest.HookXDP && (p.Faults["panic"] != times || len(p.Faults) != 1) {
			t.Errorf("faults %v, want %d panics", p.Faults, times)
		}
	}
}

func (s *mapsGuest) tc(t *testing.T) {
	for job := byte(jobTC); job < jobTCEnd; job++ {
		s.job(t, job, 0)
	}
}
