// SPDX-License-Identifier: Apache-2.0

// Package sideload loads signed extensions from a folder, past registry, index
// and store: for measurements and tortures of the kernel in a virtual machine. Package pack makes the folder.
//
// In it are
//
//	iu.ko         the runtime for the machine's kernel
//	cert.der      the certificate of the key that signed
//	NAME.o        an object
//	NAME.p7s      its signature
//	NAME.json     its manifest
//
// where NAME is that of the project's folder: two versions of a package may be here.
//
// Never use it on a machine that matters: it loads modules and trusts the key.
package sideload

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

// Folder is the path of such a folder.
type Folder string

// File is the path of one of its files.
func (f Folder) File(name string) string { return filepath.Join(string(f), name) }

// Ready loads the runtime and makes it trust the folder's key.
func (f Folder) Ready(ctx context.Context) error {
	if err := kernel.InstallRuntime(ctx, f.File("iu.ko")); err != nil {
		return err
	}
	der, err := os.ReadFile(f.File("cert.der"))
	if err != nil {
		return err
	}
	d, err := kernel.OpenDevice()
	if err != nil {
		return err
	}
	defer d.Close()
	return d.AddKey(der)
}

// Names lists the extensions, sorted.
func (f Folder) Names() ([]string, error) {
	files, err := filepath.Glob(f.File("*.p7s"))
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".p7s")
	}
	return files, err
}

// Spec is what kernel.Load wants to load an extension, with no parameter set, and
// kept running whatever faults it has.
func (f Folder) Spec(name string) (kernel.LoadSpec, error) {
	var files [4][]byte
	for i, file := range []string{name + ".json", name + ".o", name + ".p7s", "iu.ko"} {
		var err error
		if files[i], err = os.ReadFile(f.File(file)); err != nil {
			return kernel.LoadSpec{}, err
		}
	}
	m, err := manifest.Parse(files[0])
	return kernel.LoadSpec{Manifest: m, Object: files[1], Signature: files[2], Runtime: files[3], Params: map[string]string{"faults": "keep"}}, err
}
