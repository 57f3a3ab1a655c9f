// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/signing"
)

// Unfit means that the kernel does not meet what a package's own manifest
// requires.
type Unfit struct {
	Name, Version string
	Findings      []manifest.Finding
}

func (e *Unfit) Error() string {
	var why []string
	for _, f := range e.Findings {
		if f.Answer == manifest.No {
			why = append(why, f.String())
		}
	}
	return fmt.Sprintf("%s %s does not fit this kernel: %s", e.Name, e.Version, strings.Join(why, ", and "))
}

// Mismatch means that an artifact is not what it was taken for.
type Mismatch struct {
	Name, Version string
	What          string // "object is sha256:…, the signature says sha256:…"
}

func (e *Mismatch) Error() string { return fmt.Sprintf("%s %s: %s", e.Name, e.Version, e.What) }

// BadParams means that what the user set does not go with the package.
type BadParams struct{ Err error }

func (e *BadParams) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *BadParams) Unwrap() error { return e.Err }

// staged is a package whose every byte has been verified and is in memory, so
// that nothing can change it before the kernel has it.
type staged struct {
	pkg  Package
	spec kernel.LoadSpec
}

// stage fetches and verifies one package. A blob that turns out to be corrupt
// in the store has been moved away and is fetched again, once.
func (t *transaction) stageOne(ctx context.Context, store *Store, item *Item) (*staged, error) {
	for again := false; ; again = true {
		s, err := t.stageOnce(ctx, store, item)
		var corrupt *CorruptBlob
		if again || !errors.As(err, &corrupt) || corrupt.Quarantine == "" || t.env.Source == nil {
			return s, err
		}
		t.env.report(Event{Kind: EventNotice, Name: item.Name, Version: item.Version, Text: corrupt.Error() + "; fetched again"})
	}
}

// ErrNotStored means that the store lacks a package and there is no Source.
var ErrNotStored = errors.New("it is not in the store")

func (t *transaction) stageOnce(ctx context.Context, store *Store, item *Item) (*staged, error) {
	env := t.env
	if err := manifest.CheckDigest(item.Digest); err != nil {
		return nil, err
	}
	f, err := t.root.stored(item.Digest)
	if err != nil {
		return nil, err
	}
	if f != nil {
		env.report(Event{Kind: EventFetched, Name: item.Name, Version: item.Version})
	} else {
		if f, err = fetch(ctx, store, env, item); err != nil {
			return nil, fmt.Errorf("fetch %s %s: %w", item.Name, item.Version, err)
		}
		if err := t.keepArtifact(item.Digest, f); err != nil {
			return nil, err
		}
	}
	all := slices.Concat(f.Blobs, f.Bundles, f.Wrappers)
	slices.Sort(all)
	pkg := Package{
		Name: item.Name, Version: item.Version, Digest: item.Digest, Params: maps.Clone(item.Params), Auto: item.Auto,
		Constraint: item.Constraint, Features: item.Features,
		Manifest: f.Manifest, Object: f.Object, KernelSig: f.KernelSig, Debug: f.Debug,
		Bundles: f.Bundles, Wrappers: f.Wrappers, Blobs: slices.Compact(all),
	}
	s, verdict, err := verify(store, env, &pkg)
	if err != nil {
		return nil, err
	}
	env.report(Event{Kind: EventVerified, Name: item.Name, Version: item.Version, Verdict: verdict})
	return s, nil
}

// stored finds an artifact that was fetched before and is still whole in the
// store; nil if there is none. So what was deleted in the registry, or a
// registry that is down, do not keep it from being installed again.
func (r *Root) stored(digest string) (*Fetched, error) {
	data, err := os.ReadFile(r.artifactPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var f Fetched
	if json.Unmarshal(data, &f) != nil || !slices.Contains(f.Blobs, digest) {
		return nil, nil // as good as none: fetching writes it anew
	}
	for _, d := range slices.Concat(f.Blobs, f.Bundles, f.Wrappers) {
		if !r.Store.Has(d) {
			return nil, nil
		}
	}
	return &f, nil
}

// keepArtifact remembers what was fetched, with the bundles, which nothing else
// ties to it.
func (t *transaction) keepArtifact(digest string, f *Fetched) error {
	path := t.root.artifactPath(digest)
	before, err := os.ReadFile(path)
	switch {
	case err == nil:
		t.did(func(context.Context) error { return writeFile(path, before) })
	case errors.Is(err, fs.ErrNotExist):
		t.did(func(context.Context) error { return remove(path) })
	default:
		return err
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(data, '\n'))
}

func (r *Root) artifactPath(digest string) string {
	return filepath.Join(r.dir, "artifacts", strings.TrimPrefix(digest, "sha256:")+".json")
}

func fetch(ctx context.Context, store *Store, env *Env, item *Item) (*Fetched, error) {
	if env.Source == nil {
		return nil, ErrNotStored
	}
	// A store of its own, so that blobs are counted and known to the outer one's
	// onPut both.
	var blobs int
	var bytes, received, expected int64
	var mu sync.Mutex // a source may fetch several at once
	counting := &Store{dir: store.dir, batch: &batch{files: map[string]string{}}, onPut: func(d string) {
		mu.Lock()
		defer mu.Unlock()
		if store.onPut != nil {
			store.onPut(d)
		}
		blobs++
		if n, err := store.Size(d); err == nil {
			bytes += n
		}
	}, onBytes: func(n int) {
		mu.Lock()
		defer mu.Unlock()
		received += int64(n)
		env.report(Event{Kind: EventProgress, Name: item.Name, Version: item.Version, Bytes: received, Total: expected})
	}, onExpect: func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		expected = received + n
	}}
	f, err := env.Source.Fetch(ctx, item.Name, item.Digest, counting)
	if err != nil {
		if derr := counting.batch.drop(); derr != nil {
			err = errors.Join(err, derr)
		}
		return nil, err
	}
	if err := counting.settle(); err != nil {
		return nil, err
	}
	env.report(Event{Kind: EventFetched, Name: item.Name, Version: item.Version, Blobs: blobs, Bytes: bytes})
	return f, nil
}

// verify reads a package from the store, every byte of it, and checks all that
// makes it fit to be given to the kernel: bundles by the policy, name and version, the
// kernel's signature, the object's digest, the kernel's requirements, parameters.
func verify(store *Store, env *Env, pkg *Package) (*staged, *signing.Verdict, error) {
	blobs, err := readAll(store, pkg)
	if err != nil {
		return nil, nil, err
	}
	var bundles [][]byte
	for _, d := range pkg.Bundles {
		bundles = append(bundles, blobs[d])
	}
	verdict, err := env.Policy.Verify(pkg.Name, pkg.Version, pkg.Digest, bundles)
	if err != nil {
		return nil, nil, err
	}
	wrong := func(format string, args ...any) error {
		return &Mismatch{pkg.Name, pkg.Version, fmt.Sprintf(format, args...)}
	}
	m, err := manifest.Parse(blobs[pkg.Manifest])
	if err != nil {
		return nil, nil, wrong("%v", err)
	}
	if m.Name != pkg.Name || m.Version != pkg.Version {
		return nil, nil, wrong("the artifact is %s %s", m.Name, m.Version)
	}
	if m.Object.Digest != pkg.Object {
		return nil, nil, wrong("object is %s, the manifest says %s", pkg.Object, m.Object.Digest)
	}
	if signed := verdict.Statement.Predicate.Object; signed != pkg.Object {
		return nil, nil, wrong("object is %s, the signature says %s", pkg.Object, signed)
	}
	if pkg.KernelSig == "" {
		return nil, nil, wrong("the artifact has no signature for the kernel")
	}
	if _, err := signing.VerifyObject(blobs[pkg.Object], blobs[pkg.KernelSig], verdict.KernelCertificates); err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", pkg.Name, pkg.Version, err)
	}
	if env.Check != nil {
		r := m.Requires
		r.Arch = m.Arch
		if findings := env.Check(r); !manifest.Fits(findings) {
			return nil, nil, &Unfit{pkg.Name, pkg.Version, findings}
		}
	}
	if _, err := m.Settings(pkg.Params); err != nil {
		return nil, nil, &BadParams{err}
	}
	pkg.Signer = Signer{Publisher: verdict.Publisher, KeyID: verdict.KeyIDs[0]}
	spec := kernel.LoadSpec{Manifest: m, Object: blobs[pkg.Object], Signature: blobs[pkg.KernelSig], Params: maps.Clone(pkg.Params)}
	for _, d := range pkg.Wrappers {
		spec.Wrappers = append(spec.Wrappers, blobs[d])
	}
	spec.Notice = func(s string) {
		env.report(Event{Kind: EventNotice, Name: pkg.Name, Version: pkg.Version, Text: s})
	}
	return &staged{pkg: *pkg, spec: spec}, verdict, nil
}

// readAll reads every blob of a package, checked against its digest.
func readAll(store *Store, pkg *Package) (map[string][]byte, error) {
	blobs := map[string][]byte{}
	for _, d := range pkg.Blobs {
		b, err := store.Get(d)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", pkg.Name, pkg.Version, err)
		}
		blobs[d] = b
	}
	return blobs, nil
}
