// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// DefaultRoot is where a machine keeps its state.
const DefaultRoot = "/var/lib/iupkg"

// A Root is one root directory. It is safe for concurrent use.
type Root struct {
	dir   string
	Store *Store
}

// Open names a root directory, which need not exist: then nothing is installed.
// Nothing is read or made before a method asks for it.
func Open(dir string) *Root {
	return &Root{dir: dir, Store: &Store{dir: dir}}
}

// Dir is the directory.
func (r *Root) Dir() string { return r.dir }

// Sub is the path of another package's state below the root.
func (r *Root) Sub(name string) string { return filepath.Join(r.dir, name) }

// create makes the directories a writer needs, the last one of them last: a root
// that was made in part is made whole.
func (r *Root) create() error {
	const last = "generations"
	if _, err := os.Stat(r.Sub(last)); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, d := range []string{"blobs/sha256", "artifacts", "loaded"} {
		if err := os.MkdirAll(r.Sub(d), 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(syncDir(r.Sub("blobs")), syncDir(r.dir), syncDir(filepath.Dir(r.dir))); err != nil {
		return err
	}
	if err := os.Mkdir(r.Sub(last), 0o755); err != nil {
		return err
	}
	return syncDir(r.dir)
}
