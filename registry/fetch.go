// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"syscall"
	"time"

	"github.com/iupkg/iupkg/manifest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/registry/remote"
)

// Store keeps what is fetched, by digest. It must be safe for concurrent use.
type Store interface {
	// Has says whether the blob is there.
	Has(digest string) bool
	// Open reads a blob, and fails if its bytes are not those of the digest.
	Open(digest string) (io.ReadCloser, error)
	// Put stores a blob. It must keep nothing if r fails before io.EOF, which r
	// does when the bytes are not those of the digest.
	Put(digest string, r io.Reader) error
}

// Expecter is a Store that wants to be told how many bytes of an artifact are to come
// before they do.
type Expecter interface {
	Store
	Expect(bytes int64)
}

// Fetched is an artifact that is whole in the Store.
type Fetched struct {
	Name     string
	Digest   string // of the OCI manifest
	Raw      []byte // the OCI manifest
	Manifest *manifest.Manifest
	// Digests of the parts in the Store; "" for those that the artifact lacks.
	Config, Object, KernelSig, Debug, Readme, License string
}

// Fetch brings the artifact that reference names, a digest or a version, and all
// its parts into the store. What the store has is not asked for again. The digest
// is the only thing that ties the result to what was asked for: whoever gives a
// version must check Digest by a signature.
func (c *Client) Fetch(ctx context.Context, name, reference string, into Store) (*Fetched, error) {
	r, err := c.openPackage(name)
	if err != nil {
		return nil, err
	}
	byDigest := manifest.CheckDigest(reference) == nil
	var raw []byte
	if byDigest && into.Has(reference) {
		if raw, err = readStored(into, reference, MaxManifest); err != nil {
			return nil, err
		}
	} else if raw, err = fetchManifest(ctx, r, reference); err != nil {
		return nil, err
	}
	f := &Fetched{Name: name, Digest: digestOf(raw), Raw: raw}
	ref := r.Reference.String() + "@" + f.Digest
	malformed := func(err error) error {
		return &Error{Op: "fetch", Ref: ref, Kind: Malformed, Err: err}
	}
	a, err := parseArtifact(raw)
	if err != nil {
		return nil, malformed(err)
	}
	if !into.Has(f.Digest) {
		if err := into.Put(f.Digest, bytes.NewReader(raw)); err != nil {
			return nil, err
		}
	}
	if e, ok := into.(Expecter); ok {
		e.Expect(a.missing(into))
	}
	// The config comes first: if it is of another package nothing else is needed.
	f.Config = a.config.Digest.String()
	if err := fetchBlob(ctx, r, "config", a.config, into); err != nil {
		return nil, err
	}
	config, err := readStored(into, f.Config, maxConfig)
	if err != nil {
		return nil, err
	}
	if f.Manifest, err = manifest.Parse(config); err != nil {
		return nil, malformed(fmt.Errorf("config: %w", err))
	}
	if f.Manifest.Name != name {
		return nil, malformed(fmt.Errorf("the package's name is %q, not %q", f.Manifest.Name, name))
	}
	if !byDigest && f.Manifest.Version != reference {
		return nil, malformed(fmt.Errorf("the package's version is %q, not %q", f.Manifest.Version, reference))
	}
	if err := a.matches(f.Manifest); err != nil {
		return nil, malformed(err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, out := range []*string{&f.Object, &f.KernelSig, &f.Debug, &f.Readme, &f.License} {
		if d := a.parts[i]; d != nil {
			*out = d.Digest.String()
			g.Go(func() error { return fetchBlob(gctx, r, layers[i].what, *d, into) })
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return f, nil
}

// missing is the size of what a store lacks of an artifact.
func (a *artifact) missing(in Store) (bytes int64) {
	seen := map[string]bool{}
	for _, d := range append([]*ocispec.Descriptor{&a.config}, a.parts[:]...) {
		if d != nil && !seen[d.Digest.String()] && !in.Has(d.Digest.String()) {
			seen[d.Digest.String()] = true
			bytes += d.Size
		}
	}
	return bytes
}

// readStored reads a small blob back from the store, and checks it again.
func readStored(from Store, digest string, max int64) ([]byte, error) {
	rc, err := from.Open(digest)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, failf(TooLarge, "read", "the store", digest, "more than %d bytes", max)
	}
	if found := digestOf(data); found != digest {
		return nil, failf(Integrity, "read", "the store", digest, "the bytes have digest %s", found)
	}
	return data, nil
}

// fetchBlob streams a blob into the store, unless it is there.
func fetchBlob(ctx context.Context, r *remote.Repository, what string, desc ocispec.Descriptor, into Store) error {
	dgst := desc.Digest.String()
	if into.Has(dgst) {
		return nil
	}
	return withBlob(ctx, r, what, desc, func(rd io.Reader) error { return into.Put(dgst, rd) })
}

// readBlob is fetchBlob into memory.
func readBlob(ctx context.Context, r *remote.Repository, what string, desc ocispec.Descriptor) ([]byte, error) {
	var data []byte
	err := withBlob(ctx, r, what, desc, func(rd io.Reader) (err error) {
		data, err = io.ReadAll(rd)
		return err
	})
	return data, err
}

// withBlob gives consume the bytes of a blob, once.
func withBlob(ctx context.Context, r *remote.Repository, what string, desc ocispec.Descriptor, consume func(io.Reader) error) error {
	op, ref, dgst := "fetch "+what, r.Reference.String(), desc.Digest.String()
	ctx, cancel := context.WithTimeout(ctx, transferTime(desc.Size))
	defer cancel()
	rc, err := openBlob(ctx, r, desc)
	if err != nil {
		return fail(op, ref, dgst, err)
	}
	defer rc.Close()
	v := &verifier{r: rc, hash: sha256.New(), desc: desc, op: op, ref: ref}
	if err := consume(v); err != nil {
		// What the reader found is closer to the cause than what the store made of it.
		if v.err != nil {
			return v.err
		}
		return err
	}
	return v.finish()
}

// transferTime is how long n bytes may take: a registry that sends a byte now and
// then never stalls, and would hold us for ever.
func transferTime(n int64) time.Duration {
	return 60*time.Second + time.Duration(n)*time.Second/(32<<10)
}

// again repeats a small transfer that broke in the middle. The transport repeats
// requests that were never answered.
func again(ctx context.Context, do func() error) error {
	const attempts = 3
	for i := 1; ; i++ {
		err := do()
		broke := errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
		if i == attempts || ctx.Err() != nil || !broke {
			return err
		}
	}
}

// verifier passes on at most the bytes that the descriptor allows, and turns an
// early or late end, or a wrong digest, into an error in the place of io.EOF.
type verifier struct {
	r       io.Reader
	hash    hash.Hash
	desc    ocispec.Descriptor
	n       int64
	op, ref string
	done    bool
	err     error
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	// One more than there should be, to see whether there is.
	if left := v.desc.Size - v.n + 1; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := v.r.Read(p)
	v.n += int64(n)
	dgst := v.desc.Digest.String()
	if v.n > v.desc.Size {
		v.err = failf(TooLarge, v.op, v.ref, dgst, "the registry sends more than the %d bytes there should be", v.desc.Size)
		return 0, v.err
	}
	v.hash.Write(p[:n])
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		v.err = fail(v.op, v.ref, dgst, fmt.Errorf("after %d of %d bytes: %w", v.n, v.desc.Size, err))
	case v.n < v.desc.Size:
		v.err = failf(Network, v.op, v.ref, dgst, "ended after %d of %d bytes: %w", v.n, v.desc.Size, io.ErrUnexpectedEOF)
	default:
		if found := "sha256:" + hex.EncodeToString(v.hash.Sum(nil)); found != dgst {
			v.err = failf(Integrity, v.op, v.ref, dgst, "the registry sent bytes of digest %s", found)
		}
	}
	if v.err != nil {
		return n, v.err
	}
	v.done = true
	return n, io.EOF
}

// finish reads on to the end, for a consumer that stopped before.
func (v *verifier) finish() error {
	if _, err := io.Copy(io.Discard, v); err != nil {
		return err
	}
	return nil
}
