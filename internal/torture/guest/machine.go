// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/internal/torture/point"
	"github.com/iupkg/iupkg/kernel"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Pairs of interfaces, one for each hook that sees packets: what one drops the other would
// not see. The receiving ends, as the extension has them, carry the programs, and nothing but this suite speaks there.
var pairs = map[string][2]string{"xdp": {"iut0", "iut1"}, "tc": {"iut2", "iut3"}, "spare": {"iut4", "iut5"}}

// machine is what cases are run on.
type machine struct {
	point   *point.Device
	socket  int                       // AF_PACKET
	senders map[string]*net.Interface // by hook
	loop    *loopback
}

func newMachine(dir sideload.Folder) (*machine, error) {
	d, err := point.Load(dir.File("iu_torture.ko"))
	if err != nil {
		return nil, err
	}
	m := &machine{point: d}
	m.senders = map[string]*net.Interface{}
	for hook, names := range pairs {
		if m.senders[hook], err = newPair(names); err != nil {
			return nil, err
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return nil, err
	}
	if m.loop, err = newLoopback(); err != nil {
		return nil, err
	}
	m.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	return m, err
}

// newPair makes two interfaces and returns the first.
func newPair(names [2]string) (*net.Interface, error) {
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: names[0], MTU: 1500}, PeerName: names[1]}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		l, err := netlink.LinkByName(name)
		if err != nil {
			return nil, err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return nil, err
		}
	}
	return net.InterfaceByName(names[0])
}

var frame = append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}, make([]byte, 86)...)

func (m *machine) send(hook string, n int) error {
	to := &unix.SockaddrLinklayer{Ifindex: m.senders[hook].Index, Protocol: 0xb588, Halen: 6}
	for range n {
		if err := unix.Sendto(m.socket, frame, 0, to); err != nil {
			return fmt.Errorf("send a packet: %w", err)
		}
	}
	return nil
}

// objects counts what the kernel holds of programs, maps, links, slots' extensions and modules.
func objects() (uint64, error) {
	var n uint64
	for id := ebpf.ProgramID(0); ; n++ {
		next, err := ebpf.ProgramGetNextID(id)
		if err != nil {
			break
		}
		id = next
	}
	for id := ebpf.MapID(0); ; n++ {
		next, err := ebpf.MapGetNextID(id)
		if err != nil {
			break
		}
		id = next
	}
	for it := new(link.Iterator); it.Next(); {
		n++
	}
	modules, err := os.ReadFile("/proc/modules")
	if err != nil {
		return 0, err
	}
	n += uint64(strings.Count(string(modules), "\niux_"))
	all, err := kernel.List()
	return n + uint64(len(all)), err
}

// grown says whether memory stays above a mark by more than slack, KiB. The kernel frees much in its own time.
func grown(mark, slack int64) (bool, error) {
	for range 40 {
		now, err := sideload.Memory()
		if err != nil || now <= mark+slack {
			return false, err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return true, nil
}

// extension is a loaded one.
type extension struct {
	*kernel.Loaded
	programs map[string]*ebpf.Program // stubs
	maps     map[string]*ebpf.Map
}

func load(ctx context.Context, spec kernel.LoadSpec) (*extension, error) {
	var err error
	e := &extension{programs: map[string]*ebpf.Program{}, maps: map[string]*ebpf.Map{}}
	if e.Loaded, err = kernel.Load(ctx, spec); err != nil {
		return nil, err
	}
	for _, p := range e.Programs {
		if e.programs[p.Name], err = ebpf.LoadPinnedProgram(p.Pin, nil); err != nil {
			return nil, err
		}
	}
	for _, x := range e.Maps {
		if e.maps[x.Name], err = ebpf.LoadPinnedMap(x.Pin, nil); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *extension) unload(ctx context.Context) error {
	for _, p := range e.programs {
		p.Close()
	}
	for _, x := range e.maps {
		x.Close()
	}
	return kernel.Unload(ctx, e.Loaded)
}

// numbers are the programs' places in their extension's map of modes.
var numbers = map[string]uint32{
	"bad_xdp": 0, "bad_tc": 1, "bad_fentry": 0, "bad_fexit": 1, "bad_kprobe": 0, "bad_kretprobe": 1, "bad_tp_btf": 0, "bad_lsm": 1,
	"bad_tracepoint": 0, "bad_uprobe": 1, "bad_page": 2, "bad_switch": 3, "bad_clock": 4,
	"bad_egress": 0, "bad_ingress": 1, "bad_connect": 2, "bad_filter": 3, "in_task": 0, "in_hardirq": 1, "in_nmi": 2,
}

// mode says what a program does from now on.
func (e *extension) mode(program string, n uint64) error {
	const looked = 2 // runs that looked whether all is free: the first does
	if err := e.maps["seen"].Put(uint32(looked), uint64(0)); err != nil {
		return err
	}
	number, ok := numbers[program]
	if !ok {
		return fmt.Errorf("program %s has no number", program)
	}
	return e.maps["mode"].Put(number, n)
}

// drain reads what is in the ring buffer, where discarded records too take room until then.
func (e *extension) drain() error {
	r, err := ringbuf.NewReader(e.maps["ring"])
	if err != nil {
		return err
	}
	defer r.Close()
	r.SetDeadline(time.Now())
	for {
		if _, err := r.Read(); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// status is the program's counters.
func (e *extension) status(program string) (kernel.ProgramStatus, error) {
	s, err := kernel.StatusOf(e.Name)
	if err != nil {
		return kernel.ProgramStatus{}, err
	}
	for _, p := range s.Programs {
		if p.Name == program {
			return p, nil
		}
	}
	return kernel.ProgramStatus{}, fmt.Errorf("%s has no program %s", e.Name, program)
}
