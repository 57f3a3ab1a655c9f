// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/iupkg/iupkg/kernel/vm/wire"
	"golang.org/x/sys/unix"
)

// virtiofsd finds the daemon of that name: it comes with QEMU of Debian 12. QEMU from Debian's backports has none beside it;
// then it is fetched from the package of Debian 12 into the cache.
func virtiofsd(ctx context.Context) (string, error) {
	const name, pkg = "usr/lib/qemu/virtiofsd", "qemu-system-common=1:7.2*"
	if _, err := os.Stat("/" + name); err == nil {
		return "/" + name, nil
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "qemu")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, "virtiofsd")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	tmp, err := os.MkdirTemp(dir, ".unpack-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	tree, err := download(ctx, tmp, pkg)
	if err != nil {
		return "", err
	}
	return path, os.Rename(filepath.Join(tree, name), path)
}

// shared is a folder that the guest gets under a tag.
type shared struct {
	tag, path string
	writable  bool
}

func shareTag(i int) string { return "share" + strconv.Itoa(i) }

// shared lists what the machine gets of the host, / first.
func (m *Machine) shared() []shared {
	all := []shared{{tag: wire.RootTag, path: "/"}}
	for i, s := range m.cfg.Shares {
		all = append(all, shared{shareTag(i), s.Host, s.Writable})
	}
	return all
}

// hostFiles serves folders of the host to a machine: by QEMU itself over 9P, or by a daemon for each over virtiofs.
type hostFiles struct {
	fs      string // see fileSystems
	log     io.Writer
	dir     string // of the daemons' sockets
	daemons []*exec.Cmd
}

func (h *hostFiles) socket(tag string) string { return filepath.Join(h.dir, tag) }

func (h *hostFiles) qemuArgs(all []shared, memMiB int) []string {
	var args []string
	if h.fs == "virtiofs" {
		// The daemons read and write the guest's memory.
		args = append(args, "-object", fmt.Sprintf("memory-backend-memfd,id=memory,size=%dM,share=on", memMiB),
			"-machine", "memory-backend=memory")
	}
	for _, s := range all {
		if h.fs == "virtiofs" {
			args = append(args, "-chardev", fmt.Sprintf("socket,id=%s,path=%s", s.tag, escape(h.socket(s.tag))),
				"-device", fmt.Sprintf("vhost-user-fs-pci,chardev=%s,tag=%[1]s", s.tag))
			continue
		}
		opt := fmt.Sprintf("local,id=%s,path=%s,security_model=none,multidevs=remap", s.tag, escape(s.path))
		if !s.writable {
			opt += ",readonly=on"
		}
		args = append(args, "-fsdev", opt, "-device", fmt.Sprintf("virtio-9p-pci,fsdev=%s,mount_tag=%[1]s", s.tag))
	}
	return args
}

// serve starts what must run before QEMU does.
func (h *hostFiles) serve(ctx context.Context, all []shared) (err error) {
	if h.fs != "virtiofs" {
		return nil
	}
	if h.dir, err = os.MkdirTemp("", "iupkg-vm-"); err != nil {
		return err
	}
	program, err := virtiofsd(ctx)
	if err != nil {
		return fmt.Errorf("virtiofsd, which this kernel needs as it has no 9P: %w", err)
	}
	for _, s := range all {
		if err := h.daemon(program, s); err != nil {
			return fmt.Errorf("serve %s over virtiofs: %w", s.path, err)
		}
	}
	return nil
}

func (h *hostFiles) daemon(program string, s shared) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.socket(s.tag)})
	if err != nil {
		return err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	socket, err := l.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	tree, err := openTree(s)
	if err != nil {
		return err
	}
	defer tree.Close()
	cache := "none"
	if s.tag == wire.RootTag {
		cache = "always"
	}
	// The daemon's own sandbox of namespaces takes a path only; its other one keeps to the tree that is handed over.
	cmd := exec.Command(program, "--fd=3", "-f", "-o", "source=/proc/self/fd/4/.,sandbox=chroot,xattr,log_level=warn,cache="+cache)
	cmd.Stdout, cmd.Stderr = h.log, h.log
	cmd.ExtraFiles = []*os.File{socket, tree}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // see Machine.own
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	h.daemons = append(h.daemons, cmd)
	return nil
}

// openTree gives a folder as a mount of its own, with all below it, that nothing can write through unless asked to: the
// guest's promise to mount read-only is worth nothing.
func openTree(s shared) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, s.path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		if errors.Is(err, unix.EPERM) {
			return nil, errors.New("this kernel has no 9P, and virtiofs needs root")
		}
		return nil, fmt.Errorf("open_tree: %w", err)
	}
	f := os.NewFile(uintptr(fd), s.path)
	if s.writable {
		return f, nil
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("mount_setattr: %w", err)
	}
	return f, nil
}

// close ends the daemons; they end by themselves when QEMU has hung up, but not if it never called.
func (h *hostFiles) close() {
	if h == nil {
		return
	}
	for _, d := range h.daemons {
		_ = d.Process.Kill()
	}
	if h.dir != "" {
		os.RemoveAll(h.dir)
	}
}
