// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// mutants tries to pass changed objects, properly signed, for the image of the
// one they were made of. Their file names say what the checker's build for user
// space made of them.
func (g *guest) mutants(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(g.dir, "mutants", "*.o"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d mutants: %v", len(files), err)
	}
	spec := g.spec(t, "1.0.0")
	p, err := spec.plan()
	if err != nil {
		t.Fatal(err)
	}
	if err := insertModule(p.module, p.wrapper); err != nil {
		t.Fatal(err)
	}
	sections, err := SectionAddrs(p.module, p.object)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, file := range files {
		want := strings.Split(filepath.Base(file), ".")[1]
		rel, _ := filepath.Rel(g.dir, file)
		d, err := OpenDevice()
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Load(p.module, g.file(t, rel), g.file(t, strings.TrimSuffix(rel, ".o")+".p7s"), sections)
		d.Close() // and with it what was loaded
		switch {
		case errors.Is(err, ErrNotTrustedByKernel):
			t.Errorf("%s: %v", rel, err)
		case err == nil && want != "same":
			t.Errorf("%s passed for the image", rel)
		case err == nil:
			counts["passed"]++
		}
		counts[want]++
	}
	// Not all of the same: the kernel has fewer symbols than the build for user space believes.
	t.Logf("%v", counts)
	if counts["passed"] == 0 {
		t.Error("none passed, so the others were not refused for what they are")
	}
	if err := removeModule(t.Context(), p.module); err != nil {
		t.Fatal(err)
	}
	same(t, g.before)
}
