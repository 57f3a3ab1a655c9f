// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

var _ index.Remote = (*registry.IndexStore)(nil)

// The index in a real registry, with publishers that get in each other's way.
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
	ref := "http://" + (<-ready).String() + "/some/prefix"
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
