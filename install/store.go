// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// MaxBlob is the largest blob, in bytes, that the store takes or reads.
const MaxBlob = 64 << 20

// A CorruptBlob is an error about bytes that are not those their digest names.
type CorruptBlob struct {
	Digest string // what was asked for, "sha256:<hex>"
	Found  string // digest of the bytes there
	// Quarantine is where the bad file was moved, or "" if the bytes never got
	// into the store.
	Quarantine string
}

func (e *CorruptBlob) Error() string {
	if e.Quarantine == "" {
		return fmt.Sprintf("blob %s: the bytes received have digest %s", e.Digest, e.Found)
	}
	return fmt.Sprintf("blob %s is corrupt in the store (digest is %s), moved to %s", e.Digest, e.Found, e.Quarantine)
}

// A Store holds blobs by their digest. It is safe for concurrent use, and by
// several processes at once.
type Store struct {
	dir string // the root directory
	// onPut is told of each blob that was not there before.
	onPut func(digest string)
	// onBytes is told of bytes as they come in.
	onBytes func(n int)
	// onExpect is told how many of an artifact are to come.
	onExpect func(n int64)
	// batch, if there is one, has what is put until settle.
	batch *batch
}

// told passes on how much was read.
type told struct {
	r  io.Reader
	to func(n int)
}

func (t told) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.to(n)
	return n, err
}

// Has says whether a blob of that name is there. Its bytes are not looked at.
func (s *Store) Has(digest string) bool {
	if _, ok := s.batch.find(digest); ok {
		return true
	}
	path, err := s.path(digest)
	return err == nil && isFile(path)
}

// Size is the blob's length in bytes.
func (s *Store) Size(digest string) (int64, error) {
	path, err := s.path(digest)
	if err != nil {
		return 0, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// Get reads a whole blob. One whose bytes do not match is moved to quarantine
// and reported as *CorruptBlob; an absent one as fs.ErrNotExist.
func (s *Store) Get(digest string) ([]byte, error) {
	path, err := s.path(digest)
	if err != nil {
		return nil, err
	}
	if file, ok := s.batch.find(digest); ok {
		path = file
	}
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("blob %s is not in the store: %w", digest, fs.ErrNotExist)
		}
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBlob+1))
	if err != nil {
		return nil, err
	}
	if found := Digest(data); found != digest {
		q, err := s.quarantine(path)
		if err != nil {
			return nil, err
		}
		return nil, &CorruptBlob{Digest: digest, Found: found, Quarantine: q}
	}
	return data, nil
}

// Open is Get for those who want a reader. The bytes are checked before the
// first is given out.
func (s *Store) Open(digest string) (io.ReadCloser, error) {
	data, err := s.Get(digest)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Put streams a blob in. Bytes that turn out not to be those the digest names
// are discarded and reported as *CorruptBlob.
func (s *Store) Put(digest string, r io.Reader) (err error) {
	path, err := s.path(digest)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".tmp-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if s.onBytes != nil {
		r = told{r, s.onBytes}
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, MaxBlob+1))
	if err != nil {
		return err
	}
	if n > MaxBlob {
		return fmt.Errorf("blob %s is larger than %d bytes", digest, MaxBlob)
	}
	if found := sum(h); found != digest {
		return &CorruptBlob{Digest: digest, Found: found}
	}
	if s.batch != nil {
		if err := f.Chmod(0o644); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		return s.batch.add(digest, f.Name())
	}
	existed := s.Has(digest)
	if err := settle(f, path); err != nil {
		return err
	}
	if !existed && s.onPut != nil {
		s.onPut(digest)
	}
	return nil
}

// Expect says how many bytes of an artifact are about to be put, for whoever shows how
// far a transfer is.
func (s *Store) Expect(n int64) {
	if s.onExpect != nil {
		s.onExpect(n)
	}
}

// Add is Put for bytes at hand; it returns their digest.
func (s *Store) Add(data []byte) (string, error) {
	d := Digest(data)
	if s.Has(d) {
		return d, nil
	}
	return d, s.Put(d, bytes.NewReader(data))
}

// delete removes a blob.
func (s *Store) delete(digest string) error {
	path, err := s.path(digest)
	if err != nil {
		return err
	}
	return remove(path)
}

// Blob is one line of List.
type Blob struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // bytes
}

// List is every blob, in the order of digests.
func (s *Store) List() ([]Blob, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "blobs", "sha256"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var blobs []Blob
	for _, e := range entries {
		if !isHex(e.Name()) {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, Blob{Digest: "sha256:" + e.Name(), Size: fi.Size()})
	}
	return blobs, nil
}

// quarantine takes a file out of the store but keeps it for a look.
func (s *Store) quarantine(path string) (string, error) {
	dir := filepath.Join(s.dir, "quarantine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	to := filepath.Join(dir, filepath.Base(path)+"."+time.Now().UTC().Format("20060102T150405.000000000"))
	if err := os.Rename(path, to); err != nil {
		return "", fmt.Errorf("quarantine %s: %w", path, err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return "", err
	}
	return to, syncDir(dir)
}

func (s *Store) path(digest string) (string, error) {
	h, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || !isHex(h) {
		return "", fmt.Errorf("malformed digest %q: want sha256: and 64 hex digits", digest)
	}
	return filepath.Join(s.dir, "blobs", "sha256", h), nil
}

func isHex(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// Digest is how the store names data: "sha256:" and the hash in lower-case hex.
func Digest(data []byte) string {
	s := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(s[:])
}

func sum(h hash.Hash) string {
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
