// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
)

// libDir is the folder of what iupkg needs at run time beside itself: iu.ko per
// kernel, the sources of iu.ko, the pass plugin, the crate. It is
// ../lib/iupkg from the executable unless IUPKG_LIBDIR says otherwise.
func libDir() (string, error) {
	if d := os.Getenv("IUPKG_LIBDIR"); d != "" {
		return d, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(filepath.Dir(exe)), "lib", "iupkg")
	if _, err := os.Stat(dir); err != nil {
		return "", withHint(errors.New("the files that belong to iupkg are not at "+dir), "set IUPKG_LIBDIR to the folder that has runtime, module, llvm and crate")
	}
	return dir, nil
}
