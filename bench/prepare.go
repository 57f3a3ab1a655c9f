// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path/filepath"

	"github.com/iupkg/iupkg/internal/sideload/pack"
)

// prepare makes the folder that the guest reads: the extensions below bench/ext,
// and one of the torture suite's, built as any other, signed by a key of this run; the baseline; the guest's own program.
func prepare(ctx context.Context, dir string) (*pack.Folder, error) {
	f, err := pack.New(filepath.Join(dir, "guest"))
	if err != nil {
		return nil, err
	}
	if err := f.Extensions(ctx, filepath.Join("bench", "ext")); err != nil {
		return nil, err
	}
	staged := filepath.Join(dir, "ext")
	if err := pack.Stage(filepath.Join("internal", "torture", "ext", "function"), filepath.Join(staged, "function")); err != nil {
		return nil, err
	}
	if err := f.Extensions(ctx, staged); err != nil {
		return nil, err
	}
	if err := pack.Command(ctx, "clang-22", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror",
		"-c", filepath.Join("bench", "ebpf", "baseline.bpf.c"), "-o", filepath.Join(f.Dir, "baseline.o")); err != nil {
		return nil, err
	}
	return f, f.Program(ctx, "./bench/guest")
}
