// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

const maxConfig = 4 << 20 // bytes of a .config, or of a module that carries one

// readConfig returns the configuration of the running kernel and where it was
// read, from the first of these that has it: the kernel itself, the files that
// distributions install, the module `configs`, which is read and not loaded.
// Nil if there is none.
func readConfig(ctx context.Context, release string) (config kconfig, source string) {
	const own = "/proc/config.gz"
	if c, err := readKconfig(ctx, own); err == nil {
		return c, own
	}
	return configOf(ctx, release)
}

// configOf is readConfig for a kernel that need not run.
func configOf(ctx context.Context, release string) (config kconfig, source string) {
	modules := filepath.Join("/lib/modules", release)
	for _, path := range []string{
		"/boot/config-" + release,
		filepath.Join(modules, "config"),
		filepath.Join(modules, "build/.config"),
		filepath.Join(modules, "kernel/kernel/configs.ko"),
		filepath.Join(modules, "kernel/kernel/configs.ko.gz"),
		filepath.Join(modules, "kernel/kernel/configs.ko.xz"),
		filepath.Join(modules, "kernel/kernel/configs.ko.zst"),
	} {
		if c, err := readKconfig(ctx, path); err == nil {
			return c, path
		}
	}
	return nil, ""
}

// ReadConfigFile reads the configuration of a kernel from a .config, which may be compressed,
// or from an image that carries one.
func ReadConfigFile(ctx context.Context, path string) (map[string]string, error) {
	c, err := readKconfig(ctx, path)
	if err != nil {
		return nil, err
	}
	return c.all(), nil
}

func readKconfig(ctx context.Context, path string) (kconfig, error) {
	b, err := readConfigFile(ctx, path)
	if err != nil {
		return nil, err
	}
	c := kconfig(b)
	for range c.symbols {
		return c, nil
	}
	return nil, fmt.Errorf("%s: no configuration", path)
}

func readConfigFile(ctx context.Context, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readLimited(f)
	if err != nil {
		return nil, err
	}
	switch filepath.Ext(path) {
	case ".gz":
		b, err = gunzip(b)
	case ".xz", ".zst":
		// The tools that a kernel with such modules needs anyway.
		tool := map[string]string{".xz": "xz", ".zst": "zstd"}[filepath.Ext(path)]
		cmd := exec.CommandContext(ctx, tool, "-dc")
		cmd.Stdin = bytes.NewReader(b)
		b, err = cmd.Output()
	}
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(b, []byte("\x7fELF")) {
		return ikconfig(b)
	}
	return b, nil
}

func readLimited(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err == nil && len(b) > maxConfig {
		err = fmt.Errorf("more than %d bytes", maxConfig)
	}
	return b, err
}

func gunzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return readLimited(z)
}

// ikconfig takes the gzipped .config out of the image that carries it between
// two marks (kernel/configs.c).
func ikconfig(b []byte) ([]byte, error) {
	_, b, ok := bytes.Cut(b, []byte("IKCFG_ST"))
	if !ok {
		return nil, errors.New("no configuration in it")
	}
	b, _, ok = bytes.Cut(b, []byte("IKCFG_ED"))
	if !ok {
		return nil, errors.New("its configuration has no end")
	}
	return gunzip(b)
}

// kconfig is the text of a .config: to look a few symbols up takes far less than to
// read all of it. Nil: there is none.
type kconfig []byte

// setting is what a line sets, without CONFIG_.
func setting(line []byte) (sym, val []byte, ok bool) {
	line, ok = bytes.CutPrefix(bytes.TrimSpace(line), []byte("CONFIG_"))
	if !ok {
		return nil, nil, false
	}
	sym, val, ok = bytes.Cut(line, []byte("="))
	return sym, val, ok && len(sym) > 0 && string(val) != "n"
}

// symbols goes through the symbols that are set and their values as they stand there.
func (c kconfig) symbols(yield func(sym, val string) bool) {
	for line := range bytes.Lines(c) {
		if sym, val, ok := setting(line); ok && !yield(string(sym), string(val)) {
			return
		}
	}
}

// all is what symbols goes through; nil if there is no text.
func (c kconfig) all() map[string]string {
	if c == nil {
		return nil
	}
	out := map[string]string{}
	for sym, val := range c.symbols {
		out[sym] = val
	}
	return out
}

// lookup is a manifest.ConfigLookup.
func (c kconfig) lookup(sym string) (val string, known bool) {
	if c == nil {
		return "", false
	}
	val = "n"
	for rest := []byte(c); ; {
		at := bytes.Index(rest, []byte("CONFIG_"+sym+"="))
		if at < 0 {
			return val, true
		}
		line := rest[bytes.LastIndexByte(rest[:at], '\n')+1:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line, rest = line[:end], line[end:]
		} else {
			rest = nil
		}
		if s, v, ok := setting(line); ok && string(s) == sym {
			if val = string(v); val == "" {
				val = "n"
			}
		}
	}
}
