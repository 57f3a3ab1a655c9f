// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	currentFile = "current.json"
	lockFile    = "lock"
	// keepBlobs is how long blobs stay that are no longer named, for readers that
	// opened the copy before.
	keepBlobs = time.Hour
)

// current is the local copy's table of contents. Hashes are in hex.
type current struct {
	Schema    int       `json:"schema"`
	Anchor    string    `json:"anchor"` // hash of the root that trust began with
	State     string    `json:"state"`  // the remote's, when it was synchronised
	Synced    time.Time `json:"synced"`
	Root      string    `json:"root"`
	Timestamp string    `json:"timestamp"`
	Snapshot  string    `json:"snapshot"`
	Targets   string    `json:"targets"`
	// Parts are the delegated roles, by name.
	Parts     map[string]string `json:"parts,omitempty"`
	Search    string            `json:"search"`    // made here, see search.go
	SearchCRC uint32            `json:"searchCRC"` // Castagnoli's; hashing it would take longer than searching
	Facts     string            `json:"facts"`     // made here, see facts.go
	FactsCRC  uint32            `json:"factsCRC"`
}

// local is a folder with a copy of the index.
type local struct {
	dir string
	// late, if there is one, has the blobs that are to be brought to the disk together,
	// before the table of contents that names them.
	late *late
}

// late is blobs that are written and may not be on the disk yet.
type late struct {
	mu    sync.Mutex
	paths []string
}

func (l *late) add(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paths = append(l.paths, path)
}

// fewBlobs is up to how many are synced one by one: to sync the whole file system for
// them would wait for everything that other programs have written to it.
const fewBlobs = 64

func (l *late) sync(dir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.paths) > fewBlobs {
		return syncAll(dir)
	}
	var g errgroup.Group
	g.SetLimit(8)
	for _, path := range l.paths {
		g.Go(func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Sync()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return syncDir(dir)
}

// lock keeps other processes from synchronising the same folder.
func (l local) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Join(l.dir, "blobs"), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(l.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// read loads the table of contents and the roles. No copy is ErrNotSynced.
func (l local) read() (*current, *roles, error) {
	b, err := os.ReadFile(filepath.Join(l.dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, ErrNotSynced
	}
	if err != nil {
		return nil, nil, err
	}
	var c current
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, nil, refuse(currentFile, fmt.Errorf("%w: %w", errDamaged, err))
	}
	if c.Schema != schema {
		return nil, nil, fmt.Errorf("%s: schema is %d, this program reads %d: %w", currentFile, c.Schema, schema, ErrNotSynced)
	}
	var r roles
	for _, f := range []struct {
		hash string
		to   *[]byte
	}{{c.Root, &r.root}, {c.Timestamp, &r.timestamp}, {c.Snapshot, &r.snapshot}, {c.Targets, &r.targets}} {
		if *f.to, err = l.blob(f.hash); err != nil {
			return nil, nil, err
		}
	}
	for role, hash := range c.Parts {
		if r.parts == nil {
			r.parts = map[string][]byte{}
		}
		if r.parts[role], err = l.blob(hash); err != nil {
			return nil, nil, err
		}
	}
	return &c, &r, nil
}

func (l local) path(hash string) (string, error) {
	if b, err := hex.DecodeString(hash); err != nil || len(b) != sha256.Size {
		return "", refuse(currentFile, fmt.Errorf("%w: %.80q is not a hash", errDamaged, hash))
	}
	return filepath.Join(l.dir, "blobs", hash), nil
}

// blob reads a file of the copy and checks that it is the one it should be.
func (l local) blob(hash string) ([]byte, error) {
	path, err := l.path(hash)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(path, fmt.Errorf("%w: %w", errDamaged, err))
	}
	if err != nil {
		return nil, err
	}
	if hashOf(b) != hash {
		return nil, refuse(path, errDamaged)
	}
	return b, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// searchFile reads the search file that c names.
func (l local) searchFile(c *current) ([]byte, error) {
	path, err := l.path(c.Search)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err == nil && crc32.Checksum(b, castagnoli) != c.SearchCRC {
		err = refuse(path, errDamaged)
	}
	return b, err
}

func (l local) has(hash string, size int64) bool {
	path, err := l.path(hash)
	if err != nil {
		return false
	}
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Size() == size
}

// put writes a blob, which may be in parts. It is durable once syncDir has been called
// on its folder.
func (l local) put(parts ...[]byte) (hash string, err error) {
	h := sha256.New()
	for _, b := range parts {
		h.Write(b)
	}
	hash = hex.EncodeToString(h.Sum(nil))
	path, err := l.path(hash)
	if err != nil {
		return "", err
	}
	if l.late != nil {
		l.late.add(path)
	}
	return hash, replaceFile(path, l.late == nil, parts...)
}

// write makes c the table of contents.
func (l local) write(c *current) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	blobs := filepath.Join(l.dir, "blobs")
	if l.late != nil {
		err = l.late.sync(blobs)
	} else {
		err = syncDir(blobs)
	}
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(l.dir, currentFile), append(b, '\n')); err != nil {
		return err
	}
	return syncDir(l.dir)
}

// clean removes blobs that are not kept, and have not been for a while.
func (l local) clean(keep map[string]bool) error {
	dir := filepath.Join(l.dir, "blobs")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil || keep[e.Name()] || time.Since(fi.ModTime()) < keepBlobs {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// anchorOf names a root, however its JSON is laid out.
func anchorOf(root []byte) (string, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, root); err != nil {
		return "", err
	}
	return hashOf(bytes.TrimSpace(b.Bytes())), nil
}

// writeFile replaces path by data that has reached the disk. The caller syncs the
// folder.
func writeFile(path string, data []byte) (err error) { return replaceFile(path, true, data) }

// replaceFile is writeFile; without reach the data gets to the disk some time.
func replaceFile(path string, reach bool, parts ...[]byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	for _, b := range parts {
		if _, err := f.Write(b); err != nil {
			return err
		}
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if reach {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// syncAll brings all of the file system of dir to the disk.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
