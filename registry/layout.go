// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/iupkg/iupkg/manifest"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Annotations of an entry in a layout's index.json: the repository below the
// prefix, and the tag, which are those of a registry.
const (
	layoutRepository = "dev.iupkg.repository"
	layoutTag        = "dev.iupkg.tag"
)

// Limits of a layout.
const (
	maxLayoutIndex = 64 << 20
	maxTarEntries  = 1 << 20
)

// layout is an OCI image layout
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md) that
// holds what a registry would: a folder, or a tar file, which is only read.
type layout struct {
	path  string
	tar   *os.File         // nil: a folder
	blobs map[string]piece // of a tar file: digest to place

	mu sync.RWMutex
	// entries are the manifests that index.json lists. Guarded by mu.
	entries []entry
}

type piece struct{ offset, size int64 }

// entry is a manifest of a repository. One with neither tag nor subject is none.
type entry struct {
	repository, tag string
	desc            ocispec.Descriptor // with the artifact type
	subject         string
}

// openLayout reads index.json. A folder that does not exist is an empty layout, and
// made when something is written.
func openLayout(path string) (*layout, error) {
	l := &layout{path: path}
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(path, ".tar"):
		return l, nil
	case err != nil:
		return nil, err
	case fi.Mode().IsRegular():
		if err := l.scanTar(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	case !fi.IsDir():
		return nil, fmt.Errorf("%s: neither a folder nor a file", path)
	default:
		if _, err := os.Stat(filepath.Join(path, ocispec.ImageLayoutFile)); errors.Is(err, fs.ErrNotExist) {
			if list, err := os.ReadDir(path); err != nil || len(list) > 0 {
				return nil, errors.Join(fmt.Errorf("%s: no OCI layout", path), err)
			}
			return l, nil
		}
	}
	if err := l.readIndex(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// scanTar finds the layout's files. What else there is does not matter.
func (l *layout) scanTar() error {
	f, err := os.Open(l.path)
	if err != nil {
		return err
	}
	l.tar, l.blobs = f, map[string]piece{}
	tr := tar.NewReader(f)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("not a tar file of an OCI layout: %w", err)
		}
		if n == maxTarEntries {
			return fmt.Errorf("more than %d files", maxTarEntries)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(h.Name, "./")
		if hash, ok := strings.CutPrefix(name, ocispec.ImageBlobsDir+"/sha256/"); ok {
			name = "sha256:" + hash
		}
		l.blobs[name] = piece{at, h.Size}
	}
	if _, ok := l.blobs[ocispec.ImageLayoutFile]; !ok {
		return errors.New("no OCI layout: it has no file " + ocispec.ImageLayoutFile)
	}
	return nil
}

// open opens a file: a blob by digest, or one at the top by name.
func (l *layout) open(name string) (io.ReadCloser, int64, error) {
	if l.tar != nil {
		p, ok := l.blobs[name]
		if !ok {
			return nil, 0, fs.ErrNotExist
		}
		return io.NopCloser(io.NewSectionReader(l.tar, p.offset, p.size)), p.size, nil
	}
	f, err := os.Open(l.file(name))
	if err != nil {
		return nil, 0, err
	}
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, 0, errors.Join(err, fs.ErrNotExist)
	}
	return f, fi.Size(), nil
}

// file is a path in a folder. Digests have been checked.
func (l *layout) file(name string) string {
	if hash, ok := strings.CutPrefix(name, "sha256:"); ok {
		return filepath.Join(l.path, ocispec.ImageBlobsDir, "sha256", hash)
	}
	return filepath.Join(l.path, name)
}

// read reads a whole small file.
func (l *layout) read(name string, limit int64) ([]byte, error) {
	rc, size, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", name, size, limit)
	}
	return io.ReadAll(io.LimitReader(rc, limit))
}

func (l *layout) readIndex() error {
	var about ocispec.ImageLayout
	data, err := l.read(ocispec.ImageLayoutFile, 4096)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &about); err != nil || about.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%s: want version %s of an OCI layout", ocispec.ImageLayoutFile, ocispec.ImageLayoutVersion)
	}
	if data, err = l.read(ocispec.ImageIndexFile, maxLayoutIndex); err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	for _, d := range index.Manifests {
		e := entry{repository: d.Annotations[layoutRepository], tag: d.Annotations[layoutTag], desc: d}
		if e.repository == "" || manifest.CheckDigest(d.Digest.String()) != nil {
			continue // somebody else's
		}
		e.desc.Annotations = nil
		if e.tag == "" {
			raw, err := l.read(d.Digest.String(), MaxManifest)
			if err != nil {
				return fmt.Errorf("%s: %w", d.Digest, err)
			}
			e.subject = subjectOf(raw)
		}
		l.entries = append(l.entries, e)
	}
	return nil
}

func subjectOf(raw []byte) string {
	var m struct {
		Subject *ocispec.Descriptor `json:"subject"`
	}
	if json.Unmarshal(raw, &m) != nil || m.Subject == nil {
		return ""
	}
	return m.Subject.Digest.String()
}

// tags is the tags of a repository, in order.
func (l *layout) tags(repository string) []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var list []string
	for _, e := range l.entries {
		if e.repository == repository && e.tag != "" {
			list = append(list, e.tag)
		}
	}
	slices.Sort(list)
	return list
}

// resolve is the digest of a tag, "" if there is none.
func (l *layout) resolve(repository, tag string) string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, e := range l.entries {
		if e.repository == repository && e.tag == tag {
			return e.desc.Digest.String()
		}
	}
	return ""
}

// referrers is the descriptors of what refers to a manifest.
func (l *layout) referrers(repository, subject string) []ocispec.Descriptor {
	l.mu.RLock()
	defer l.mu.RUnlock()
	list := []ocispec.Descriptor{}
	for _, e := range l.entries {
		if e.repository == repository && e.subject == subject && subject != "" {
			list = append(list, e.desc)
		}
	}
	return list
}

// putManifest keeps a manifest, and lists it if it has a tag or a subject.
func (l *layout) putManifest(repository, tag, mediaType string, raw []byte) error {
	if err := l.putBlob(digestOf(raw), bytes.NewReader(raw)); err != nil {
		return err
	}
	e := entry{repository: repository, tag: tag, desc: describe(mediaType, raw)}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	e.desc.ArtifactType = m.ArtifactType
	if e.desc.ArtifactType == "" {
		e.desc.ArtifactType = m.Config.MediaType
	}
	if m.Subject != nil {
		e.subject = m.Subject.Digest.String()
	}
	if e.tag == "" && e.subject == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.entries, func(o entry) bool {
		return o.repository == repository && o.tag == tag && (tag != "" || o.desc.Digest == e.desc.Digest)
	})
	if at >= 0 {
		l.entries[at] = e
	} else {
		l.entries = append(l.entries, e)
	}
	// What keeps files of the index from being taken for garbage comes in large
	// numbers, and is listed with the state that it belongs to.
	if strings.HasPrefix(tag, "t-") {
		return nil
	}
	return l.writeIndex()
}

// writeIndex replaces index.json, always in the same order.
func (l *layout) writeIndex() error {
	slices.SortFunc(l.entries, func(a, b entry) int {
		return strings.Compare(a.repository+"\x00"+a.tag+"\x00"+a.desc.Digest.String(), b.repository+"\x00"+b.tag+"\x00"+b.desc.Digest.String())
	})
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	for _, e := range l.entries {
		d := e.desc
		d.Annotations = map[string]string{layoutRepository: e.repository}
		if e.tag != "" {
			d.Annotations[layoutTag] = e.tag
			// What tools call it. They take ':' and '@' for separators.
			d.Annotations[ocispec.AnnotationRefName] = strings.TrimPrefix(e.repository, "packages/") + "_" + e.tag
		}
		index.Manifests = append(index.Manifests, d)
	}
	data, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := replaceFile(l.file(ocispec.ImageIndexFile), bytes.NewReader(data)); err != nil {
		return err
	}
	about, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	return replaceFile(l.file(ocispec.ImageLayoutFile), bytes.NewReader(about))
}

// putBlob keeps a blob, unless its bytes are not those of the digest.
func (l *layout) putBlob(dgst string, r io.Reader) error {
	if l.tar != nil {
		return fmt.Errorf("%s is only read: write to a folder", l.path)
	}
	if err := checkDigest(dgst); err != nil {
		return err
	}
	path := l.file(dgst)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	v := digest.Digest(dgst).Verifier()
	return replaceFile(path, io.TeeReader(r, v), func() error {
		if !v.Verified() {
			return fmt.Errorf("bytes are not those of %s", dgst)
		}
		return nil
	})
}

// replaceFile replaces path by what r has, in one step, if all checks agree.
func replaceFile(path string, r io.Reader, checks ...func() error) (err error) {
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
	if _, err = io.Copy(f, r); err != nil {
		return err
	}
	for _, check := range checks {
		if err = check(); err != nil {
			return err
		}
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
