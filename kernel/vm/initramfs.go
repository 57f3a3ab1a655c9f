// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/iupkg/iupkg/kernel/vm/wire"
)

// needed are the modules without which a machine is of no use; a kernel has some of them built in.
var needed = []string{"virtio_pci", "virtio_console", "overlay", "virtio_net"}

// Ways to get at the host's files, and the modules for each. 9P needs nothing but QEMU; Debian's cloud kernels are built
// without it.
var fileSystems = []struct {
	name    string
	modules []string
}{
	{"9p", []string{"9pnet_virtio", "9p"}},
	{"virtiofs", []string{"virtiofs"}},
}

// hostFS gives the first of fileSystems that a kernel has, and all modules to load, dependencies first.
func hostFS(k *Kernel) (fs string, files []string, err error) {
	var errs []error
	for _, f := range fileSystems {
		files, err := modulesFor(k.ModulesDir(), append(f.modules, needed...))
		if err == nil {
			return f.name, files, nil
		}
		errs = append(errs, err)
	}
	return "", nil, fmt.Errorf("kernel %s: %w", k.Release, errors.Join(errs...))
}

// modulesFor gives the files to load, dependencies first, relative to the modules folder.
func modulesFor(dir string, names []string) ([]string, error) {
	deps := map[string][]string{}
	path := map[string]string{}
	err := eachLine(filepath.Join(dir, "modules.dep"), func(line string) {
		file, rest, ok := strings.Cut(line, ":")
		if !ok {
			return
		}
		path[moduleName(file)] = file
		deps[file] = strings.Fields(rest)
	})
	if err != nil {
		return nil, err
	}
	builtin := map[string]bool{}
	if err := eachLine(filepath.Join(dir, "modules.builtin"), func(line string) { builtin[moduleName(line)] = true }); err != nil {
		return nil, err
	}
	var order []string
	seen := map[string]bool{}
	var add func(file string)
	add = func(file string) {
		if seen[file] {
			return
		}
		seen[file] = true
		// depmod lists all dependencies of a module, the ones to load first at the end.
		for i := len(deps[file]) - 1; i >= 0; i-- {
			add(deps[file][i])
		}
		order = append(order, file)
	}
	for _, n := range names {
		switch file, ok := path[n]; {
		case ok:
			add(file)
		case !builtin[n]:
			return nil, fmt.Errorf("this kernel has no module %s, and not built in either", n)
		}
	}
	return order, nil
}

// moduleName is the name that the kernel gives a module file: kernel/fs/9p/9p.ko.xz is 9p, a-b.ko is a_b.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

func eachLine(file string, do func(string)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		do(sc.Text())
	}
	return sc.Err()
}

// readModule gives a module's ELF file. The kernel could decompress it, but not every kernel that we boot.
func readModule(ctx context.Context, path string) ([]byte, error) {
	var tool string
	switch filepath.Ext(path) {
	case ".ko":
		return os.ReadFile(path)
	case ".xz":
		tool = "xz"
	case ".zst":
		tool = "zstd"
	default:
		return nil, fmt.Errorf("%s: unknown compression", path)
	}
	cmd := exec.CommandContext(ctx, tool, "-dc", path)
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", tool, path, err)
	}
	return b, nil
}

// writeInitramfs writes the archive that a machine boots from: the agent as /init, modules, /boot.json.
func writeInitramfs(ctx context.Context, w io.Writer, k *Kernel, agent []byte, files []string, boot wire.Boot) error {
	c := &cpioWriter{w: w}
	for _, d := range []string{"dev", "proc", "sys", "modules"} {
		c.dir(d)
	}
	// Before devtmpfs is mounted the kernel wants a console to give to init.
	c.device("dev/console", 0o600, 5, 1)
	for i, f := range files {
		b, err := cachedModule(ctx, k, f)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("modules/%02d-%s.ko", i, moduleName(f))
		c.file(name, 0o644, b)
		boot.Modules = append(boot.Modules, "/"+name)
	}
	b, err := json.Marshal(boot)
	if err != nil {
		return err
	}
	c.file("boot.json", 0o644, b)
	c.file("init", 0o755, agent)
	return c.close()
}

// cachedModule keeps decompressed modules beside the kernel: every boot needs the same few.
func cachedModule(ctx context.Context, k *Kernel, file string) ([]byte, error) {
	src := filepath.Join(k.ModulesDir(), file)
	if filepath.Ext(file) == ".ko" {
		return os.ReadFile(src)
	}
	if k.Dir == "/" { // the machine's own, whose modules may change under their names
		return readModule(ctx, src)
	}
	dir := filepath.Join(k.Dir, "plain")
	kept := filepath.Join(dir, moduleName(file)+".ko")
	if b, err := os.ReadFile(kept); err == nil {
		return b, nil
	}
	b, err := readModule(ctx, src)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return b, os.Rename(tmp.Name(), kept)
}

// cpioWriter writes an archive in the "newc" format, see buffer-format.rst in the kernel's documentation. The first error sticks.
type cpioWriter struct {
	w   io.Writer
	ino int
	err error
}

func (c *cpioWriter) dir(name string) { c.entry(name, 0o040755, 0, 0, nil) }

func (c *cpioWriter) file(name string, perm int, data []byte) {
	c.entry(name, 0o100000|perm, 0, 0, data)
}

func (c *cpioWriter) device(name string, perm, major, minor int) {
	c.entry(name, 0o020000|perm, major, minor, nil)
}

func (c *cpioWriter) close() error {
	c.entry("TRAILER!!!", 0, 0, 0, nil)
	return c.err
}

func (c *cpioWriter) entry(name string, mode, major, minor int, data []byte) {
	c.ino++
	var b bytes.Buffer
	fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
	pad(&b)
	c.write(b.Bytes())
	c.write(data)
	if n := len(data) % 4; n != 0 {
		c.write(make([]byte, 4-n))
	}
}

func (c *cpioWriter) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
