// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

var agentOnce struct {
	sync.Mutex // guards bytes
	bytes      []byte
}

// agentBinary gives the guest's init: vm-agent of $IUPKG_LIBDIR or of lib/iupkg beside the program's bin folder; in a
// program run from source (a test, `go run`) it is built from source.
func agentBinary(ctx context.Context) ([]byte, error) {
	agentOnce.Lock()
	defer agentOnce.Unlock()
	if agentOnce.bytes != nil {
		return agentOnce.bytes, nil
	}
	var dirs []string
	if d := os.Getenv("IUPKG_LIBDIR"); d != "" {
		dirs = append(dirs, d)
	}
	if exe, err := os.Executable(); err == nil {
		if exe, err = filepath.EvalSymlinks(exe); err == nil {
			dirs = append(dirs, filepath.Join(filepath.Dir(exe), "..", "lib", "iupkg"))
		}
	}
	for _, d := range dirs {
		b, err := os.ReadFile(filepath.Join(d, "vm-agent"))
		if err == nil {
			agentOnce.bytes = b
			return b, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	_, self, _, _ := runtime.Caller(0)
	src := filepath.Join(filepath.Dir(self), "agent")
	if _, err := os.Stat(filepath.Join(src, "main.go")); err != nil {
		return nil, fmt.Errorf("no vm-agent in %v and no source to build it from; set IUPKG_LIBDIR", dirs)
	}
	b, err := buildAgent(ctx, src)
	if err == nil {
		agentOnce.bytes = b
	}
	return b, err
}

func buildAgent(ctx context.Context, src string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "iupkg-vm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "vm-agent")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, ".")
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=-buildvcs=false")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the agent: %w: %s", err, msg)
	}
	return os.ReadFile(out)
}
