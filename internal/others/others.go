// SPDX-License-Identifier: Apache-2.0

// Package others finds the programs of other projects that tests run ours against.
package others

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Find looks for a program in PATH and in tools/ of iupkg's cache; without it, the test is
// skipped and says how to get it.
func Find(t testing.TB, name, install string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if cache, err := os.UserCacheDir(); err == nil {
		path := filepath.Join(cache, "iupkg", "tools", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skipf("%s is not there: %s", name, install)
	return ""
}

// Start runs a server until the test ends, and returns when it takes connections at addr.
func Start(t testing.TB, addr string, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		if ctx.Err() != nil {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("%s takes no connections at %s: %v\n%s", cmd.Path, addr, err, said)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// FreeAddr is an address of this machine that nobody listens at.
func FreeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
