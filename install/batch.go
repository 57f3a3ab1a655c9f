// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
)

// batch has the blobs of one fetch until all are there. They are brought to the disk
// together, which takes as long as the slowest and not as all one after the other, and
// get their names after that: a blob that has its name is whole, whatever happens.
type batch struct {
	mu    sync.Mutex
	files map[string]string // digest to temporary file
}

func (b *batch) find(digest string) (file string, ok bool) {
	if b == nil {
		return "", false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	file, ok = b.files[digest]
	return file, ok
}

// add takes a temporary file over, unless there is one of that digest.
func (b *batch) add(digest, file string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.files[digest]; ok {
		return os.Remove(file)
	}
	b.files[digest] = file
	return nil
}

// drop removes what has no name yet.
func (b *batch) drop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, file := range b.files {
		errs = append(errs, os.Remove(file))
	}
	clear(b.files)
	return errors.Join(errs...)
}

// settle names all blobs of the batch, durably.
func (s *Store) settle() (err error) {
	b := s.batch
	defer func() {
		if err != nil {
			err = errors.Join(err, b.drop())
		}
	}()
	b.mu.Lock()
	defer b.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(8)
	for _, file := range b.files {
		g.Go(func() error { return syncFile(file) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	dir := ""
	for digest, file := range b.files {
		path, err := s.path(digest)
		if err != nil {
			return err
		}
		existed := isFile(path)
		if err := os.Rename(file, path); err != nil {
			return err
		}
		delete(b.files, digest)
		if dir = filepath.Dir(path); !existed && s.onPut != nil {
			s.onPut(digest)
		}
	}
	if dir == "" {
		return nil
	}
	return syncDir(dir)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}
