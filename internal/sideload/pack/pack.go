// SPDX-License-Identifier: Apache-2.0

// Package pack makes the folder that package sideload loads from. Like all that
// starts from sources it runs in the repository's root, after make build.
package pack

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/signing"
)

// Folder is one in the making, signed with a key of its own.
type Folder struct {
	Dir  string
	keys *signing.Keys
}

// New makes an empty folder; what was there is removed.
func New(dir string) (*Folder, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	keys, err := signing.NewKeys("sideload")
	if err != nil {
		return nil, err
	}
	return &Folder{Dir: dir, keys: keys}, os.WriteFile(filepath.Join(dir, "cert.der"), keys.KernelCertificate.Raw, 0o644)
}

// Open is a folder that New made in an earlier run. Nothing more can be signed.
func Open(dir string) (*Folder, error) {
	_, err := os.Stat(filepath.Join(dir, "cert.der"))
	return &Folder{Dir: dir}, err
}

// Stage copies the sources of extensions that have something in common, which is a link
// there: a project is built from its own folder alone. Put them as deep below the root as they were, for the
// path to the crate. What was there is removed.
func Stage(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out := filepath.Join(to, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
			return err
		}
		return os.WriteFile(out, b, 0o644)
	})
}

// Module builds iu_torture.ko for a kernel, whose image it is given, in a folder below dir, and puts it in.
func (f *Folder) Module(ctx context.Context, release, image, dir string) error {
	built := filepath.Join(dir, release)
	if err := Command(ctx, filepath.Join("kernel", "module", "build.sh"), release, "/usr/src/linux-headers-"+release, image,
		built, filepath.Join("kernel", "module", "torture"), "iu_torture"); err != nil {
		return err
	}
	return f.Copy(filepath.Join(built, "iu_torture.ko"))
}

// Extensions builds every project below a folder as iupkg build does, and signs it.
func (f *Folder) Extensions(ctx context.Context, parent string) error {
	projects, err := filepath.Glob(filepath.Join(parent, "*", "iupkg.toml"))
	if err != nil {
		return err
	}
	if len(projects) == 0 {
		return fmt.Errorf("no extensions in %s: run this in the repository's root", parent)
	}
	for _, p := range projects {
		if err := f.Extension(ctx, filepath.Join("bin", "iupkg"), filepath.Dir(p)); err != nil {
			return err
		}
	}
	return nil
}

// Extension builds one project with this iupkg, and signs it.
func (f *Folder) Extension(ctx context.Context, iupkg, project string) error {
	if err := Command(ctx, iupkg, "build", project); err != nil {
		return err
	}
	built := filepath.Join(project, "target", "iupkg")
	text, err := os.ReadFile(filepath.Join(built, "manifest.json"))
	if err != nil {
		return err
	}
	m, err := manifest.Parse(text)
	if err != nil {
		return err
	}
	object, err := os.ReadFile(filepath.Join(built, m.Name+".o"))
	if err != nil {
		return err
	}
	sig, err := f.keys.SignObject(object)
	if err != nil {
		return err
	}
	to := filepath.Join(f.Dir, filepath.Base(project))
	for suffix, b := range map[string][]byte{".json": text, ".o": object, ".p7s": sig} {
		if err := os.WriteFile(to+suffix, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Sign puts the signature of an object beside it.
func (f *Folder) Sign(file string) error {
	object, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if f.keys == nil {
		return fmt.Errorf("%s was made by an earlier run, whose key is gone", f.Dir)
	}
	sig, err := f.keys.SignObject(object)
	if err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(file, ".o")+".p7s", sig, 0o644)
}

// Program builds a Go program for the machine, which has no C library that fits.
func (f *Folder) Program(ctx context.Context, pkg string) error {
	return Command(ctx, "go", "build", "-trimpath", "-o", filepath.Join(f.Dir, filepath.Base(pkg)), pkg)
}

// Copy puts a file into the folder under its own name.
func (f *Folder) Copy(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.Dir, filepath.Base(file)), b, 0o755)
}

// Command runs a command, whose output is part of its error.
func Command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	// Under make, what it runs is no part of that make's jobs.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "MAKEFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, out)
	}
	return nil
}
