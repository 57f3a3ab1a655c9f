// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/internal/torture/wire"
	"github.com/iupkg/iupkg/kernel"
	"golang.org/x/sys/unix"
)

// mutantsOf is the extension whose image the mutated objects are passed for.
const mutantsOf = "count-1"

// mutantsCase tries mutated objects, each with a good signature, for the image of
// what they were made of. Their file names, N.WHAT.o, say what the checker's build for user space
// made of them: refused, other (an image that differs), same.
func mutantsCase(dir sideload.Folder) wire.Case {
	r := wire.Case{Property: "mutants", Context: "task", Hook: "load"}
	if err := mutants(dir, &r); err != nil {
		r.Wrong = err.Error()
	}
	return r
}

func mutants(dir sideload.Folder, r *wire.Case) error {
	files, err := filepath.Glob(dir.File("mutants/*.o"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%d mutants: %w", len(files), err)
	}
	spec, err := dir.Spec(mutantsOf)
	if err != nil {
		return err
	}
	object, err := kernel.ReadObject(spec.Object)
	if err != nil {
		return err
	}
	// Mapped and no more: an extension that was loaded once has maps and parameters in its data, and
	// everything would differ from that.
	module := kernel.ModuleName(spec.Manifest.Name, object.Digest)
	if err := insert(spec, module); err != nil {
		return err
	}
	defer unix.DeleteModule(module, unix.O_NONBLOCK)
	sections, err := kernel.SectionAddrs(module, object)
	if err != nil {
		return err
	}
	idle, err := objects()
	if err != nil {
		return err
	}
	passed := 0
	for _, file := range files {
		want := strings.Split(filepath.Base(file), ".")[1]
		mutant, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		sig, err := os.ReadFile(strings.TrimSuffix(file, ".o") + ".p7s")
		if err != nil {
			return err
		}
		d, err := kernel.OpenDevice()
		if err != nil {
			return err
		}
		_, err = d.Load(module, mutant, sig, sections)
		d.Close() // and with it what was loaded
		r.Runs++
		switch {
		case errors.Is(err, kernel.ErrNotTrustedByKernel):
			return fmt.Errorf("%s: %w", file, err)
		case err == nil && want != "same":
			return fmt.Errorf("%s passed for the image", filepath.Base(file))
		case err == nil:
			passed++
		}
		r.Survived++
	}
	// Of few it may be that none is the same; and the kernel has fewer symbols than the build for user space believes.
	if passed == 0 && len(files) > 100 || passed == len(files) {
		return fmt.Errorf("%d of %d passed: the others were not refused for what they are", passed, len(files))
	}
	left, err := objects()
	if err != nil {
		return err
	}
	if left > idle {
		r.Leaks = left - idle
		return fmt.Errorf("%d leaks", r.Leaks)
	}
	return nil
}
