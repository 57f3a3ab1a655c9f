// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const maxConfig = 4 << 20 // bytes of a .config, or of a module that carries one

// readConfig returns the configuration of the running kernel and where it was
// read, from the first of these that has it: the kernel itself, the files that
// distributions install, the module `configs`, which is read and not loaded.
// Nil if there is none.
func readConfig(ctx context.Context, release string) (config map[string]string, source string) {
	if b, err := readConfigFile(ctx, "/proc/config.gz"); err == nil {
		if c, err := parseConfig(b); err == nil {
			return c, "/proc/config.gz"
		}
	}
	return configOf(ctx, release)
}

// configOf is readConfig for a kernel that need not run.
func configOf(ctx context.Context, release string) (config map[string]string, source string) {
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
		b, err := readConfigFile(ctx, path)
		if err != nil {
			continue
		}
		if c, err := parseConfig(b); err == nil {
			return c, path
		}
	}
	return nil, ""
}

// ReadConfigFile reads the configuration of a kernel from a .config, which may be compressed,
// or from an image that carries one.
func ReadConfigFile(ctx context.Context, path string) (map[string]string, error) {
	b, err := readConfigFile(ctx, path)
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
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

// parseConfig reads a .config: the symbols that are set, without CONFIG_, and
// their values as they stand there. A file without symbols is an error.
func parseConfig(b []byte) (map[string]string, error) {
	out := map[string]string{}
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 64<<10)
	for s.Scan() {
		line, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), "CONFIG_")
		if !ok {
			continue
		}
		sym, val, ok := strings.Cut(line, "=")
		if ok && sym != "" && val != "n" {
			out[sym] = val
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("no configuration")
	}
	return out, nil
}
