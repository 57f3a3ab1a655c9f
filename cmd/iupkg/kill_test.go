// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

// A publish that is killed before one of its requests that change something, by
// SIGKILL, leaves a registry that shows the old state or the new one, whole; and doing
// it again completes it.
func TestKilledPublish(t *testing.T) {
	l, err := theLab()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "iupkg")
	if err := os.Symlink(self, bin); err != nil { // what testscript.Main runs as the program
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys")
	if err := signing.SaveKeys(filepath.Join(keys, "alice"), l.alice, nil); err != nil {
		t.Fatal(err)
	}
	pkg, m, err := extPackage("1.3.0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "target", "iupkg")
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"ext.o": pkg.Object, "manifest.json": pkg.Manifest} {
		if err := os.WriteFile(filepath.Join(out, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	step := 3 // every third of some thirty
	if testing.Short() {
		step = 7
	}
	old, renewed := 0, 0
	for at := 1; ; at += step {
		store := t.TempDir()
		if err := os.CopyFS(store, os.DirFS(l.store)); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ref, done, err := serveStore(ctx, store)
		if err != nil {
			t.Fatal(err)
		}
		target, err := url.Parse(ref)
		if err != nil {
			t.Fatal(err)
		}
		target.Path = ""
		next := httputil.NewSingleHostReverseProxy(target)
		var writes, killed atomic.Int64
		var victim atomic.Pointer[os.Process]
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead && writes.Add(1) == int64(at) {
				if p := victim.Load(); p != nil {
					killed.Add(1)
					_ = p.Kill()
				}
				panic(http.ErrAbortHandler)
			}
			if killed.Load() > 0 {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		}))
		publish := func(ref string) (*exec.Cmd, *strings.Builder) {
			cmd := exec.Command(bin, "--root", filepath.Join(store, "root"), "--registry", ref, "publish", dir, "--no-build")
			cmd.Env = []string{"HOME=" + dir, "IUPKG_KEYS=" + keys, "PATH=" + os.Getenv("PATH")}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			return cmd, &stderr
		}
		cmd, stderr := publish(proxy.URL + "/test")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		victim.Store(cmd.Process)
		err = cmd.Wait()
		proxy.Close()
		if killed.Load() == 0 && err != nil {
			t.Fatalf("write %d: %v\n%s", at, err, stderr)
		}
		// What a machine sees that comes now.
		client, e := registry.Open(ref, registry.Options{Anonymous: true})
		if e != nil {
			t.Fatal(e)
		}
		see := func() []index.Version {
			t.Helper()
			dir := t.TempDir()
			if _, err := index.Sync(ctx, client.Index(), dir, l.alice.IndexRoot); err != nil {
				t.Fatalf("write %d: %v", at, err)
			}
			x, err := index.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			versions, err := x.Versions("ext")
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range versions {
				refs, err := client.Referrers(ctx, "ext", v.Digest, signing.BundleMediaType)
				if err != nil || len(refs) == 0 {
					t.Errorf("write %d: %s is listed and has no signature: %v", at, v.Version, err)
				}
			}
			return versions
		}
		switch got := see(); {
		case len(got) == 3:
			old++
		case len(got) == 4 && got[3].Version == m.Version:
			renewed++
		default:
			t.Errorf("write %d: versions are %v", at, got)
		}
		if killed.Load() > 0 {
			again, stderr := publish(ref)
			if err := again.Run(); err != nil {
				t.Errorf("write %d, again: %v\n%s", at, err, stderr)
			}
			if got := see(); len(got) != 4 {
				t.Errorf("write %d, again: versions are %v", at, got)
			}
		}
		stop()
		done()
		if killed.Load() == 0 {
			break
		}
	}
	if old == 0 || renewed == 0 {
		t.Errorf("the old state was seen %d times, the new %d times", old, renewed)
	}
	t.Logf("killed before each of its writes: %d times the old state, %d times the new", old, renewed)
}
