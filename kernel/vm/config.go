// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"
)

// Config describes a machine. The zero value of a field means its default.
type Config struct {
	Kernel string // name of a kernel, see PackageOf; needed unless Image is set
	Image  *Kernel

	CPUs     int       // 1
	MemMiB   int       // 1024; half of it is the most that scratch can take
	Forwards []Forward // ports of the host's loopback that lead into the machine
	NoNet    bool      // no network card
	Shares   []Share

	// Icount is QEMU's -icount, such as "shift=0,sleep=off": time is counted in guest instructions, the same in every run.
	// It means one CPU, TCG, and no watch for a hang.
	Icount string
	// Accel is "tcg", "kvm", or empty for what the probe found.
	Accel string
	// CPU is QEMU's -cpu; by default that of the host under KVM, else "max".
	CPU string
	// Append is added to the kernel's command line.
	Append string
	// ExtraArgs are added to QEMU's.
	ExtraArgs []string

	// Console gets the serial console's output as it comes. The machine keeps a copy of its end anyway.
	Console io.Writer
	// BootTimeout bounds Start, 3 minutes; a machine boots in less than ten seconds on an idle host.
	BootTimeout time.Duration
	// HangTimeout is how long a machine with a command under way may be silent to pings, 2 minutes.
	HangTimeout time.Duration
}

// Forward leads a port of 127.0.0.1 to one of the guest's eth0.
type Forward struct {
	Proto string // "tcp" or "udp"
	Host  int    // 0 means a free port, the same one for all forwards to one guest port; see Machine.Addr
	Guest int
}

// Share is a folder of the host that the guest mounts and both see at once.
type Share struct {
	Host     string
	Guest    string // made if absent
	Writable bool
}

func (c *Config) complete() error {
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	if c.MemMiB == 0 {
		c.MemMiB = 1024
	}
	if c.BootTimeout == 0 {
		c.BootTimeout = 3 * time.Minute
	}
	if c.HangTimeout == 0 {
		c.HangTimeout = 2 * time.Minute
	}
	switch {
	case c.Image == nil && c.Kernel == "":
		return errors.New("no kernel given")
	case c.Accel != "" && c.Accel != "tcg" && c.Accel != "kvm":
		return fmt.Errorf("unknown accelerator %q", c.Accel)
	case c.Icount != "" && (c.CPUs != 1 || c.Accel == "kvm"):
		return errors.New("counting instructions needs one CPU and TCG")
	case c.NoNet && len(c.Forwards) > 0:
		return errors.New("forwards need the network card")
	}
	if c.Icount != "" {
		c.Accel = "tcg"
	}
	for i, s := range c.Shares {
		abs, err := filepath.Abs(s.Host)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(s.Guest) {
			return fmt.Errorf("share %s: %q is not an absolute path", s.Host, s.Guest)
		}
		c.Shares[i].Host = abs
	}
	for _, f := range c.Forwards {
		if f.Proto != "tcp" && f.Proto != "udp" || f.Guest < 1 || f.Guest > 65535 || f.Host < 0 || f.Host > 65535 {
			return fmt.Errorf("bad forward %+v", f)
		}
	}
	return nil
}

// pickPorts fills the host ports left open: one port, free for TCP and UDP, for each guest port.
func pickPorts(fs []Forward) ([]Forward, error) {
	out := append([]Forward(nil), fs...)
	picked := map[int]int{}
	for i, f := range out {
		if f.Host != 0 {
			continue
		}
		if picked[f.Guest] == 0 {
			p, err := freePort()
			if err != nil {
				return nil, err
			}
			picked[f.Guest] = p
		}
		out[i].Host = picked[f.Guest]
	}
	return out, nil
}

func freePort() (int, error) {
	for range 20 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		l.Close()
		if err == nil {
			u.Close()
			return port, nil
		}
	}
	return 0, errors.New("no port free for both TCP and UDP")
}
