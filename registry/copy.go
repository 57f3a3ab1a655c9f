// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
)

// Limits of what is copied with an artifact, beside MaxReferrers.
const (
	maxCopiedBlob  = 64 << 20 // of a referrer, in bytes
	maxCopiedParts = 64       // of a referrer
	maxCopyDepth   = 4        // of referrers of referrers
)

// PushFetched uploads an artifact that Fetch has brought into from, byte by byte as
// it is, under its version, or as a variant of its version under its digest only.
func (c *Client) PushFetched(ctx context.Context, f *Fetched, from Store, variant bool) error {
	r, err := c.openPackage(f.Name)
	if err != nil {
		return err
	}
	tag := f.Manifest.Version
	if variant {
		tag = f.Digest
	}
	if there, err := taken(ctx, r, tag, f.Digest); there || err != nil {
		return err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(f.Raw, &m); err != nil {
		return err
	}
	for _, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if err := pushStored(ctx, r, d, from); err != nil {
			return err
		}
	}
	return pushManifest(ctx, r, f.Raw, tag)
}

// pushStored uploads a blob from a store unless the registry has it.
func pushStored(ctx context.Context, r *remote.Repository, d ocispec.Descriptor, from Store) error {
	d = ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	ok, err := r.Blobs().Exists(ctx, d)
	if err != nil {
		return fail("look for blob in", r.Reference.String(), d.Digest.String(), err)
	}
	if ok {
		return nil
	}
	rc, err := from.Open(d.Digest.String())
	if err != nil {
		return err
	}
	defer rc.Close()
	return fail("push blob to", r.Reference.String(), d.Digest.String(), r.Blobs().Push(ctx, d, rc))
}

// Copied says what CopyReferrers did.
type Copied struct {
	Referrers int
	// Skipped is why others were not copied: anyone may attach what he likes, so one
	// that cannot be read is no failure of the whole.
	Skipped []error
}

// CopyReferrers copies what is attached to an artifact, of every type and as it is,
// and what is attached to that, to another registry, which must have the artifact.
// Blobs pass through a store.
func (c *Client) CopyReferrers(ctx context.Context, dst *Client, name, subject string, through Store) (*Copied, error) {
	out := &Copied{}
	from, err := c.openPackage(name)
	if err != nil {
		return nil, err
	}
	to, err := dst.openPackage(name)
	if err != nil {
		return nil, err
	}
	return out, c.copyReferrers(ctx, from, to, dst, subject, through, 0, out)
}

func (c *Client) copyReferrers(ctx context.Context, from, to *remote.Repository, dst *Client, subject string, through Store, depth int, out *Copied) error {
	list, err := c.listReferrers(ctx, from, subject, "")
	if err != nil {
		return err
	}
	there, err := dst.listReferrers(ctx, to, subject, "")
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, d := range there {
		has[d.Digest.String()] = true
	}
	var manifests [][]byte
	var copied []string
	for _, d := range list {
		raw, err := copyReferrer(ctx, from, to, d, subject, through)
		var e *Error
		switch {
		case err == nil:
		case ctx.Err() != nil || errors.As(err, &e) && e.Temporary() || !errors.As(err, &e):
			return err
		default:
			out.Skipped = append(out.Skipped, err)
			continue
		}
		copied = append(copied, d.Digest.String())
		if out.Referrers++; !has[d.Digest.String()] {
			manifests = append(manifests, raw)
		}
	}
	if err := dst.attach(ctx, to, subject, manifests); err != nil {
		return err
	}
	for _, d := range copied {
		if depth+1 < maxCopyDepth {
			if err := c.copyReferrers(ctx, from, to, dst, d, through, depth+1, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyReferrer copies the blobs of a referrer and returns its manifest.
func copyReferrer(ctx context.Context, from, to *remote.Repository, d ocispec.Descriptor, subject string, through Store) ([]byte, error) {
	refuse := func(format string, args ...any) error {
		return failf(Malformed, "copy referrer", from.Reference.String()+"@"+d.Digest.String(), "", format, args...)
	}
	if err := checkDescriptor(d, MaxManifest); err != nil {
		return nil, refuse("%w", err)
	}
	raw, err := fetchManifest(ctx, from, d.Digest.String())
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, refuse("malformed manifest: %w", err)
	}
	switch {
	case m.MediaType != ocispec.MediaTypeImageManifest:
		return nil, refuse("media type is %.100q, not %q", m.MediaType, ocispec.MediaTypeImageManifest)
	case m.Subject == nil || m.Subject.Digest.String() != subject:
		return nil, refuse("it is of another artifact")
	case len(m.Layers) > maxCopiedParts:
		return nil, refuse("%d layers, more than %d", len(m.Layers), maxCopiedParts)
	}
	for _, part := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if err := checkDescriptor(part, maxCopiedBlob); err != nil {
			return nil, refuse("%w", err)
		}
		if err := fetchBlob(ctx, from, "referrer", part, through); err != nil {
			return nil, err
		}
		if err := pushStored(ctx, to, part, through); err != nil {
			return nil, err
		}
	}
	return raw, nil
}
