// SPDX-License-Identifier: Apache-2.0

//go:build s3

package index_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/internal/others"
	"github.com/iupkg/iupkg/registry"
)

// TestInS3 has the embedded registry keep everything in a bucket of an S3 server.
func TestInS3(t *testing.T) {
	gateway := others.Find(t, "versitygw", "GOBIN=~/.cache/iupkg/tools go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	addr, dir := others.FreeAddr(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "packages"), 0o755); err != nil { // a bucket
		t.Fatal(err)
	}
	others.Start(t, addr, exec.CommandContext(t.Context(), gateway, "--access", "alice", "--secret", "not-so-secret", "--port", addr, "posix", "--sidecar", t.TempDir(), dir))
	t.Setenv("AWS_ACCESS_KEY_ID", "alice")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not-so-secret")
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	var log strings.Builder
	go func() {
		done <- registry.Serve(ctx, registry.ServeOptions{Dir: "s3://packages/prod", S3Endpoint: "http://" + addr, S3Region: "us-east-1",
			Addr: "127.0.0.1:0", Log: &log, Ready: func(a net.Addr) { ready <- a }})
	}()
	select {
	case a := <-ready:
		ref := "http://" + a.String() + "/some/prefix"
		t.Run("index", func(t *testing.T) { inARegistry(t, ref) })
		t.Run("package", func(t *testing.T) { packageIn(t, ref) })
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	case err := <-done:
		t.Error(err)
	}
	cancel()
	if t.Failed() {
		t.Log(log.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "packages", "prod", "docker", "registry", "v2", "repositories", "some")); err != nil {
		t.Errorf("nothing is in the bucket: %v", err)
	}
}
