// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/internal/others"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

var _ index.Remote = (*registry.IndexStore)(nil)

// The index in the embedded registry, with publishers that get in each other's way.
func TestInARegistry(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan net.Addr, 1)
	done := make(chan error, 1)
	go func() {
		done <- registry.Serve(ctx, registry.ServeOptions{Dir: t.TempDir(), Addr: "127.0.0.1:0", Ready: func(a net.Addr) { ready <- a }})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	inARegistry(t, "http://"+(<-ready).String()+"/some/prefix")
}

// TestInZot does the same in zot, and what a package needs beside.
func TestInZot(t *testing.T) {
	zot := others.Find(t, "zot", "build cmd/zot of https://github.com/project-zot/zot v2.1.9 into ~/.cache/iupkg/tools")
	addr := others.FreeAddr(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.json")
	text := fmt.Sprintf(`{"storage":{"rootDirectory":%q,"gc":false},"http":{"address":%q,"port":%q},"log":{"level":"error"}}`, t.TempDir(), host, port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	others.Start(t, addr, exec.CommandContext(t.Context(), zot, "serve", config))
	ref := "http://" + addr + "/some/prefix"
	t.Run("index", func(t *testing.T) { inARegistry(t, ref) })
	t.Run("package", func(t *testing.T) { packageIn(t, ref) })
}

// packageIn publishes a package with a signature, and fetches both.
func packageIn(t *testing.T, ref string) {
	ctx := t.Context()
	c, err := registry.Open(ref, registry.Options{Anonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signing.NewKeys("acme")
	if err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	var pkgs []*registry.Package
	for _, config := range []string{"NUMA!=n", "!(NUMA!=n)"} {
		object := []byte("\x7fELF " + config)
		m := &manifest.Manifest{
			Schema: 1, Name: "bmc", Version: "1.0.0", License: "Apache-2.0", Arch: "amd64",
			Object:    manifest.Object{Digest: sum(object), Size: int64(len(object))},
			Requires:  manifest.Requirements{Config: []string{config}, Hooks: []manifest.Hook{manifest.HookXDP}, ABI: 1},
			Programs:  []manifest.Program{{Name: "main", Hook: manifest.HookXDP, OnFault: "pass"}},
			Toolchain: manifest.Toolchain{Rustc: "1.96.0", LLVM: "22.1.8", IU: "0.1"},
		}
		text, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		sig, err := keys.SignObject(object)
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, &registry.Package{Manifest: text, Object: object, KernelSig: sig})
	}
	v, err := c.PushVariants(ctx, pkgs)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := keys.SignStatement(&signing.Statement{Digest: v.Digests()[1], Predicate: signing.Predicate{Name: "bmc", Version: "1.0.0", Object: sum(pkgs[1].Object)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Attach(ctx, "bmc", v.Digests()[1], registry.Attachment{MediaType: signing.BundleMediaType, ArtifactType: signing.BundleMediaType, Payload: bundle}); err != nil {
		t.Fatal(err)
	}
	if _, list, err := c.FetchVariants(ctx, "bmc", v.Digest()); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	refs, err := c.Referrers(ctx, "bmc", v.Digests()[1], signing.BundleMediaType)
	if err != nil || len(refs) != 1 || !bytes.Equal(refs[0].Payload, bundle) {
		t.Errorf("%d referrers, %v", len(refs), err)
	}
	store := blobs{}
	f, err := c.Fetch(ctx, "bmc", v.Digests()[1], store)
	if err != nil || !bytes.Equal(store[f.Object], pkgs[1].Object) {
		t.Errorf("%+v, %v", f, err)
	}
}

// blobs is a store in memory.
type blobs map[string][]byte

var blobsLock sync.Mutex

func (s blobs) Has(d string) bool {
	blobsLock.Lock()
	defer blobsLock.Unlock()
	return s[d] != nil
}

func (s blobs) Open(d string) (io.ReadCloser, error) {
	blobsLock.Lock()
	defer blobsLock.Unlock()
	return io.NopCloser(bytes.NewReader(s[d])), nil
}

func (s blobs) Put(d string, r io.Reader) error {
	b, err := io.ReadAll(r)
	blobsLock.Lock()
	defer blobsLock.Unlock()
	s[d] = b
	return err
}

// inARegistry publishes an index from several machines at once, and reads it.
func inARegistry(t *testing.T, ref string) {
	ctx := t.Context()
	remote := func() index.Remote {
		c, err := registry.Open(ref, registry.Options{Anonymous: true})
		if err != nil {
			t.Fatal(err)
		}
		return c.Index()
	}
	keys, err := signing.NewKeys("acme")
	if err != nil {
		t.Fatal(err)
	}
	if keys.IndexRoot, err = index.NewRoot(keys); err != nil {
		t.Fatal(err)
	}
	entry := func(name, version string) index.Entry {
		return index.Entry{Name: name, License: "Apache-2.0", Version: index.Version{
			Version: version, Digest: "sha256:" + strings.Repeat("0", 64),
			Requires: manifest.Requirements{Hooks: []manifest.Hook{manifest.HookTC}, ABI: 1},
		}}
	}
	var wg sync.WaitGroup
	for i := range 3 {
		r := remote()
		wg.Go(func() {
			for j := range 2 {
				if err := index.Publish(ctx, r, keys, entry("bmc", fmt.Sprintf("%d.%d.0", i, j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	dir := t.TempDir()
	r := remote()
	if _, err := index.Sync(ctx, r, dir, keys.IndexRoot); err != nil {
		t.Fatal(err)
	}
	if err := index.Publish(ctx, remote(), keys, entry("other", "1.0.0")); err != nil {
		t.Fatal(err)
	}
	res, err := index.Sync(ctx, r, dir, keys.IndexRoot)
	if err != nil || res.Changed != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	x, err := index.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	vs, err := x.Versions("bmc")
	if err != nil || len(vs) != 6 {
		t.Errorf("%d versions, %v", len(vs), err)
	}
	if hits, err := x.Search("tc"); err != nil || len(hits) != 2 {
		t.Errorf("%v, %v", hits, err)
	}
}
