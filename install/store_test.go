// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestStore(t *testing.T) {
	s := Open(t.TempDir()).Store
	data := []byte("bytes of an object")
	d := Digest(data)
	if s.Has(d) {
		t.Fatal("an empty store has a blob")
	}
	if _, err := s.Get(d); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("get of an absent blob: %v", err)
	}
	if err := s.Put(d, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(d)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("get: %q, %v", got, err)
	}
	blobs, err := s.List()
	if err != nil || len(blobs) != 1 || blobs[0] != (Blob{d, int64(len(data))}) {
		t.Fatalf("list: %v, %v", blobs, err)
	}
}

// Whatever goes wrong while a blob comes in, nothing of it stays.
func TestStorePutRefuses(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 100_000)
	d := Digest(data)
	flipped := bytes.Clone(data)
	flipped[77_777] ^= 1
	for name, r := range map[string]io.Reader{
		"flipped":   bytes.NewReader(flipped),
		"truncated": bytes.NewReader(data[:99_999]),
		"longer":    io.MultiReader(bytes.NewReader(data), strings.NewReader("y")),
		"broken":    io.MultiReader(bytes.NewReader(data[:50_000]), iotest.ErrReader(io.ErrUnexpectedEOF)),
	} {
		t.Run(name, func(t *testing.T) {
			s := Open(t.TempDir()).Store
			err := s.Put(d, r)
			var corrupt *CorruptBlob
			if err == nil || name != "broken" && !errors.As(err, &corrupt) {
				t.Fatalf("put: %v", err)
			}
			entries, err := os.ReadDir(filepath.Join(s.dir, "blobs", "sha256"))
			if err != nil || len(entries) != 0 {
				t.Fatalf("left behind: %v, %v", entries, err)
			}
		})
	}
	s := Open(t.TempDir()).Store
	for _, bad := range []string{"", "sha256:", "sha256:../../../etc/passwd", "sha512:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("A", 64)} {
		if err := s.Put(bad, strings.NewReader("")); err == nil || s.Has(bad) {
			t.Errorf("digest %q was taken", bad)
		}
	}
}

// A byte flipped on the disk is found at the next read, the file is set aside,
// and the blob can be put again.
func TestStoreQuarantine(t *testing.T) {
	s := Open(t.TempDir()).Store
	data := []byte("bytes of an object")
	d := Digest(data)
	if err := s.Put(d, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:"))
	bad := bytes.Clone(data)
	bad[3] ^= 0x20
	if err := os.WriteFile(path, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := s.Open(d)
	var corrupt *CorruptBlob
	if !errors.As(err, &corrupt) || corrupt.Digest != d || corrupt.Found != Digest(bad) {
		t.Fatalf("open: %v", err)
	}
	if kept, err := os.ReadFile(corrupt.Quarantine); err != nil || !bytes.Equal(kept, bad) {
		t.Fatalf("quarantine: %q, %v", kept, err)
	}
	if s.Has(d) {
		t.Fatal("the corrupt blob is still in the store")
	}
	if err := s.Put(d, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(d); err != nil {
		t.Fatal(err)
	}
}

func TestLock(t *testing.T) {
	r := Open(filepath.Join(t.TempDir(), "root"))
	l, err := r.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lock(); !errors.Is(err, ErrBusy) {
		t.Fatalf("second lock: %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	l, err = r.Lock()
	if err != nil {
		t.Fatal(err)
	}
	l.Unlock()
}

func TestGenerations(t *testing.T) {
	r := Open(t.TempDir())
	if g, err := r.Current(); err != nil || g.Number != 0 || len(g.Packages) != 0 {
		t.Fatalf("current of a new root: %v, %v", g, err)
	}
	l, err := r.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	var digests []string
	for i := range 3 {
		data := []byte{byte(i)}
		if err := r.Store.Put(Digest(data), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		d := Digest(data)
		digests = append(digests, d)
		n, err := r.nextNumber()
		if err != nil || n != i+1 {
			t.Fatalf("next number: %d, %v", n, err)
		}
		p := Package{Name: "bmc", Version: "1.0.0", Digest: d, Manifest: d, Object: d, KernelSig: d, Blobs: []string{d}}
		if err := r.commit(&Generation{Schema: schema, Number: n, Packages: []Package{p}}); err != nil {
			t.Fatal(err)
		}
		if g, err := r.Current(); err != nil || g.Number != n || g.Find("bmc").Digest != d || g.Find("bm") != nil {
			t.Fatalf("current: %v, %v", g, err)
		}
	}
	if h, err := r.History(); err != nil || len(h) != 3 || h[0].Number != 1 {
		t.Fatalf("history: %v, %v", h, err)
	}
	// The one in force is an old one: it stays, the other old one goes.
	if err := r.point(1); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		c, err := l.Collect(1, dry)
		if err != nil || len(c.Generations) != 1 || c.Generations[0] != 2 || len(c.Blobs) != 1 || c.Blobs[0].Digest != digests[1] {
			t.Fatalf("collect: %+v, %v", c, err)
		}
		if r.Store.Has(digests[1]) != dry {
			t.Fatal("dry run is not what it says")
		}
	}
	if !r.Store.Has(digests[0]) || !r.Store.Has(digests[2]) {
		t.Fatal("a blob in use was collected")
	}
}

func TestGenerationRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":   "",
		"torn":    `{"schema":1,"num`,
		"number":  `{"schema":1,"number":2,"time":"2026-01-01T00:00:00Z","did":"","kernel":"","packages":[]}`,
		"schema":  `{"schema":9,"number":1,"time":"2026-01-01T00:00:00Z","did":"","kernel":"","packages":[]}`,
		"unknown": `{"schema":1,"number":1,"x":1}`,
		"package": `{"schema":1,"number":1,"packages":[{"name":"../x","version":"1.0.0"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := Open(t.TempDir())
			if err := r.create(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.generationPath(1), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := r.point(1); err != nil {
				t.Fatal(err)
			}
			if g, err := r.Current(); err == nil {
				t.Fatalf("taken: %+v", g)
			}
		})
	}
}
