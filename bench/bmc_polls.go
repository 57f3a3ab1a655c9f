// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/iupkg/iupkg/internal/sideload/pack"
)

// withoutPolls puts bmc into the folder once more, as bmc-without-polls: the same source, built by a pass
// that leaves out the polls that end loops. It is made for this alone, in dir.
func withoutPolls(ctx context.Context, guest *pack.Folder, dir string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
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
	project := filepath.Join(dir, "extensions", "bmc-without-polls")
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
		"CXXFLAGS=-O1 -DIU_BENCH_WITHOUT_POLLS"); err != nil {
		return err
	}
	return guest.Extension(ctx, iupkg, project)
}
