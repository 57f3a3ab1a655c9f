// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/registry"
)

func (a *app) bundleCommand() *cobra.Command {
	var file string
	var every bool
	cmd := &cobra.Command{
		Use:   "bundle NAME[@CONSTRAINT]… -o FILE",
		Short: "Put packages and the index into one file, for machines with no network",
		Long: "Puts the newest versions that satisfy, what they depend on, all that is attached to\n" +
			"them and the index into one file: a tar file of an OCI layout. A machine with no network\n" +
			"installs from it with iupkg install --bundle FILE, or takes it as --registry oci:FILE, and\n" +
			"trusts no more than it would over the network. The index in it ends as any does.",
		Example: "  iupkg bundle bmc@1.2 -o bmc.tar",
		GroupID: groupPublisher,
		Args:    someArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usagef("the file to write is missing: give -o FILE")
			}
			src, err := a.client()
			if err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "iupkg-bundle-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			dst, err := a.open(registry.LayoutScheme + filepath.Join(dir, "layout"))
			if err != nil {
				return err
			}
			out, err := a.ship(cmd.Context(), src, dst, args, every)
			if err == nil {
				err = out.err()
			}
			if err != nil {
				return err
			}
			n, err := writeTar(file, filepath.Join(dir, "layout"))
			if err != nil {
				return err
			}
			a.ui.step("wrote %s: %s (%s), index good until %s", file, count(len(out.Packages), "version"), size(n), out.Expires)
			return a.ui.answer(struct {
				*shipment
				File  string `json:"file"`
				Bytes int64  `json:"bytes"`
			}{out, file, n}, func(w io.Writer) { out.write(w) })
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "`file` to write")
	cmd.Flags().BoolVar(&every, "all-versions", false, "put all versions in that satisfy, not the newest only")
	return cmd
}

// writeTar replaces file by a tar file of dir. The same files give the same bytes.
func writeTar(file, dir string) (n int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".tmp-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := tar.NewWriter(f)
	// In the order of names: blobs, index.json, oci-layout.
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		fi, err := in.Stat()
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(rel), Typeflag: tar.TypeReg, Mode: 0o644, Size: fi.Size(), Format: tar.FormatUSTAR}); err != nil {
			return fmt.Errorf("%s: %w", rel, err)
		}
		_, err = io.Copy(w, in)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err = w.Close(); err != nil {
		return 0, err
	}
	if n, err = f.Seek(0, io.SeekCurrent); err != nil {
		return 0, err
	}
	if err = f.Chmod(0o644); err != nil {
		return 0, err
	}
	if err = f.Sync(); err != nil {
		return 0, err
	}
	if err = f.Close(); err != nil {
		return 0, err
	}
	return n, os.Rename(f.Name(), file)
}
