// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func layoutClient(t testing.TB, path string) *Client {
	t.Helper()
	c, err := Open(LayoutScheme+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A layout does what a registry does, and says the same after it was closed.
func TestLayout(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "layout")
	c := layoutClient(t, dir)
	d := push(t, c, testPackage(t, "bmc", "1.0.0"))
	const kind = "application/x-test"
	if err := c.Attach(ctx, "bmc", d, Attachment{MediaType: kind, ArtifactType: kind, Payload: []byte("a")}, Attachment{MediaType: kind, ArtifactType: "other/x", Payload: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	state, err := c.Index().Commit(ctx, "", "1", map[string][]byte{"timestamp.json": []byte("{}"), hashedName("targets/x.json", "x"): []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, tarOf(t, dir)} {
		c := layoutClient(t, path)
		f, err := c.Fetch(ctx, "bmc", d, newMemStore())
		if err != nil || f.Manifest.Version != "1.0.0" {
			t.Fatalf("%s: %+v, %v", path, f, err)
		}
		if got, err := c.Resolve(ctx, "bmc", "1.0.0"); err != nil || got != d {
			t.Errorf("%s: resolves to %s, %v", path, got, err)
		}
		if tags, err := c.Tags(ctx, "bmc"); err != nil || len(tags) != 1 || tags[0] != "1.0.0" {
			t.Errorf("%s: tags %q, %v", path, tags, err)
		}
		refs, err := c.Referrers(ctx, "bmc", d, kind)
		if err != nil || len(refs) != 1 || string(refs[0].Payload) != "a" {
			t.Errorf("%s: referrers %+v, %v", path, refs, err)
		}
		if head, err := c.Index().Head(ctx); err != nil || head != state {
			t.Errorf("%s: head %s, %v", path, head, err)
		}
		if b, err := c.Index().Get(ctx, state, hashedName("targets/x.json", "x"), 10); err != nil || string(b) != "x" {
			t.Errorf("%s: index file %q, %v", path, b, err)
		}
		if _, err := c.Fetch(ctx, "nix", "1.0.0", newMemStore()); KindOf(err) != NotFound {
			t.Errorf("%s: unknown package: %v", path, err)
		}
	}
	if _, err := layoutClient(t, tarOf(t, dir)).Push(ctx, testPackage(t, "bmc", "2.0.0")); err == nil {
		t.Error("a tar file was written to")
	}
}

// What is in a layout is believed as little as what a registry says.
func TestLayoutDamaged(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "layout")
	d := push(t, layoutClient(t, dir), testPackage(t, "bmc", "1.0.0"))
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(blobs) < 3 {
		t.Fatal(blobs, err)
	}
	for _, blob := range blobs {
		good, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		for what, bad := range map[string][]byte{
			"flipped": append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), "truncated": good[:len(good)-1], "longer": append(bytes.Clone(good), 0),
		} {
			if err := os.WriteFile(blob, bad, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := layoutClient(t, tarOf(t, dir)).Fetch(ctx, "bmc", d, newMemStore()); err == nil {
				t.Errorf("%s %s: fetched", what, blob)
			}
		}
		if err := os.WriteFile(blob, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := layoutClient(t, tarOf(t, dir)).Fetch(ctx, "bmc", d, newMemStore()); err != nil {
		t.Errorf("mended: %v", err)
	}
}

func FuzzOpenLayout(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "layout")
	c := layoutClient(f, dir)
	p := testPackage(f, "bmc", "1.0.0")
	// Small, so that what the fuzzer changes is mostly what is parsed.
	before, size := digestOf(p.Object), fmt.Sprint(len(p.Object))
	p.Object = []byte("\x7fELF")
	p.Manifest = []byte(strings.Replace(strings.Replace(string(p.Manifest), before, digestOf(p.Object), 1), size, "4", 1))
	push(f, c, p)
	good, err := os.ReadFile(tarOf(f, dir))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(strings.Repeat("\x00", 1024)))
	path := filepath.Join(f.TempDir(), "x.tar") // each process has its own
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Open(LayoutScheme+path, Options{})
		if err != nil {
			return
		}
		_, _ = c.Tags(t.Context(), "bmc")
		_, _ = c.Fetch(t.Context(), "bmc", "1.0.0", newMemStore())
	})
}

func hashedName(name, content string) string {
	at := strings.LastIndex(name, "/") + 1
	return name[:at] + strings.TrimPrefix(digestOf([]byte(content)), "sha256:") + "." + name[at:]
}

func tarOf(t testing.TB, dir string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "layout.tar")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
