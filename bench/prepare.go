// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/iupkg/iupkg/signing"
)

// prepare makes the folder that the guest reads: the extensions below bench/ext,
// built as any other, signed by a key of this run; the baseline; the guest's own program.
func prepare(ctx context.Context, dir string) error {
	guest := filepath.Join(dir, "guest")
	if err := os.RemoveAll(guest); err != nil {
		return err
	}
	if err := os.MkdirAll(guest, 0o755); err != nil {
		return err
	}
	keys, err := signing.NewKeys("bench")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(guest, "cert.der"), keys.KernelCertificate.Raw, 0o644); err != nil {
		return err
	}
	projects, err := filepath.Glob(filepath.Join("bench", "ext", "*", "iupkg.toml"))
	if err != nil {
		return err
	}
	if len(projects) == 0 {
		return fmt.Errorf("no extensions in bench/ext: run this in the repository's root")
	}
	for _, p := range projects {
		if err := extension(ctx, keys, filepath.Dir(p), guest); err != nil {
			return err
		}
	}
	if err := command(ctx, "clang-22", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror",
		"-c", filepath.Join("bench", "ebpf", "baseline.bpf.c"), "-o", filepath.Join(guest, "baseline.o")); err != nil {
		return err
	}
	return command(ctx, "go", "build", "-trimpath", "-o", filepath.Join(guest, "guest"), "./bench/guest")
}

func extension(ctx context.Context, keys *signing.Keys, project, guest string) error {
	if err := command(ctx, filepath.Join("bin", "iupkg"), "build", project); err != nil {
		return err
	}
	name := "bench-" + filepath.Base(project)
	built := filepath.Join(project, "target", "iupkg")
	object, err := os.ReadFile(filepath.Join(built, name+".o"))
	if err != nil {
		return err
	}
	sig, err := keys.SignObject(object)
	if err != nil {
		return err
	}
	to := filepath.Join(guest, name)
	if err := os.WriteFile(to+".o", object, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(to+".p7s", sig, 0o644); err != nil {
		return err
	}
	return copyFile(filepath.Join(built, "manifest.json"), to+".json")
}

func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	// For go build: the guest has no C library that fits.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, out)
	}
	return nil
}
