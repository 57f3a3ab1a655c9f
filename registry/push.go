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
	if there, err := taken(ctx, r, tag, want); there || err != nil {
		return want, err
	}
	if err := pushParts(ctx, r, p); err != nil {
		return "", err
	}
	return want, pushManifest(ctx, r, raw, tag)
}

// pushParts uploads the blobs of an artifact.
func pushParts(ctx context.Context, r *remote.Repository, p *Package) error {
	if err := pushBlob(ctx, r, MediaTypeManifest, p.Manifest); err != nil {
		return err
	}
	for i, data := range p.parts() {
		if len(data) == 0 {
			continue
		}
		if err := pushBlob(ctx, r, layers[i].mediaType, data); err != nil {
			return err
		}
	}
	return nil
}

// An Attachment is what is to be said about an artifact.
type Attachment struct {
	MediaType    string // of Payload
	ArtifactType string
	Annotations  map[string]string // of the referrer's manifest, for tools
	Payload      []byte
}

// Attach makes attachments referrers of the artifact of that digest.
func (c *Client) Attach(ctx context.Context, name, subject string, attachments ...Attachment) error {
	r, err := c.openPackage(name)
	if err != nil {
		return err
	}
	target, err := fetchManifest(ctx, r, subject)
	if err != nil {
		return err
	}
	var manifests [][]byte
	for _, a := range attachments {
		raw, err := packReferrer(target, &a)
		if err != nil {
			return err
		}
		if err := pushBlob(ctx, r, ocispec.MediaTypeEmptyJSON, emptyJSON); err != nil {
			return err
		}
		if err := pushBlob(ctx, r, a.MediaType, a.Payload); err != nil {
			return err
		}
		manifests = append(manifests, raw)
	}
	return c.attach(ctx, r, subject, manifests)
}

// packReferrer makes the manifest of a referrer. It is pure.
func packReferrer(target []byte, a *Attachment) ([]byte, error) {
	if len(a.Payload) == 0 || len(a.Payload) > MaxReferrer {
		return nil, fmt.Errorf("referrer of %d bytes, want 1 to %d", len(a.Payload), MaxReferrer)
	}
	desc := describe(ocispec.MediaTypeImageManifest, target)
	return json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: a.ArtifactType,
		Config:       describe(ocispec.MediaTypeEmptyJSON, emptyJSON),
		Layers:       []ocispec.Descriptor{describe(a.MediaType, a.Payload)},
		Subject:      &desc,
		Annotations:  a.Annotations,
	})
}

// attach pushes manifests of referrers whose blobs are there. Without a referrers
// API the list is read, changed and written back, and two who do that at once lose
// one entry: wait, look, and do it again.
func (c *Client) attach(ctx context.Context, r *remote.Repository, subject string, manifests [][]byte) error {
	const attempts = 8
	missing := manifests
	for range attempts {
		if len(missing) == 0 {
			return nil
		}
		for _, raw := range missing {
			if err := pushManifest(ctx, r, raw, digestOf(raw)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.settle + rand.N(c.settle)):
		}
		found, err := c.listReferrers(ctx, r, subject, "")
		if err != nil {
			return err
		}
		missing = slices.DeleteFunc(slices.Clone(missing), func(raw []byte) bool {
			return slices.ContainsFunc(found, func(d ocispec.Descriptor) bool { return d.Digest.String() == digestOf(raw) })
		})
	}
	if len(missing) == 0 {
		return nil
	}
	return failf(Conflict, "attach to", r.Reference.String()+"@"+subject, digestOf(missing[0]), "not among the referrers after %d attempts", attempts)
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
	return pushTyped(ctx, r, ocispec.MediaTypeImageManifest, raw, reference)
}

// pushIndex is pushManifest for an image index, whose manifests are there.
func pushIndex(ctx context.Context, r *remote.Repository, raw []byte, reference string) error {
	return pushTyped(ctx, r, ocispec.MediaTypeImageIndex, raw, reference)
}

func pushTyped(ctx context.Context, r *remote.Repository, mediaType string, raw []byte, reference string) error {
	desc := describe(mediaType, raw)
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
