// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// llvmMajor is the LLVM that the pass plugin is built for; rustc's own must be
// the same, or its bitcode might not be understood.
const llvmMajor = 22

// tools are the programs that are run, by absolute path: another toolchain in
// PATH must not get in.
type tools struct {
	rustc, cargo string
	llvm         string // folder of opt, llc, …
	rustSource   string // library/ of the compiler's own sources

	rustcVersion string // output of rustc -vV
	release      string // 1.96.0
	llvmVersion  string // 22.1.8
}

var findTools = sync.OnceValues(func() (*tools, error) {
	t := &tools{
		rustc: "/usr/bin/rustc",
		cargo: "/usr/bin/cargo",
		llvm:  "/usr/lib/llvm-" + strconv.Itoa(llvmMajor) + "/bin",
	}
	for _, f := range []struct{ path, pkg string }{
		{t.rustc, "rustc-web"},
		{t.cargo, "cargo-web"},
		{filepath.Join(t.llvm, "opt"), "llvm-22"},
		{filepath.Join(t.llvm, "llc"), "llvm-22"},
		{filepath.Join(t.llvm, "llvm-link"), "llvm-22"},
		{filepath.Join(t.llvm, "llvm-objcopy"), "llvm-22"},
	} {
		if _, err := os.Stat(f.path); err != nil {
			return nil, &MissingError{f.path, f.pkg}
		}
	}
	out, err := exec.Command(t.rustc, "-vV").Output()
	if err != nil {
		return nil, fmt.Errorf("%s -vV: %w", t.rustc, err)
	}
	t.rustcVersion = string(out)
	for line := range strings.Lines(t.rustcVersion) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "release":
			t.release = value
		case "LLVM version":
			t.llvmVersion = value
		}
	}
	if major, _, _ := strings.Cut(t.llvmVersion, "."); major != strconv.Itoa(llvmMajor) {
		return nil, fmt.Errorf("%s has LLVM %s, the pass needs %d", t.rustc, t.llvmVersion, llvmMajor)
	}
	out, err = exec.Command(t.rustc, "--print", "sysroot").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --print sysroot: %w", t.rustc, err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "lib/rustlib/src/rust/library")
	if t.rustSource, err = filepath.EvalSymlinks(src); err != nil {
		return nil, &MissingError{src, "rust-web-src"}
	}
	return t, nil
})

// command is one run of a tool. What it says goes to log; if that is nil, it is
// kept for the error.
type command struct {
	path string
	args []string
	dir  string
	env  []string // added to the environment
	log  io.Writer
}

func (c command) run(ctx context.Context) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append(cleanEnv(), c.env...)
	var out, said bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = c.log
	if c.log == nil {
		cmd.Stderr = &said
	}
	// cargo is asked to stop, so that it does not leave compilers behind.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return out.Bytes(), &toolError{filepath.Base(c.path), err, strings.TrimSpace(said.String())}
	}
	return out.Bytes(), nil
}

type toolError struct {
	tool string
	err  error
	said string
}

func (e *toolError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("%s: %v", e.tool, e.err)
	}
	return fmt.Sprintf("%s: %s", e.tool, e.said)
}

func (e *toolError) Unwrap() error { return e.err }

// keptEnv are the variables that tools may see: where things are and how to reach a
// registry. No other can change what they do, or get into an object by env!.
var keptEnv = []string{"HOME", "PATH", "USER", "LOGNAME", "LANG", "TERM", "NO_COLOR", "TMPDIR", "XDG_CACHE_HOME",
	"CARGO_HOME", "CARGO_NET_OFFLINE", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"}

// Where crates come from is the machine's affair: their checksums are known.
var keptEnvPrefixes = []string{"CARGO_HTTP_", "CARGO_REGISTRIES_", "CARGO_SOURCE_", "LC_"}

// cleanEnv is the environment without what changes what cargo and rustc do.
func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if slices.Contains(keptEnv, name) || slices.ContainsFunc(keptEnvPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			env = append(env, v)
		}
	}
	return env
}

// lockFile takes an exclusive lock on path, which is made, until unlock.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() {
		for {
			err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
			if !errors.Is(err, syscall.EINTR) {
				done <- err
				return
			}
		}
	}()
	select {
	case err := <-done:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: lock: %w", path, err)
		}
		return func() { f.Close() }, nil
	case <-ctx.Done():
		// The goroutine ends when whoever holds the lock lets go.
		go func() { <-done; f.Close() }()
		return nil, ctx.Err()
	}
}

// writeFile replaces a file durably.
func writeFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func hashOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
