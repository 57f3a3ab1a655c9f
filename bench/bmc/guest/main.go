// SPDX-License-Identifier: Apache-2.0

// Guest measures bmc, the same design in eBPF and memcached alone in a virtual machine
// that counts instructions, all in one boot. Requests come and answers go over a pair of
// veth devices, from and to eBPF programs of a few instructions; so that what is left, once
// a server that costs nothing has been subtracted, is the server's own.
//
// It wants iu.ko, bmc with signature and certificate, and the eBPF objects in the folder that it is
// given, and prints one wire.Report. Never run it on a machine that matters.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/iupkg/iupkg/bench/bmc/frames"
	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/kernel"
	"golang.org/x/sys/unix"
)

func main() {
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: guest DIR")
		os.Exit(2)
	}
	report, err := measure(context.Background(), sideload.Folder(os.Args[1]))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: error: %+v\n", err)
		os.Exit(1)
	}
}

// The two ends of the pair: the server's, and that of who asks.
const serverEnd, clientEnd = "vs", "vc"

func shell(script string) error {
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, out)
	}
	return nil
}

// network makes the pair and starts memcached behind one end.
func network() error {
	err := shell(`
		modprobe veth
		ip link add vs address 02:00:00:00:00:01 type veth peer name vc address 02:00:00:00:00:02
		ip addr add 10.1.0.1/24 dev vs
		ip link set vs up; ip link set vc up; ip link set lo up
		ip neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev vs nud permanent
		sysctl -qw net.ipv6.conf.vs.disable_ipv6=1 net.ipv6.conf.vc.disable_ipv6=1
		memcached -d -u nobody -l 10.1.0.1 -p 11211 -U 11211 -m 32 -t 1
		for i in $(seq 100); do bash -c '</dev/tcp/10.1.0.1/11211' 2>/dev/null && exit 0; sleep 0.1; done; exit 1`)
	// Frames that are sent to an end by a program need a queue there, which comes with GRO.
	return errors.Join(err, setGRO(serverEnd), setGRO(clientEnd))
}

// setGRO is ethtool -K DEV gro on.
func setGRO(dev string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	value := struct{ cmd, data uint32 }{unix.ETHTOOL_SGRO, 1}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], dev)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("%s: switch GRO on: %w", dev, errno)
	}
	return nil
}

func load(path string) (*ebpf.Collection, error) {
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		return nil, err
	}
	return ebpf.NewCollection(spec)
}

// refusals loads each program of a file by itself; the verifier must refuse all.
func refusals(path string) (map[string]string, error) {
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name := range spec.Programs {
		one := spec.Copy()
		for other := range one.Programs {
			if other != name {
				delete(one.Programs, other)
			}
		}
		c, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogSizeStart: 1 << 24}})
		if err == nil {
			c.Close()
			out[name] = "accepted"
			continue
		}
		lines := []string{err.Error()}
		var refused *ebpf.VerifierError
		if errors.As(err, &refused) {
			lines = refused.Log
		}
		out[name] = strings.TrimSpace(strings.Join(lines[max(0, len(lines)-12):], "\n"))
	}
	return out, nil
}

// server is what answers at the server's end, until it is closed.
type server struct {
	name  string
	hit   *ebpf.Program // to be run on a request by itself; nil: nothing but memcached
	close func() error
	// memory is what its cache takes for each item that it has room for, bytes.
	memory float64
}

// perItem is what a map takes of the kernel's memory for each of so many items.
func perItem(m *ebpf.Map, items float64) (float64, error) {
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	bytes, ok := info.Memlock()
	if !ok {
		return 0, fmt.Errorf("%s: the kernel does not say how much memory it takes", m)
	}
	return float64(bytes) / items, nil
}

func echoServer(h *ebpf.Collection) (*server, error) {
	l, err := attachXDP(h.Programs["echo"], serverEnd)
	if err != nil {
		return nil, err
	}
	return &server{name: "echo", hit: h.Programs["echo"], close: l.Close}, nil
}

func memcachedServer() (*server, error) {
	return &server{name: "memcached", close: func() error { return nil }}, nil
}

// ebpfServer loads the pieces of the baseline and attaches their heads.
func ebpfServer(dir sideload.Folder) (*server, error) {
	c, err := load(dir.File("bmc.bpf.o"))
	if err != nil {
		return nil, err
	}
	if err := frames.TieBaseline(c); err != nil {
		return nil, err
	}
	rx, err := attachXDP(c.Programs["rx"], serverEnd)
	if err != nil {
		return nil, err
	}
	// By name and pin, as kernels before 6.6 have no link for it.
	dirName := "/sys/fs/bpf/bmc-baseline"
	if err := c.Programs["tx"].Pin(dirName); err != nil {
		return nil, err
	}
	if err := shell("tc qdisc add dev vs clsact; tc filter add dev vs egress bpf direct-action pinned " + dirName); err != nil {
		return nil, err
	}
	memory, err := perItem(c.Maps["cache"], float64(c.Maps["cache"].MaxEntries()))
	if err != nil {
		return nil, err
	}
	return &server{name: "ebpf", hit: c.Programs["rx"], memory: memory, close: func() error {
		rx.Close()
		c.Close()
		return shell("tc qdisc del dev vs clsact; rm " + dirName)
	}}, nil
}

func attachXDP(p *ebpf.Program, dev string) (link.Link, error) {
	i, err := ifindex(dev)
	if err != nil {
		return nil, err
	}
	return link.AttachXDP(link.XDPOptions{Program: p, Interface: i, Flags: link.XDPDriverMode})
}

func ifindex(dev string) (int, error) {
	text, err := os.ReadFile(filepath.Join("/sys/class/net", dev, "ifindex"))
	if err != nil {
		return 0, err
	}
	var i int
	_, err = fmt.Sscan(string(text), &i)
	return i, err
}

// ways is how many items a set of bmc's has room for.
const ways = 4

func bmcServer(ctx context.Context, dir sideload.Folder, name string) (*server, error) {
	spec, err := dir.Spec(name)
	if err != nil {
		return nil, err
	}
	spec.Params["iface"] = serverEnd
	spec.Params["no_old_ttl"] = "true"
	spec.Params["settle_ms"] = fmt.Sprint(settle.Milliseconds())
	l, err := kernel.Load(ctx, spec)
	if err != nil {
		return nil, err
	}
	memory := 0.0
	for _, m := range l.Maps {
		if m.Name != "cache" {
			continue
		}
		cache, err := ebpf.LoadPinnedMap(m.Pin, nil)
		if err != nil {
			return nil, err
		}
		memory, err = perItem(cache, ways*float64(cache.MaxEntries()))
		if err := errors.Join(err, cache.Close()); err != nil {
			return nil, err
		}
	}
	for _, p := range l.Programs {
		if p.Name != "rx" {
			continue
		}
		stub, err := ebpf.LoadPinnedProgram(p.Pin, nil)
		if err != nil {
			return nil, err
		}
		return &server{name: name, hit: stub, memory: memory, close: func() error {
			stub.Close()
			return kernel.Unload(ctx, l)
		}}, nil
	}
	return nil, fmt.Errorf("bmc has no program rx")
}
