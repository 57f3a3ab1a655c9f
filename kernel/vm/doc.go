// SPDX-License-Identifier: Apache-2.0

// Package vm runs stock distribution kernels in QEMU over the files of this machine.
//
//	m, err := vm.Start(ctx, vm.Config{Kernel: "6.12", Forwards: []vm.Forward{{Proto: "udp", Guest: 11211}}})
//	defer m.Stop()
//	res, err := m.Run(ctx, "uname", "-r")
//
// The kernel is a Debian package, fetched with apt-get and unpacked into the cache (Find); it is never installed on this
// machine. The guest's root is this machine's /, read-only over virtio-9p (over virtiofs where a kernel has no 9P, which
// needs root), with a tmpfs on top that takes every write and is gone when the machine stops. /boot and /lib/modules/RELEASE are the guest kernel's. /proc, /sys, /dev, /run and
// /sys/fs/bpf are fresh. Shares are folders that both sides see at once.
//
// Network: eth0 is a virtio-net card at 10.0.2.15/24 on QEMU's user network; the host's loopback is 10.0.2.2. Forwards
// bind ports of 127.0.0.1 on the host.
//
// Commands run through an agent (folder agent, protocol in package wire), not through a console; a machine that panics,
// hangs or goes away is an error with the end of the console in it, never a silent success. KVM is used only where a
// probe has booted a stock kernel with it (accel.go).
//
// Needed on this machine: qemu-system-x86, and for Find apt-get, dpkg-deb, depmod and xz.
package vm
