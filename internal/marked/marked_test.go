// SPDX-License-Identifier: Apache-2.0

package marked

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	const doc = "# a\n<!-- x:begin -->\nold\n<!-- x:end -->\nrest <!-- y:begin -->\n"
	if err := os.WriteFile(file, []byte(doc), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time too
		if err := Write(file, "x", []byte("new\n")); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if want := "# a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nrest <!-- y:begin -->\n"; err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	for _, name := range []string{"y", "z"} {
		if err := Write(file, name, nil); err == nil {
			t.Errorf("%s has no end, or is not there", name)
		}
	}
}
