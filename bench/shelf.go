// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/iupkg/iupkg/registry"
)

// A shelf is an index in memory, and a registry that has that index and nothing
// else: so that a hundred thousand packages are there in seconds.
type shelf struct {
	mu     sync.Mutex
	states []map[string][]byte // without the files that have their hash in their name
	hashed map[string][]byte   // these, by digest
	marks  map[string]string
}

func newShelf() *shelf { return &shelf{hashed: map[string][]byte{}, marks: map[string]string{}} }

// hashOf is the digest in a file's name, "" if there is none.
func hashIn(name string) string {
	if hash, _, ok := strings.Cut(path.Base(name), "."); ok && len(hash) == 64 {
		return "sha256:" + hash
	}
	return ""
}

func (s *shelf) Head(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.states) == 0 {
		return "", nil
	}
	return fmt.Sprint(len(s.states)), nil
}

func (s *shelf) Get(_ context.Context, state, name string, limit int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int
	if _, err := fmt.Sscan(state, &n); err != nil {
		return nil, err
	}
	b, ok := s.hashed[hashIn(name)]
	if !ok {
		b, ok = s.states[n-1][name]
	}
	if !ok || int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return b, nil
}

func (s *shelf) Marks(_ context.Context, after string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Sorted(maps.Keys(s.marks))
	i, _ := slices.BinarySearch(all, after)
	return all[i:], nil
}

func (s *shelf) Marked(_ context.Context, mark string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state, ok := s.marks[mark]; ok {
		return state, nil
	}
	return "", fs.ErrNotExist
}

func (s *shelf) Commit(_ context.Context, parent, mark string, files map[string][]byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[string][]byte{}
	if len(s.states) > 0 {
		next = maps.Clone(s.states[len(s.states)-1])
	}
	for name, b := range files {
		switch d := hashIn(name); {
		case len(b) == 0:
			delete(next, name)
		case d != "":
			s.hashed[d] = b
		default:
			next[name] = b
			s.hashed[digest(b)] = b
		}
	}
	s.states = append(s.states, next)
	s.marks[mark] = fmt.Sprint(len(s.states))
	return s.marks[mark], nil
}

// ServeHTTP answers what a client asks of the index of a registry.
func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch what := path.Base(r.URL.Path); path.Base(path.Dir(r.URL.Path)) {
	case "blobs":
		if b, ok := s.hashed[what]; ok {
			w.Write(b)
			return
		}
	case "manifests":
		files := s.states[len(s.states)-1]
		m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: registry.IndexArtifactType, Config: ocispec.DescriptorEmptyJSON}
		m.SchemaVersion = 2
		for _, name := range slices.Sorted(maps.Keys(files)) {
			d := ocispec.Descriptor{MediaType: registry.IndexFileMediaType, Size: int64(len(files[name])), Annotations: map[string]string{ocispec.AnnotationTitle: name}}
			d.Digest = ocispec.DescriptorEmptyJSON.Digest.Algorithm().FromBytes(files[name])
			m.Layers = append(m.Layers, d)
		}
		w.Header().Set("Content-Type", m.MediaType)
		_ = json.NewEncoder(w).Encode(m)
		return
	}
	http.NotFound(w, r)
}
