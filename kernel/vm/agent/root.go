// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/iupkg/iupkg/kernel/vm/wire"
	"golang.org/x/sys/unix"
)

// environment is what commands start with.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "TERM=dumb", "LANG=C.UTF-8",
}

// 9P.L with messages as large as virtio takes well; the host's / does not change under us in ways that matter, so its
// pages and names may be cached. Shares may change on both sides and are not cached. With virtiofs the host's daemon
// decides on that.
const (
	optsRoot  = "trans=virtio,version=9p2000.L,msize=512000,cache=loose"
	optsShare = "trans=virtio,version=9p2000.L,msize=512000,cache=none"
)

// mountHost mounts files of the host by their tag.
func mountHost(fs, tag, target string, writable bool) error {
	flags, opts := uintptr(unix.MS_RDONLY), optsShare
	if writable {
		flags = 0
	}
	if tag == wire.RootTag {
		opts = optsRoot
	}
	if fs != "9p" {
		opts = ""
	}
	return mount(tag, target, fs, flags, opts)
}

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", fstype, target, err)
	}
	return nil
}

func earlyMounts() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := mount(m[0], m[1], m[0], 0, ""); err != nil {
			return err
		}
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}

// openPort finds the port by its name in sysfs; the device appears a moment after its driver.
func openPort() (*os.File, error) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil || strings.TrimSpace(string(b)) != wire.PortName {
				continue
			}
			// Blocking reads and writes: os.OpenFile would poll, and the port is always "readable" when the host is away.
			fd, err := unix.Open("/dev/"+filepath.Base(filepath.Dir(n)), unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				return nil, fmt.Errorf("agent port: %w", err)
			}
			return os.NewFile(uintptr(fd), "agent port"), nil
		}
		if time.Now().After(deadline) {
			return nil, errors.New("no virtio-serial port named " + wire.PortName)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// makeRoot mounts the machine's file systems and makes them the root.
func makeRoot(boot *wire.Boot) error {
	if err := mountHost(boot.FS, wire.RootTag, "/lower", false); err != nil {
		return err
	}
	if err := mount("scratch", "/scratch", "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	const root = "/newroot"
	if err := overlay("root", root, "/lower"); err != nil {
		return err
	}
	// The kernel's own files first, then what the host has of the same release (headers leave a `build` link there).
	for _, dir := range []string{"/lib/modules/" + boot.Release, "/boot"} {
		lower := []string{filepath.Join("/lower", boot.KernelAt, dir)}
		if fi, err := os.Stat("/lower" + dir); err == nil && fi.IsDir() && boot.KernelAt != "/" {
			lower = append(lower, "/lower"+dir)
		}
		target, err := inRoot(root, dir)
		if err != nil {
			return err
		}
		if err := overlay(strings.ReplaceAll(dir, "/", "-"), target, lower...); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		source, target, fstype, data string
		optional                     bool
	}{
		{"proc", "/proc", "proc", "", false},
		{"sysfs", "/sys", "sysfs", "", false},
		{"devtmpfs", "/dev", "devtmpfs", "", false},
		{"devpts", "/dev/pts", "devpts", "ptmxmode=0666", false},
		{"shm", "/dev/shm", "tmpfs", "mode=1777", false},
		{"run", "/run", "tmpfs", "mode=0755", false},
		{"bpf", "/sys/fs/bpf", "bpf", "mode=0700", false},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", "", true},
		{"debugfs", "/sys/kernel/debug", "debugfs", "", true},
		{"tracefs", "/sys/kernel/tracing", "tracefs", "", true},
	} {
		if err := mount(m.source, root+m.target, m.fstype, 0, m.data); err != nil && !m.optional {
			return err
		}
	}
	for _, l := range [][2]string{{"/proc/self/fd", "fd"}, {"fd/0", "stdin"}, {"fd/1", "stdout"}, {"fd/2", "stderr"}} {
		if err := os.Symlink(l[0], root+"/dev/"+l[1]); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	for _, s := range boot.Shares {
		target, err := inRoot(root, s.Guest)
		if err != nil {
			return err
		}
		if err := mountHost(boot.FS, s.Tag, target, s.Writable); err != nil {
			return err
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	return os.Chdir("/")
}

func overlay(name, target string, lower ...string) error {
	upper, work := "/scratch/"+name+"/upper", "/scratch/"+name+"/work"
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	esc := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)
	for i := range lower {
		lower[i] = esc.Replace(lower[i])
	}
	return mount("overlay", target, "overlay", 0,
		"lowerdir="+strings.Join(lower, ":")+",upperdir="+upper+",workdir="+work)
}

// inRoot resolves the links of path within root, as /lib is a link on Debian, and makes the folder.
func inRoot(root, path string) (string, error) {
	at := root
	rest := strings.Split(path, "/")
	for hops := 0; len(rest) > 0; {
		c := rest[0]
		rest = rest[1:]
		switch c {
		case "", ".":
			continue
		case "..":
			if at != root {
				at = filepath.Dir(at)
			}
			continue
		}
		next := at + "/" + c
		link, err := os.Readlink(next)
		if err != nil {
			at = next
			continue
		}
		if hops++; hops > 40 {
			return "", fmt.Errorf("%s: too many links", path)
		}
		if strings.HasPrefix(link, "/") {
			at = root
		}
		rest = append(strings.Split(link, "/"), rest...)
	}
	return at, os.MkdirAll(at, 0o755)
}
