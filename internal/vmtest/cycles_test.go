// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package vmtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/signing"
)

const cyclesEnv = "IUPKG_VM_CYCLES"

// TestCycles upgrades an extension and rolls back, again and again, under a stream
// of packets: every one is counted by the old version or by the new one, into the
// map that they share. IUPKG_CYCLES says how often, 1000 in make cycles.
func TestCycles(t *testing.T) {
	if os.Getenv("IUPKG_LONG") == "" {
		t.Skip("boots machines for a long time: IUPKG_LONG=1")
	}
	cycles := os.Getenv("IUPKG_CYCLES")
	if cycles == "" {
		cycles = "20"
	}
	b := newBed(t, "6.12")
	b.publishExt("1.0.0", "iut1", nil)
	b.publishExt("1.1.0", "iut1", nil)
	b.run(0, nil, "setup")
	b.run(0, nil, "trust", "add", b.TrustFile())
	b.shell(`ip link add iut0 type veth peer name iut1
		for i in iut0 iut1; do echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; ip link set $i arp off up; done`)
	b.run(0, nil, "install", "--download-only", "ext@1.1.0")
	b.run(0, nil, "install", "ext@1.0.0")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.m.Run(b.ctx, "/usr/bin/env", cyclesEnv+"="+cycles, "IUPKG_LIBDIR="+filepath.Join(b.Src, "lib", "iupkg"), exe,
		"-test.v", "-test.timeout", "3h", "-test.run", "^TestGuestCycles$")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r.Stdout, r.Stderr)
	if r.Exit != 0 || !strings.Contains(r.Stdout, "--- PASS: TestGuestCycles") {
		t.Errorf("failed with exit code %d", r.Exit)
	}
	b.run(0, nil, "verify")
	b.shell(`[ $(grep -c ^iux_ /proc/modules) = 1 ]`)
	b.checkLog()
}

// TestGuestCycles runs in a machine, started by TestCycles: transactions by the
// package that iupkg makes them with, in one process.
func TestGuestCycles(t *testing.T) {
	cycles, err := strconv.Atoi(os.Getenv(cyclesEnv))
	if err != nil {
		t.Skip("runs in a virtual machine only")
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	ko, err := os.ReadFile(filepath.Join(os.Getenv("IUPKG_LIBDIR"), "runtime", unix.ByteSliceToString(u.Release[:]), "iu.ko"))
	if err != nil {
		t.Fatal(err)
	}
	root := install.Open(install.DefaultRoot)
	policy, err := signing.OpenPolicy(root.Sub("trust"))
	if err != nil {
		t.Fatal(err)
	}
	// Where the time goes: up to verified, to replaced in the kernel, to committed.
	var phases [3][]time.Duration
	var last time.Time
	ended := func(phase int) {
		now := time.Now()
		phases[phase], last = append(phases[phase], now.Sub(last)), now
	}
	replaced := 0
	env := &install.Env{Policy: policy, Kernel: install.Live{Runtime: ko}, Release: "test", Report: func(e install.Event) {
		switch e.Kind {
		case install.EventVerified:
			ended(0)
		case install.EventReplaced:
			ended(1)
			replaced++
		}
	}}
	old, err := root.Current()
	if err != nil || len(old.Packages) != 1 {
		t.Fatalf("%+v, %v", old, err)
	}
	newer, err := otherItem(root, old.Packages[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := ebpf.LoadPinnedMap("/sys/fs/bpf/iupkg/ext/maps/COUNTS", nil)
	if err != nil {
		t.Fatal(err)
	}
	counted := func() (n uint64) {
		if err := counts.Lookup(uint32(0), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := counted()
	s := newStream(t, "iut0", "iut1")
	apply := func(did string, target []install.Item) time.Duration {
		began := time.Now()
		last = began
		lock, err := root.Lock()
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Unlock()
		cur, err := root.Current()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock.Apply(context.Background(), install.NewPlan(cur, did, target), env); err != nil {
			t.Fatal(err)
		}
		ended(2)
		return time.Since(began)
	}
	var took []time.Duration
	for range cycles {
		d := apply("upgrade", []install.Item{newer})
		d += apply("rollback", old.Items())
		took = append(took, d)
	}
	sent := s.stop()
	var got uint64
	for range 50 {
		if got = counted() - before; got >= sent {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	slices.Sort(took)
	median := func(d []time.Duration) time.Duration {
		slices.Sort(d)
		return d[len(d)/2]
	}
	t.Logf("of a transaction's median %v go to reading and verifying, %v to the kernel, %v to committing", median(phases[0]), median(phases[1]), median(phases[2]))
	t.Logf("%d cycles, %d replacements, median %v, worst %v a cycle; %d packets sent, %d counted",
		cycles, replaced, took[len(took)/2], took[len(took)-1], sent, got)
	if got != sent {
		t.Errorf("%d packets were sent and %d counted", sent, got)
	}
	if replaced != 2*cycles {
		t.Errorf("%d of %d transactions replaced in place", replaced, 2*cycles)
	}
	if sent < uint64(10*cycles) {
		t.Errorf("only %d packets were sent", sent)
	}
}

// otherItem is the version of ext that is in the store and not of that digest.
func otherItem(root *install.Root, not string) (install.Item, error) {
	files, err := filepath.Glob(root.Sub("artifacts/*.json"))
	if err != nil {
		return install.Item{}, err
	}
	for _, f := range files {
		digest := "sha256:" + strings.TrimSuffix(filepath.Base(f), ".json")
		if digest != not {
			return install.Item{Name: "ext", Version: "1.1.0", Digest: digest}, nil
		}
	}
	return install.Item{}, errors.New("the store has one version only")
}

// stream sends packets from one end of a pair of interfaces to the other, not
// faster than they are taken.
type stream struct {
	done chan struct{}
	wg   sync.WaitGroup
	sent uint64
}

func newStream(t *testing.T, from, to string) *stream {
	dev, err := net.InterfaceByName(from)
	if err != nil {
		t.Fatal(err)
	}
	dst, err := net.InterfaceByName(to)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 64)
	copy(frame, dst.HardwareAddr)
	copy(frame[6:], dev.HardwareAddr)
	binary.BigEndian.PutUint16(frame[12:], 0x88b5) // for experiments
	s := &stream{done: make(chan struct{})}
	s.wg.Go(func() {
		defer unix.Close(fd)
		for {
			select {
			case <-s.done:
				return
			default:
			}
			for range 4 {
				if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: dev.Index, Halen: 6}); err != nil {
					if errors.Is(err, unix.ENOBUFS) {
						break
					}
					fmt.Fprintln(os.Stderr, "send:", err)
					return
				}
				s.sent++
			}
			time.Sleep(time.Millisecond)
		}
	})
	return s
}

func (s *stream) stop() uint64 {
	close(s.done)
	s.wg.Wait()
	return s.sent
}
