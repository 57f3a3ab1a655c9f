// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"
	"sync"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
)

// Types of the index's artifacts.
const (
	IndexArtifactType  = "application/vnd.iupkg.index.v1"
	IndexFileMediaType = "application/vnd.iupkg.index.file.v1+json"
	// indexParent names the state that a state was made from.
	indexParent = "dev.iupkg.index.parent"
	indexTag    = "latest"
)

// maxIndexFiles bounds the files that one state lists.
const maxIndexFiles = 3000

// IndexStore keeps the files of a package index in the repository PREFIX/index.
//
// A state of the index is an OCI image manifest of artifactType
// application/vnd.iupkg.index.v1 with the empty config and one layer
// (application/vnd.iupkg.index.file.v1+json) for each file, whose path is the
// layer's org.opencontainers.image.title, in the order of paths. The state is
// named by the manifest's digest; the tag "latest" says which is current, and the
// annotation dev.iupkg.index.parent which it was made from.
//
// Files whose last path element begins with their own SHA-256 and a dot
// ("targets/packages/<64 hex digits>.bmc.json", as TUF's consistent snapshots have
// it) are not listed: a reader asks for the blob of that digest, so that neither
// the list nor what a reader moves grows with the number of packages. So that no
// registry takes such a blob for garbage, the newest one of each path is the layer
// of a manifest of its own, tagged "t-" and the first 32 hex digits of the SHA-256
// of the path without the hash.
//
// Each state has a tag more, "s-" and its mark, a string that its publisher chooses so
// that they sort by age: by it a state is found that was overwritten by another.
//
// A client that knows the state's digest needs one small request to see that
// nothing has changed. An IndexStore believes nothing but that bytes match
// digests; what the files say is for their reader to verify.
//
// An IndexStore is safe for concurrent use.
type IndexStore struct {
	c  *Client
	mu sync.Mutex
	// states holds manifests read so far. Guarded by mu.
	states map[string]*indexState
}

type indexState struct {
	files  map[string]ocispec.Descriptor
	parent string
}

// Index is the store of this registry's index.
func (c *Client) Index() *IndexStore {
	return &IndexStore{c: c, states: map[string]*indexState{}}
}

// Head is the current state, "" if there is no index yet.
func (s *IndexStore) Head(ctx context.Context) (string, error) {
	r, err := s.c.open("index")
	if err != nil {
		return "", err
	}
	raw, err := fetchManifest(ctx, r, indexTag)
	if KindOf(err) == NotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	state := digestOf(raw)
	return state, s.keep(r, state, raw)
}

// Get reads a file of a state, at most limit bytes. A file that is not there is
// fs.ErrNotExist.
func (s *IndexStore) Get(ctx context.Context, state, name string, limit int64) ([]byte, error) {
	r, err := s.c.open("index")
	if err != nil {
		return nil, err
	}
	if hash, _, ok := hashed(name); ok {
		return s.getHashed(ctx, r, "sha256:"+hash, limit)
	}
	st, err := s.state(ctx, r, state)
	if err != nil {
		return nil, err
	}
	d, ok := st.files[name]
	if !ok {
		return nil, failf(NotFound, "fetch index file", r.Reference.String(), "", "%s is not in the index", name)
	}
	if d.Size > limit {
		return nil, failf(TooLarge, "fetch index file", r.Reference.String(), d.Digest.String(), "%s has %d bytes, more than %d", name, d.Size, limit)
	}
	return readBlob(ctx, r, "index file", d)
}

// getHashed reads a blob of unknown size.
func (s *IndexStore) getHashed(ctx context.Context, r *remote.Repository, digest string, limit int64) ([]byte, error) {
	const op = "fetch index file"
	ref := r.Reference.String()
	data, err := readURL(ctx, r, op, ref+"@"+digest, "blobs/"+digest, limit, nil)
	if err != nil {
		return nil, err
	}
	if found := digestOf(data); found != digest {
		return nil, failf(Integrity, op, ref, digest, "the registry sent bytes of digest %s", found)
	}
	return data, nil
}

// Commit makes a new state out of parent and files, tags it with its mark, makes it
// current and returns it; a file with no bytes is left out of the new state. If parent
// is no longer current it fails with fs.ErrExist and the caller must begin again from
// Head. A registry can not compare and swap: a rival that looked before our change and
// set its tag after it overwrites ours, whose mark stays for everyone to find.
func (s *IndexStore) Commit(ctx context.Context, parent, mark string, files map[string][]byte) (string, error) {
	r, err := s.c.open("index")
	if err != nil {
		return "", err
	}
	all := map[string]ocispec.Descriptor{}
	if parent != "" {
		st, err := s.state(ctx, r, parent)
		if err != nil {
			return "", err
		}
		for name, d := range st.files {
			all[name] = d
		}
	}
	if err := pushBlob(ctx, r, ocispec.MediaTypeEmptyJSON, emptyJSON); err != nil {
		return "", err
	}
	for _, name := range sortedKeys(files) {
		data := files[name]
		if len(data) == 0 {
			delete(all, name)
			continue
		}
		if err := pushBlob(ctx, r, IndexFileMediaType, data); err != nil {
			return "", err
		}
		d := describe(IndexFileMediaType, data)
		hash, plain, ok := hashed(name)
		if !ok {
			d.Annotations = map[string]string{ocispec.AnnotationTitle: name}
			all[name] = d
			continue
		}
		if d.Digest.Encoded() != hash {
			return "", fmt.Errorf("index file %s has hash %s", name, d.Digest.Encoded())
		}
		d.Annotations = map[string]string{ocispec.AnnotationTitle: plain}
		anchor, err := packIndex([]ocispec.Descriptor{d}, "")
		if err != nil {
			return "", err
		}
		tag := "t-" + strings.TrimPrefix(digestOf([]byte(plain)), "sha256:")[:32]
		if err := pushManifest(ctx, r, anchor, tag); err != nil {
			return "", err
		}
	}
	var list []ocispec.Descriptor
	for _, name := range sortedKeys(all) {
		list = append(list, all[name])
	}
	raw, err := packIndex(list, parent)
	if err != nil {
		return "", err
	}
	state := digestOf(raw)
	if err := s.keep(r, state, raw); err != nil {
		return "", err
	}
	// By digest first, so that a reader of the tag finds all of it there.
	if err := pushManifest(ctx, r, raw, state); err != nil {
		return "", err
	}
	current := func() error {
		head, err := s.Head(ctx)
		if err == nil && head != parent {
			err = failf(Conflict, "commit index to", r.Reference.String(), state, "made from %s, but %s is current", parent, head)
		}
		return err
	}
	if err := current(); err != nil {
		return "", err
	}
	if err := pushManifest(ctx, r, raw, markTag+mark); err != nil {
		return "", err
	}
	if err := current(); err != nil {
		return "", err
	}
	return state, pushManifest(ctx, r, raw, indexTag)
}

// markTag begins the tags of marks.
const markTag = "s-"

// Marks is the marks of all states that come after a string.
func (s *IndexStore) Marks(ctx context.Context, after string) ([]string, error) {
	r, err := s.c.open("index")
	if err != nil {
		return nil, err
	}
	enough := errors.New("enough")
	list := func(last string) (marks []string, err error) {
		seen := 0
		err = r.Tags(ctx, last, func(page []string) error {
			for _, tag := range page {
				if mark, ok := strings.CutPrefix(tag, markTag); ok && mark > after {
					marks = append(marks, mark)
				}
			}
			// Tags come in the order of bytes. A registry that does not keep to that is
			// read to its end.
			if seen += len(page); seen > maxTags || len(page) > 0 && sort.StringsAreSorted(page) && page[len(page)-1] > markTag+"~" {
				return enough
			}
			return nil
		})
		if err == nil || errors.Is(err, enough) {
			return marks, nil
		}
		return nil, fail("list tags of", r.Reference.String(), "", err)
	}
	marks, err := list(markTag + after)
	if KindOf(err) == NotFound {
		// Either there is no repository, or, in zot, no tag of just this name to begin
		// behind.
		marks, err = list("")
	}
	if err != nil && KindOf(err) != NotFound {
		return nil, err
	}
	sort.Strings(marks)
	return marks, nil
}

// Marked is the state that has a mark.
func (s *IndexStore) Marked(ctx context.Context, mark string) (string, error) {
	r, err := s.c.open("index")
	if err != nil {
		return "", err
	}
	raw, err := fetchManifest(ctx, r, markTag+mark)
	if err != nil {
		return "", err
	}
	state := digestOf(raw)
	return state, s.keep(r, state, raw)
}

func packIndex(list []ocispec.Descriptor, parent string) ([]byte, error) {
	if len(list) == 0 || len(list) > maxIndexFiles {
		return nil, fmt.Errorf("an index state of %d files, want 1 to %d", len(list), maxIndexFiles)
	}
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: IndexArtifactType,
		Config:       describe(ocispec.MediaTypeEmptyJSON, emptyJSON),
		Layers:       list,
	}
	if parent != "" {
		m.Annotations = map[string]string{indexParent: parent}
	}
	return json.Marshal(m)
}

func (s *IndexStore) keep(r *remote.Repository, state string, raw []byte) error {
	st, err := parseIndexState(raw)
	if err != nil {
		return failf(Malformed, "read index", r.Reference.String()+"@"+state, "", "%w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[state] = st
	return nil
}

// state is the parsed manifest of a state, read if need be.
func (s *IndexStore) state(ctx context.Context, r *remote.Repository, state string) (*indexState, error) {
	s.mu.Lock()
	st := s.states[state]
	s.mu.Unlock()
	if st != nil {
		return st, nil
	}
	if err := checkDigest(state); err != nil {
		return nil, err
	}
	raw, err := fetchManifest(ctx, r, state)
	if err != nil {
		return nil, err
	}
	if err := s.keep(r, state, raw); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[state], nil
}

func parseIndexState(raw []byte) (*indexState, error) {
	if len(raw) > MaxManifest {
		return nil, fmt.Errorf("%d bytes, more than %d", len(raw), MaxManifest)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("malformed OCI manifest: %w", err)
	}
	switch {
	case m.MediaType != ocispec.MediaTypeImageManifest:
		return nil, fmt.Errorf("media type is %.100q, not %q", m.MediaType, ocispec.MediaTypeImageManifest)
	case m.ArtifactType != IndexArtifactType:
		return nil, fmt.Errorf("artifact type is %.100q, not %q", m.ArtifactType, IndexArtifactType)
	case len(m.Layers) > maxIndexFiles:
		return nil, fmt.Errorf("%d files, more than %d", len(m.Layers), maxIndexFiles)
	}
	st := &indexState{files: map[string]ocispec.Descriptor{}, parent: m.Annotations[indexParent]}
	if st.parent != "" {
		if err := checkDigest(st.parent); err != nil {
			return nil, fmt.Errorf("parent: %w", err)
		}
	}
	for _, d := range m.Layers {
		name := d.Annotations[ocispec.AnnotationTitle]
		if _, ok := st.files[name]; ok || name == "" {
			return nil, fmt.Errorf("file name %.100q is empty or there twice", name)
		}
		if d.MediaType != IndexFileMediaType {
			return nil, fmt.Errorf("%.100q has media type %.100q", name, d.MediaType)
		}
		if err := checkDescriptor(d, maxIndexFile); err != nil {
			return nil, fmt.Errorf("%.100q: %w", name, err)
		}
		st.files[name] = d
	}
	if len(st.files) == 0 {
		return nil, errors.New("no files")
	}
	return st, nil
}

// maxIndexFile is beyond what any reader asks for; Get has limits of its own.
const maxIndexFile = 64 << 20

// hashed takes a path whose last element begins with a SHA-256 apart.
func hashed(name string) (hash, plain string, ok bool) {
	dir, base := path.Split(name)
	if len(base) < 66 || base[64] != '.' {
		return "", "", false
	}
	if b, err := hex.DecodeString(base[:64]); err != nil || hex.EncodeToString(b) != base[:64] {
		return "", "", false
	}
	return base[:64], dir + base[65:], true
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
