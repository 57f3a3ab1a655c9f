// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultPinDir is where pins are, one folder per extension:
//
//	NAME/maps/MAP        its maps
//	NAME/progs/PROGRAM   stubs
//	NAME/links/PROGRAM   links; none for a cls_bpf filter
const DefaultPinDir = bpffs + "/iupkg"

const bpffs = "/sys/fs/bpf"

// pinDir is the folder of pins of one extension.
type pinDir string

func pinsOf(root, name string) pinDir {
	if root == "" {
		root = DefaultPinDir
	}
	return pinDir(filepath.Join(root, name))
}

func (d pinDir) mapPin(name string) string  { return filepath.Join(string(d), "maps", name) }
func (d pinDir) progPin(name string) string { return filepath.Join(string(d), "progs", name) }
func (d pinDir) linkPin(name string) string { return filepath.Join(string(d), "links", name) }

// create makes the folders, and mounts bpffs if nobody has.
func (d pinDir) create() error {
	if err := mountBPFFS(); err != nil {
		return err
	}
	for _, sub := range []string{"maps", "progs", "links"} {
		if err := os.MkdirAll(filepath.Join(string(d), sub), 0o700); err != nil {
			return fmt.Errorf("folder for pins: %w", err)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(string(d), &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
		return fmt.Errorf("%s is not on a bpf file system (%v)", d, err)
	}
	return nil
}

func mountBPFFS() error {
	var st unix.Statfs_t
	if err := unix.Statfs(bpffs, &st); err == nil && st.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", bpffs, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, "mode=700"); err != nil {
		return refused("mount "+bpffs, "", err)
	}
	return nil
}

// removeIfEmpty removes the folders that have no pins left, the one of all
// extensions too unless a user chose it.
func (d pinDir) removeIfEmpty() {
	dirs := []string{"maps", "progs", "links", "."}
	if filepath.Dir(string(d)) == DefaultPinDir {
		dirs = append(dirs, "..")
	}
	for _, sub := range dirs {
		_ = os.Remove(filepath.Join(string(d), sub)) // fails if not empty, which is what is wanted
	}
}

// exists says whether there is anything of this extension.
func (d pinDir) exists() bool {
	_, err := os.Lstat(string(d))
	return err == nil
}

// names lists the pins in one of the folders.
func (d pinDir) names(sub string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(string(d), sub))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}

// unpin removes a pin; one that is not there is removed already.
func unpin(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// newSuffix is on the pin of what comes in the place of something pinned, until
// that has gone. Neither names of maps nor of programs can have it.
const newSuffix = "-new"

// freePin is the pin itself, or the one beside it if that is taken.
func freePin(pin string) string {
	if _, err := os.Lstat(pin); err != nil {
		return pin
	}
	return pin + newSuffix
}

// settlePin gives what is pinned beside its place the place.
func settlePin(pin string) (string, error) {
	place, beside := strings.CutSuffix(pin, newSuffix)
	if !beside {
		return pin, nil
	}
	if err := unpin(place); err != nil {
		return pin, err
	}
	if err := os.Rename(pin, place); err != nil {
		return pin, err
	}
	return place, nil
}
