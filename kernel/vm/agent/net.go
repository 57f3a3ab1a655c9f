// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// QEMU's user network gives the first guest 10.0.2.15; 10.0.2.2 is the host.
var (
	ethAddr = netip.MustParseAddr("10.0.2.15")
	ethMask = netip.MustParseAddr("255.255.255.0")
	gateway = netip.MustParseAddr("10.0.2.2")
)

func configureNetwork(eth bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := setUp(fd, "lo"); err != nil || !eth {
		return err
	}
	// virtio_net's probe may still be under way when its module has loaded.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat("/sys/class/net/eth0"); err == nil {
			break
		} else if time.Now().After(deadline) {
			return fmt.Errorf("network card: %w", err)
		}
	}
	if err := setAddr(fd, unix.SIOCSIFADDR, "eth0", ethAddr); err != nil {
		return err
	}
	if err := setAddr(fd, unix.SIOCSIFNETMASK, "eth0", ethMask); err != nil {
		return err
	}
	if err := setUp(fd, "eth0"); err != nil {
		return err
	}
	// Packets sent before the carrier is seen are dropped. A card that never has one is the caller's affair.
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile("/sys/class/net/eth0/operstate"); err == nil && string(b) == "up\n" {
			break
		}
	}
	return defaultRoute(fd)
}

func setUp(fd int, name string) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return fmt.Errorf("%s: flags: %w", name, err)
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("%s: up: %w", name, err)
	}
	return nil
}

func setAddr(fd int, op uint, name string, a netip.Addr) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := req.SetInet4Addr(a.AsSlice()); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, op, req); err != nil {
		return fmt.Errorf("%s: address %v: %w", name, a, err)
	}
	return nil
}

// rtentry is struct rtentry of <linux/route.h>.
type rtentry struct {
	_       uint64
	dst     unix.RawSockaddrInet4
	gateway unix.RawSockaddrInet4
	genmask unix.RawSockaddrInet4
	flags   uint16
	_       int16
	_       uint64
	_       uint64
	metric  int16
	_       [6]byte
	dev     uintptr
	mtu     uint64
	window  uint64
	irtt    uint16
	_       [6]byte
}

func defaultRoute(fd int) error {
	const rtfUp, rtfGateway = 1, 2
	any := unix.RawSockaddrInet4{Family: unix.AF_INET}
	rt := rtentry{dst: any, genmask: any, gateway: any, flags: rtfUp | rtfGateway}
	binary.NativeEndian.PutUint32(rt.gateway.Addr[:], binary.NativeEndian.Uint32(gateway.AsSlice()))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT, uintptr(unsafe.Pointer(&rt))); errno != 0 {
		return fmt.Errorf("default route: %w", errno)
	}
	return nil
}
