// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/iupkg/iupkg/manifest"
)

// templates has one folder per hook, and one of what all projects have.
//
//go:embed all:template
var templates embed.FS

// New makes a project in dir, which is made or is empty. It builds, tests and
// loads as it is; its crate depends on the iu of libDir.
func New(dir, name string, hook manifest.Hook, libDir string) error {
	if err := manifest.CheckName(name); err != nil {
		return err
	}
	if !slices.Contains(manifest.Hooks(), hook) {
		return fmt.Errorf("%q is not a hook: there are %v", hook, manifest.Hooks())
	}
	if _, err := fs.Stat(templates, "template/"+string(hook)); err != nil {
		return fmt.Errorf("there is no template for %s", hook)
	}
	libDir, err := filepath.Abs(libDir)
	if err != nil {
		return err
	}
	iu := filepath.Join(libDir, "crate", "iu")
	if _, err := os.Stat(iu); err != nil {
		return &MissingError{What: iu}
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data := map[string]string{
		"Name":   name,
		"Crate":  strings.ReplaceAll(name, "-", "_"),
		"IU":     iu,
		"Lock":   lockFor(name),
		"Banner": "#![no_std]\n#![forbid(unsafe_code)]",
	}
	for _, part := range []string{"common", string(hook)} {
		if err := expand("template/"+part, dir, data); err != nil {
			return err
		}
	}
	return nil
}

// expand writes a folder of templates; the names of its files end in .tmpl, so
// that no tool takes them for what they will be.
func expand(from, to string, data any) error {
	return fs.WalkDir(templates, from, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		t, err := template.ParseFS(templates, path)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := t.Option("missingkey=error").Execute(&out, data); err != nil {
			return err
		}
		file := filepath.Join(to, filepath.FromSlash(strings.TrimSuffix(strings.TrimPrefix(path, from+"/"), ".tmpl")))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, out.Bytes(), 0o644)
	})
}

// lockFor is the lock file of a crate whose only dependency is iu. Its packages are
// sorted by name: cargo takes any other order for a change.
func lockFor(name string) string {
	const sep = "\n[[package]]\n"
	parts := strings.Split(string(vettedLock), sep)
	head, packages := parts[0], parts[1:]
	for i, p := range packages {
		packages[i] = strings.TrimSuffix(p, "\n") + "\n"
	}
	packages = append(packages, fmt.Sprintf("name = %q\nversion = \"0.1.0\"\ndependencies = [\n \"iu\",\n]\n", name))
	slices.SortFunc(packages, func(a, b string) int {
		name := func(p string) string { n, _, _ := strings.Cut(p, "\n"); return n }
		return strings.Compare(name(a), name(b))
	})
	return head + sep + strings.Join(packages, sep)
}
