// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/iupkg/iupkg/bench/bmc/frames"
	"github.com/iupkg/iupkg/internal/sideload/pack"
)

// without puts bmc into the folder once more for each mechanism, as frames.Without names it: the same source,
// built by a pass that leaves the mechanism out. It is made for this alone, in dir.
func without(ctx context.Context, guest *pack.Folder, dir string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for _, m := range frames.Mechanisms {
		if err := withoutOne(ctx, guest, root, filepath.Join(dir, m.Name), m); err != nil {
			return err
		}
	}
	return nil
}

func withoutOne(ctx context.Context, guest *pack.Folder, root, dir string, m frames.Mechanism) error {
	lib := filepath.Join(dir, "lib", "iupkg")
	for _, d := range []string{filepath.Join(dir, "bin"), filepath.Join(lib, "llvm"), filepath.Join(dir, "extensions")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	iupkg := filepath.Join(dir, "bin", "iupkg")
	program, err := os.ReadFile(filepath.Join("bin", "iupkg"))
	if err != nil {
		return err
	}
	project := filepath.Join(dir, "extensions", frames.Without(m))
	err = errors.Join(
		os.WriteFile(iupkg, program, 0o755),
		os.Symlink(filepath.Join(root, "lib", "iupkg", "crate"), filepath.Join(lib, "crate")),
		os.Symlink(filepath.Join(root, "runtime-crate"), filepath.Join(dir, "runtime-crate")),
		os.CopyFS(filepath.Join(project, "src"), os.DirFS(filepath.Join(bmcProject, "src"))),
	)
	for _, name := range []string{"Cargo.toml", "Cargo.lock", "iupkg.toml"} {
		b, readErr := os.ReadFile(filepath.Join(bmcProject, name))
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(project, name), b, 0o644))
	}
	if err != nil {
		return err
	}
	if err := pack.Command(ctx, "make", "-C", "llvm", "OUT="+filepath.Join(lib, "llvm"), "OBJ="+filepath.Join(dir, "llvm"),
		"CXXFLAGS=-O1 -D"+m.Define); err != nil {
		return err
	}
	return guest.Extension(ctx, iupkg, project)
}
