// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/signing"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestGuest runs in a virtual machine, started by TestStockKernels (vm_test.go).
// Its folder has iu.ko, the objects ext-*.o, their signatures and the
// certificate. It changes the machine's network and kernel: never run it
// anywhere else.
func TestGuest(t *testing.T) {
	dir := os.Getenv("IUPKG_VM_TEST")
	if dir == "" {
		t.Skip("runs in a virtual machine only")
	}
	g := &guest{dir: dir}
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"no runtime", g.noRuntime},
		{"install runtime", g.installRuntime},
		{"network", g.network},
		{"not trusted", g.notTrusted},
		{"load", g.load},
		{"loaded twice", g.loadedTwice},
		{"traffic", g.traffic},
		{"replace", g.replace},
		{"unload", g.unload},
		{"changed image", g.changedImage},
		{"signed wrapper", g.signedWrapper},
		{"mutants", g.mutants},
		{"generic", g.generic},
		{"backstops", g.backstops},
		{"roll back", g.rollBack},
		{"left behind", g.leftBehind},
		{"built", g.built},
		{"maps", g.maps},
		{"remove runtime", g.removeRuntime},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow()
		}
	}
}

type guest struct {
	dir    string
	before state // before the first load
	loaded *Loaded
	sent   int
}

func (g *guest) file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// spec loads ext-VERSION.o at the receiving end of the pair of interfaces.
func (g *guest) spec(t *testing.T, version string, set ...string) LoadSpec {
	t.Helper()
	raw := g.file(t, "ext-"+version+".o")
	o, err := ReadObject(raw)
	if err != nil {
		t.Fatal(err)
	}
	n := []int{0, 1}
	m := &manifest.Manifest{
		Schema: manifest.Schema, Name: o.Name, Version: o.Version, Object: manifest.Object{Digest: fmt.Sprintf("sha256:%x", o.Digest)},
		Params: []manifest.Param{
			{Name: "PANIC_LEN", Type: manifest.ParamU64, Default: "777", Min: "0", Max: "65535", Object: &n[0]},
			{Name: "DELTA", Type: manifest.ParamI64, Default: "-1", Object: &n[1]},
			{Name: "iface", Type: manifest.ParamString, Default: "iut1"},
		},
		Programs: []manifest.Program{
			{Name: "count_xdp", Hook: "xdp", OnFault: "pass", Stack: 256, Attach: map[string]string{"interface": "${iface}"}},
			{Name: "count_tc", Hook: "tc", OnFault: "ok", Stack: 256, Attach: map[string]string{"interface": "${iface}", "direction": "ingress"}},
		},
	}
	for _, x := range o.Maps {
		m.Maps = append(m.Maps, manifest.Map{Name: x.Name, Type: x.Type, KeySize: x.KeySize, ValueSize: x.ValueSize, MaxEntries: x.MaxEntries, Flags: x.Flags})
	}
	s := LoadSpec{
		Manifest: m, Object: raw, Signature: g.file(t, "ext-"+version+".p7s"), Runtime: g.file(t, "iu.ko"), Params: map[string]string{},
		Notice: func(s string) { t.Logf("notice: %s", s) },
	}
	for _, kv := range set {
		k, v, _ := strings.Cut(kv, "=")
		s.Params[k] = v
	}
	return s
}

// state is what a load or unload may change.
type state []string

func readState(t *testing.T) state {
	t.Helper()
	var s state
	modules, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(modules)) {
		if strings.HasPrefix(line, "iux_") {
			s = append(s, "module "+strings.Fields(line)[0])
		}
	}
	_ = filepath.WalkDir(DefaultPinDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != DefaultPinDir {
			s = append(s, path)
		}
		return nil
	})
	for id := ebpf.ProgramID(0); ; {
		if id, err = ebpf.ProgramGetNextID(id); err != nil {
			break
		}
		s = append(s, fmt.Sprint("program ", id))
	}
	for id := ebpf.MapID(0); ; {
		if id, err = ebpf.MapGetNextID(id); err != nil {
			break
		}
		s = append(s, fmt.Sprint("map ", id))
	}
	for it := new(link.Iterator); it.Next(); {
		s = append(s, fmt.Sprint("link ", it.ID))
	}
	qdiscs, err := netlink.QdiscList(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range qdiscs {
		s = append(s, fmt.Sprint("qdisc ", q.Type(), q.Attrs().LinkIndex))
	}
	if d, err := OpenDevice(); err == nil {
		for x, err := range d.Extensions() {
			if err != nil {
				t.Fatal(err)
			}
			s = append(s, fmt.Sprint("extension ", x.ID, x.Name))
		}
		d.Close()
	}
	return s
}

// same waits for what the kernel frees in its own time.
func same(t *testing.T, want state) {
	t.Helper()
	var now state
	for range 60 {
		if now = readState(t); slices.Equal(now, want) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the kernel was\n%s\nand is\n%s", strings.Join(want, "\n"), strings.Join(now, "\n"))
}

func (g *guest) noRuntime(t *testing.T) {
	if _, err := Load(t.Context(), g.spec(t, "1.0.0")); !errors.Is(err, ErrNoRuntime) {
		t.Errorf("load: %v", err)
	}
	if err := Unload(t.Context(), &Loaded{Name: "ext"}); err != nil {
		t.Errorf("unload: %v", err)
	}
	if _, err := os.Stat(DefaultPinDir + "/ext"); err == nil {
		t.Error("there are pins")
	}
}

func (g *guest) installRuntime(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "iu.ko")
	if err := os.WriteFile(junk, []byte("\x7fELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := InstallRuntime(t.Context(), junk); !errors.Is(err, ErrRefused) {
		t.Errorf("junk: %v", err)
	}
	for range 2 {
		if err := InstallRuntime(t.Context(), filepath.Join(g.dir, "iu.ko")); err != nil {
			t.Fatal(err)
		}
	}
	d, err := OpenDevice()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, err := d.Version()
	if err != nil || !slices.Contains(v.Harvested, HookXDP) || !slices.Contains(v.Harvested, HookTC) || !slices.Contains(v.Harvested, HookKprobe) {
		t.Errorf("version %+v, %v", v, err)
	}
	p, err := Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d symbols from %s, hooks %v, modules %s, module BTF %s, signatures %s, lockdown %s, runtime %+v", p.Release, len(p.Config),
		p.ConfigSource, p.Hooks, p.Modules, p.ModuleBTF, p.ModuleSig, p.Lockdown, p.Runtime)
	if p.Runtime == nil || p.Hooks["xdp"] != manifest.Yes || p.Hooks["tc"] != manifest.Yes || p.Config["BPF_SYSCALL"] != "y" ||
		p.ModuleSig != manifest.No || p.Modules != manifest.Yes {
		t.Error("these facts are wrong")
	}
}

// network makes the pair iut0 - iut1, on which nothing speaks but this test.
func (g *guest) network(t *testing.T) {
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "iut0", MTU: 1500}, PeerName: "iut1"}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"iut0", "iut1"} {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
	}
	g.before = readState(t)
}

// send sends packets of n bytes into iut0.
func (g *guest) send(t *testing.T, n, times int) {
	t.Helper()
	transmit(t, make([]byte, n), times)
	g.sent += times
}

// transmit puts a header for nobody in front of a packet, 14 bytes, and sends it into iut0.
func transmit(t *testing.T, p []byte, times int) {
	t.Helper()
	dev, err := net.InterfaceByName("iut0")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	copy(p, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}) // a local experimental EtherType
	for range times {
		if err := unix.Sendto(fd, p, 0, &unix.SockaddrLinklayer{Ifindex: dev.Index, Protocol: 0xb588, Halen: 6}); err != nil {
			t.Fatal(err)
		}
	}
}

// counts reads the extension's map through its pin.
func (g *guest) counts(t *testing.T, l *Loaded) (xdp, tc uint64) {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(l.Maps[0].Pin, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Lookup(uint32(0), &xdp); err != nil {
		t.Fatal(err)
	}
	if err := m.Lookup(uint32(1), &tc); err != nil {
		t.Fatal(err)
	}
	return xdp, tc
}

// reaches waits until the counters are what they should be.
func (g *guest) reaches(t *testing.T, l *Loaded, xdp, tc uint64) {
	t.Helper()
	var x, c uint64
	for range 100 {
		if x, c = g.counts(t, l); x == xdp && c == tc {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("counted %d and %d packets, want %d and %d", x, c, xdp, tc)
}

func (g *guest) notTrusted(t *testing.T) {
	_, err := Load(t.Context(), g.spec(t, "1.0.0"))
	if !errors.Is(err, ErrNotTrustedByKernel) || !errors.Is(err, ErrRefused) {
		t.Errorf("no key: %v", err)
	}
	same(t, g.before)
	d, err := OpenDevice()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.AddKey([]byte("not a certificate")); !errors.Is(err, ErrRefused) {
		t.Errorf("junk key: %v", err)
	}
	if err := d.AddKey(g.file(t, "cert.der")); err != nil {
		t.Fatal(err)
	}
	s := g.spec(t, "1.0.0")
	s.Signature = g.file(t, "ext-2.0.0.p7s")
	if _, err = Load(t.Context(), s); !errors.Is(err, ErrNotTrustedByKernel) {
		t.Errorf("signature of another object: %v", err)
	}
	s.Signature = nil
	if _, err = Load(t.Context(), s); !errors.Is(err, ErrRefused) {
		t.Errorf("no signature: %v", err)
	}
	same(t, g.before)
}

func (g *guest) load(t *testing.T) {
	spec, began := g.spec(t, "1.0.0"), time.Now()
	l, err := Load(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("loaded in %v", time.Since(began))
	g.loaded = l
	t.Logf("%+v", *l)
	if x := l.Programs[0].Link; x.Kind != LinkXDP || x.Mode != "native" {
		t.Errorf("link of the XDP program: %+v", x)
	}
	t.Logf("tc by %s", l.Programs[1].Link.Kind)
}

func (g *guest) loadedTwice(t *testing.T) {
	now := readState(t)
	if _, err := Load(t.Context(), g.spec(t, "1.0.0")); !errors.Is(err, ErrLoaded) {
		t.Errorf("the same: %v", err)
	}
	if _, err := Load(t.Context(), g.spec(t, "2.0.0")); !errors.Is(err, ErrLoaded) {
		t.Errorf("another version: %v", err)
	}
	if _, err := Replace(t.Context(), g.loaded, g.spec(t, "1.0.0")); !errors.Is(err, ErrLoaded) {
		t.Errorf("replaced by itself: %v", err)
	}
	same(t, now)
}

func (g *guest) traffic(t *testing.T) {
	g.send(t, 100, 10)
	g.reaches(t, g.loaded, 10, 10)
	// The packets that make it panic pass, are counted, and harm nothing.
	g.send(t, 777, 5)
	g.send(t, 60, 5)
	g.reaches(t, g.loaded, 20, 20)
	s, err := StatusOf("ext")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Programs {
		t.Logf("%+v, last %+v", p, p.Last)
		if p.Runs != 20 || p.Faults["panic"] != 5 || len(p.Faults) != 1 || !p.Attached || p.Disabled || p.Stack != 256 {
			t.Errorf("%s: wrong status", p.Name)
		}
		if p.Last == nil || p.Last.Cause != "panic" || p.Last.File != "ext.c" || p.Last.Line == 0 || p.Last.Col != 7 {
			t.Errorf("%s: wrong last fault", p.Name)
		}
	}
	if _, err := StatusOf("other"); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("status of another: %v", err)
	}
	all, err := List()
	if err != nil || len(all) != 1 || all[0].Name != "ext" || all[0].Version != "1.0.0" || !all[0].Committed {
		t.Errorf("list: %+v, %v", all, err)
	}
}

// replace goes from 1.0.0 (counts by 1) to 2.0.0 (by 1000, and another map SEEN).
func (g *guest) replace(t *testing.T) {
	now := readState(t)
	bad := g.spec(t, "2.0.0")
	bad.Signature = g.file(t, "ext-1.0.0.p7s")
	if _, err := Replace(t.Context(), g.loaded, bad); !errors.Is(err, ErrNotTrustedByKernel) {
		t.Errorf("wrong signature: %v", err)
	}
	same(t, now)
	next := g.spec(t, "2.0.0")
	var change *MapChange
	if _, err := Replace(t.Context(), g.loaded, next); !errors.As(err, &change) || change.Map != "SEEN" {
		t.Errorf("a map of another shape, and no migration: %v", err)
	}
	same(t, now)
	next.Manifest.Maps[1].Migrate = manifest.MigrateCopy
	l, err := Replace(t.Context(), g.loaded, next)
	if err != nil {
		t.Fatal(err)
	}
	if !l.Maps[0].Kept || l.Maps[1].Kept || l.Maps[1].Copied < 1 || l.Maps[1].Pin != g.loaded.Maps[1].Pin || l.Programs[0].Slot != g.loaded.Programs[0].Slot || len(l.Notices) > 0 {
		t.Errorf("replaced: %+v", l)
	}
	g.send(t, 100, 3)
	g.reaches(t, l, 3020, 3020)
	g.loaded = l
	if n := len(readState(t)); n != len(now) {
		t.Errorf("%d things, were %d", n, len(now))
	}
}

func (g *guest) unload(t *testing.T) {
	for range 2 {
		if err := Unload(t.Context(), g.loaded); err != nil {
			t.Fatal(err)
		}
	}
	same(t, g.before)
	g.send(t, 100, 3)
}

// changedImage changes one byte of what the module loader maps.
func (g *guest) changedImage(t *testing.T) {
	spec := g.spec(t, "1.0.0")
	o, err := ReadObject(spec.Object)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".text", ".rodata", secProg, secInfo, secMap, secParam} {
		p, err := spec.plan()
		if err != nil {
			t.Fatal(err)
		}
		s, err := o.im.section(name)
		if err != nil || s == nil {
			t.Fatalf("no %s", name)
		}
		p.wrapper[s.Off+s.Size/2+1] ^= 0x40
		_, err = run(p, func(l *loader) error { return l.enter(t.Context()) })
		if !errors.Is(err, ErrRefused) || errors.Is(err, ErrNotTrustedByKernel) {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v", name, err)
		same(t, g.before)
	}
	// One byte of the object itself.
	spec.Object[len(spec.Object)/2] ^= 1
	p, err := spec.plan()
	if err == nil {
		_, err = run(p, func(l *loader) error { return l.enter(t.Context()) })
	}
	if err == nil {
		t.Error("a changed object was loaded")
	}
	same(t, g.before)
}

// signedWrapper loads a module made ahead, which has a signature at its end; one for
// another object is left alone.
func (g *guest) signedWrapper(t *testing.T) {
	spec := g.spec(t, "1.0.0")
	p, err := spec.plan()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signing.NewKeys("ahead")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := keys.SignModule(p.wrapper)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(signed)
	other[len(p.wrapper)/2] ^= 1
	spec.Wrappers = [][]byte{other, signed}
	if p, err = spec.plan(); err != nil || !bytes.Equal(p.wrapper, signed) {
		t.Fatalf("another module is loaded than the signed one: %v", err)
	}
	l, err := Load(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := Unload(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	same(t, g.before)
}

// generic attaches where the driver has no XDP of its own.
func (g *guest) generic(t *testing.T) {
	d := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "iut2"}}
	if err := netlink.LinkAdd(d); err != nil {
		t.Fatal(err)
	}
	before := readState(t)
	l, err := Load(t.Context(), g.spec(t, "1.0.0", "iface=iut2"))
	if err != nil {
		t.Fatal(err)
	}
	if l.Programs[0].Link.Mode != "generic" || len(l.Notices) != 1 || !strings.Contains(l.Notices[0], "generic mode") {
		t.Errorf("attached %+v, notices %q", l.Programs[0].Link, l.Notices)
	}
	// By its name alone.
	if err := Unload(t.Context(), &Loaded{Name: "ext"}); err != nil {
		t.Fatal(err)
	}
	if l.Programs[1].Link.Kind == LinkTCX {
		same(t, before)
	}
	if err := netlink.LinkDel(d); err != nil {
		t.Fatal(err)
	}
	same(t, g.before)

	spec := g.spec(t, "1.0.0", "iface=iut1")
	spec.Manifest.Programs[0].Attach["mode"] = "generic"
	if l, err = Load(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if l.Programs[0].Link.Mode != "generic" || len(l.Notices) != 0 {
		t.Errorf("attached %+v, notices %q", l.Programs[0].Link, l.Notices)
	}
	if err := Unload(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	same(t, g.before)
}

// rollBack fails at the last step, the links.
func (g *guest) rollBack(t *testing.T) {
	_, err := Load(t.Context(), g.spec(t, "1.0.0", "iface=nosuch0"))
	if err == nil || !strings.Contains(err.Error(), `no network interface "nosuch0"`) {
		t.Errorf("no interface: %v", err)
	}
	same(t, g.before)
	var pe *ParamError
	if _, err = Load(t.Context(), g.spec(t, "1.0.0", "DELTA=11")); !errors.As(err, &pe) {
		t.Errorf("parameter out of range: %v", err)
	}

	spec, err := stubSpec("harvest", "harvest_xdp")
	if err != nil {
		t.Fatal(err)
	}
	other, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	dev, err := net.InterfaceByName("iut1")
	if err != nil {
		t.Fatal(err)
	}
	held, err := link.AttachXDP(link.XDPOptions{Program: other, Interface: dev.Index})
	if err != nil {
		t.Fatal(err)
	}
	now := readState(t)
	if _, err = Load(t.Context(), g.spec(t, "1.0.0")); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "has an XDP program already") {
		t.Errorf("interface in use: %v", err)
	}
	same(t, now)
	held.Close()
	other.Close()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Load(ctx, g.spec(t, "1.0.0")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	same(t, g.before)
}

// leftBehind loads after a loader that died at the worst place.
func (g *guest) leftBehind(t *testing.T) {
	spec := g.spec(t, "1.0.0")
	p, err := spec.plan()
	if err != nil {
		t.Fatal(err)
	}
	died := errors.New("died")
	_, err = run(p, func(l *loader) error {
		steps := []func() error{
			func() error { return l.enter(t.Context()) },
			func() error { return l.newMap(0, l.pins.mapPin("COUNTS")) },
			func() error { return l.newMap(1, l.pins.mapPin("SEEN")) },
			l.complete,
			func() error { return l.newSlot(0) },
			func() error { return l.newSlot(1) },
			func() error { return l.dev.Attach(l.attach) },
			func() error { return l.newLink(t.Context(), 0) },
			func() error { return l.newLink(t.Context(), 1) },
		}
		for i, s := range steps {
			if err := s(); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		l.done.undo = nil
		return died
	})
	if !errors.Is(err, died) {
		t.Fatal(err)
	}
	// Without its extension the hook lets packets through.
	g.send(t, 100, 3)
	l, err := Load(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	g.send(t, 100, 3)
	g.reaches(t, l, 3, 3)
	if err := Unload(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(readState(t), func(s string) bool { return strings.HasPrefix(s, "extension") || strings.HasPrefix(s, "module") }) {
		t.Errorf("left: %v", readState(t))
	}
}

// built loads what the toolchain has built on the host, if anything.
func (g *guest) built(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(g.dir, "built-*.o"))
	if err != nil {
		t.Fatal(err)
	}
	before := readState(t)
	for _, file := range files {
		base := strings.TrimSuffix(filepath.Base(file), ".o")
		m, err := manifest.Parse(g.file(t, base+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(m.Requires.Hooks, manifest.HookXDP) {
			continue // TestGuestHooks
		}
		spec := LoadSpec{Manifest: m, Object: g.file(t, base+".o"), Signature: g.file(t, base+".p7s"), Runtime: g.file(t, "iu.ko"), Params: map[string]string{}}
		for _, p := range m.Params {
			if p.Type == manifest.ParamString {
				spec.Params[p.Name] = "iut1"
			}
		}
		l, err := Load(t.Context(), spec)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		g.send(t, 100, 10)
		s, err := StatusOf(m.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Programs {
			t.Logf("%s/%s at %s: %d runs, faults %v", m.Name, p.Name, p.Hook, p.Runs, p.Faults)
			if p.Hook == manifest.HookXDP && p.Runs != 10 || len(p.Faults) > 0 {
				t.Errorf("%s/%s: want 10 runs", m.Name, p.Name)
			}
		}
		if err := Unload(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		same(t, before)
	}
}

func (g *guest) removeRuntime(t *testing.T) {
	if err := RemoveRuntime(t.Context()); err != nil {
		t.Fatal(err)
	}
	if RuntimePresent() {
		t.Error("it is still there")
	}
	if _, err := OpenDevice(); !errors.Is(err, ErrNoRuntime) {
		t.Errorf("open: %v", err)
	}
}
