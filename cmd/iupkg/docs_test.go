// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
)

//go:generate go test -run ^TestReference$ . -update-docs

// The reference in docs/reference is what the commands say of themselves.
func TestReference(t *testing.T) {
	const committed = "../../docs/reference"
	dir := t.TempDir()
	if *updateDocs {
		if err := os.RemoveAll(committed); err != nil {
			t.Fatal(err)
		}
		dir = committed
	}
	if code := run(context.Background(), []string{"docs", dir, "--format", "markdown", "--quiet"}, nil, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	made, there := pages(t, dir), pages(t, committed)
	for name, text := range made {
		if there[name] != text {
			t.Errorf("docs/reference/%s is not what iupkg docs writes: make gen", name)
		}
	}
	for name := range there {
		if _, ok := made[name]; !ok {
			t.Errorf("docs/reference/%s is of no command: make gen", name)
		}
	}
}

func pages(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = string(b)
	}
	return out
}
