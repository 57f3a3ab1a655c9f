// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
)

// Push uploads a package, blobs first, then the manifest under its tag, and
// returns the manifest's digest. Pushing the same again changes nothing. A tag
// that names something else is a Conflict: versions do not change. (A registry
// offers no way to do that check and the upload in one step, so two pushes of one
// version at the same moment can both succeed; the index decides which counts.)
func (c *Client) Push(ctx context.Context, p *Package) (string, error) {
	raw, m, err := Pack(p)
	if err != nil {
		return "", err
	}
	desc := describe(ocispec.MediaTypeImageManifest, raw)
	want := desc.Digest.String()
	r, err := c.openPackage(m.Name)
	if err != nil {
		return "", err
	}
	tag := m.Version
	switch old, err := fetchManifest(ctx, r, tag); {
	case err == nil && digestOf(old) != want:
		return "", failf(Conflict, "push", r.Reference.String()+":"+tag, want, "the version is there already, with another digest (%s)", digestOf(old))
	case err == nil:
		return want, nil
	case KindOf(err) != NotFound:
		return "", err
	}
	if err := pushBlob(ctx, r, MediaTypeManifest, p.Manifest); err != nil {
		return "", err
	}
	for i, data := range p.parts() {
		if len(data) == 0 {
			continue
		}
		if err := pushBlob(ctx, r, layers[i].mediaType, data); err != nil {
			return "", err
		}
	}
	return want, pushManifest(ctx, r, raw, tag)
}

// Attach makes payload a referrer of the artifact of that digest.
func (c *Client) Attach(ctx context.Context, name, subject, mediaType, artifactType string, payload []byte) error {
	if len(payload) == 0 || len(payload) > MaxReferrer {
		return fmt.Errorf("referrer of %d bytes, want 1 to %d", len(payload), MaxReferrer)
	}
	r, err := c.openPackage(name)
	if err != nil {
		return err
	}
	target, err := fetchManifest(ctx, r, subject)
	if err != nil {
		return err
	}
	targetDesc := describe(ocispec.MediaTypeImageManifest, target)
	raw, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       describe(ocispec.MediaTypeEmptyJSON, emptyJSON),
		Layers:       []ocispec.Descriptor{describe(mediaType, payload)},
		Subject:      &targetDesc,
	})
	if err != nil {
		return err
	}
	if err := pushBlob(ctx, r, ocispec.MediaTypeEmptyJSON, emptyJSON); err != nil {
		return err
	}
	if err := pushBlob(ctx, r, mediaType, payload); err != nil {
		return err
	}
	// Without a referrers API the list is read, changed and written back, and two
	// who do that at once lose one entry: wait, look, and do it again.
	const attempts = 8
	for range attempts {
		if err := pushManifest(ctx, r, raw, digestOf(raw)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.settle + rand.N(c.settle)):
		}
		found, err := c.listReferrers(ctx, r, subject, artifactType)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(found, func(d ocispec.Descriptor) bool { return d.Digest.String() == digestOf(raw) }) {
			return nil
		}
	}
	return failf(Conflict, "attach to", r.Reference.String()+"@"+subject, digestOf(raw), "not among the referrers after %d attempts", attempts)
}

var emptyJSON = []byte("{}")

// pushBlob uploads data unless the registry has it.
func pushBlob(ctx context.Context, r *remote.Repository, mediaType string, data []byte) error {
	desc := describe(mediaType, data)
	ok, err := r.Blobs().Exists(ctx, desc)
	if err != nil {
		return fail("look for blob in", r.Reference.String(), desc.Digest.String(), err)
	}
	if ok {
		return nil
	}
	return fail("push blob to", r.Reference.String(), desc.Digest.String(), r.Blobs().Push(ctx, desc, bytes.NewReader(data)))
}

// pushManifest uploads an image manifest under a tag or its own digest.
func pushManifest(ctx context.Context, r *remote.Repository, raw []byte, reference string) error {
	desc := describe(ocispec.MediaTypeImageManifest, raw)
	err := r.Manifests().PushReference(ctx, desc, bytes.NewReader(raw), reference)
	// The registry refuses a manifest whose blobs it lacks with 404, which is no
	// "not found" to the one who pushes.
	if e := fail("push manifest to", r.Reference.String(), desc.Digest.String(), err); e != nil {
		var typed *Error
		if errors.As(e, &typed) && typed.Kind == NotFound {
			typed.Kind = Server
		}
		return e
	}
	return nil
}
