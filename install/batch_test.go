// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Blobs of a batch can be read before they have their names, get them together, and
// leave nothing if they do not.
func TestBatch(t *testing.T) {
	dir := t.TempDir()
	var told []string
	s := &Store{dir: dir, batch: &batch{files: map[string]string{}}, onPut: func(d string) { told = append(told, d) }}
	outside := &Store{dir: dir}
	put := func(text string) string {
		t.Helper()
		d, err := s.Add([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	names := func() int {
		list, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range list {
			n++
			if strings.HasPrefix(e.Name(), ".tmp-") {
				n += 100
			}
		}
		return n
	}
	a, b := put("a"), put("b")
	if put("a") != a || !s.Has(a) || outside.Has(a) || len(told) != 0 {
		t.Errorf("in a batch: has %v, from outside %v, told %d", s.Has(a), outside.Has(a), len(told))
	}
	if data, err := s.Get(b); err != nil || string(data) != "b" {
		t.Errorf("%q, %v", data, err)
	}
	if err := s.Put(Digest([]byte("c")), strings.NewReader("not c")); err == nil {
		t.Error("wrong bytes were taken")
	}
	if err := s.settle(); err != nil {
		t.Fatal(err)
	}
	if !outside.Has(a) || !outside.Has(b) || len(told) != 2 || names() != 2 {
		t.Errorf("settled: %v %v, told %d, %d files", outside.Has(a), outside.Has(b), len(told), names())
	}
	put("d")
	if err := s.batch.drop(); err != nil || names() != 2 || s.Has(Digest([]byte("d"))) {
		t.Errorf("dropped: %v, %d files", err, names())
	}
}
