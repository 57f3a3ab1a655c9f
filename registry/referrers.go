// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/registry/remote"
)

// Referrer is something said about an artifact.
type Referrer struct {
	Digest       string // of the referrer's own manifest
	ArtifactType string
	MediaType    string // of Payload
	Payload      []byte
	// Err says why there is no payload: anyone may attach what he likes, so one
	// that cannot be read is not a failure of the whole.
	Err error
}

// Referrers reads what is attached to an artifact, of one artifact type, in the
// registry's order. It fails only if the list cannot be read, or if no referrer
// at all could be read and the network was why.
func (c *Client) Referrers(ctx context.Context, name, subject, artifactType string) ([]Referrer, error) {
	return c.referrersOf(ctx, name, subject, artifactType, "", "")
}

// Wrappers is Referrers for the modules made ahead for kernels of that release. The
// others are not fetched.
func (c *Client) Wrappers(ctx context.Context, name, subject, release string) ([]Referrer, error) {
	list, err := c.referrersOf(ctx, name, subject, WrapperArtifactType, AnnotationKernelRelease, release)
	return slices.DeleteFunc(list, func(r Referrer) bool { return r.Err == nil && r.Payload == nil }), err
}

// referrersOf reads what is attached, of those that have an annotation or of all.
func (c *Client) referrersOf(ctx context.Context, name, subject, artifactType, key, value string) ([]Referrer, error) {
	if err := checkDigest(subject); err != nil {
		return nil, err
	}
	r, err := c.openPackage(name)
	if err != nil {
		return nil, err
	}
	list, err := c.listReferrers(ctx, r, subject, artifactType)
	if err != nil {
		return nil, err
	}
	found := make([]Referrer, len(list))
	parts := make([]*ocispec.Descriptor, len(list))
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, d := range list {
		g.Go(func() error {
			ref := &found[i]
			ref.Digest, ref.ArtifactType = d.Digest.String(), artifactType
			layer, notes, err := readReferrer(ctx, r, d, subject, artifactType)
			if ref.Err = err; key == "" || notes[key] == value {
				parts[i] = layer
			}
			return nil
		})
	}
	_ = g.Wait()
	// The smallest first, so that the many and large do not crowd out a signature.
	var order []int
	for i := range parts {
		if parts[i] != nil {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(parts[a].Size, parts[b].Size) })
	left := int64(maxReferrersBytes)
	for _, i := range order {
		if left -= parts[i].Size; left < 0 {
			found[i].Err = failf(TooLarge, "read referrer", r.Reference.String()+"@"+found[i].Digest, "", "the referrers have more than %d bytes together", maxReferrersBytes)
			continue
		}
		g.Go(func() error {
			ref := &found[i]
			ref.MediaType = parts[i].MediaType
			ref.Payload, ref.Err = readBlob(ctx, r, "referrer", *parts[i])
			return nil
		})
	}
	_ = g.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var network error
	readable := false
	for _, ref := range found {
		if ref.Err == nil {
			readable = true
		} else if e := (*Error)(nil); errors.As(ref.Err, &e) && e.Temporary() {
			network = ref.Err
		}
	}
	if network != nil && !readable {
		return nil, network
	}
	return found, nil
}

// parallel is how many small things are asked for at once.
const parallel = 4

// Of all referrers of an artifact together, and of one's manifest, in bytes.
const (
	maxReferrersBytes   = 16 << 20
	maxReferrerManifest = 64 << 10
)

// listReferrers is the descriptors of an artifact's referrers, each once.
func (c *Client) listReferrers(ctx context.Context, r *remote.Repository, subject, artifactType string) ([]ocispec.Descriptor, error) {
	var list []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	full := errors.New("enough")
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(subject)}
	err := r.Referrers(ctx, desc, artifactType, func(page []ocispec.Descriptor) error {
		for _, d := range page {
			if seen[d.Digest] {
				continue
			}
			if len(list) == MaxReferrers {
				return full
			}
			seen[d.Digest] = true
			list = append(list, d)
		}
		return nil
	})
	if err != nil && !errors.Is(err, full) {
		err = fail("list referrers of", r.Reference.String()+"@"+subject, "", err)
		if KindOf(err) == NotFound {
			return nil, nil
		}
		return nil, err
	}
	return list, nil
}

// readReferrer reads a referrer's manifest and returns its one layer.
func readReferrer(ctx context.Context, r *remote.Repository, d ocispec.Descriptor, subject, artifactType string) (*ocispec.Descriptor, map[string]string, error) {
	if err := checkDescriptor(d, maxReferrerManifest); err != nil {
		return nil, nil, err
	}
	raw, err := fetchManifest(ctx, r, d.Digest.String())
	if err != nil {
		return nil, nil, err
	}
	layer, err := parseReferrer(raw, subject, artifactType)
	if err != nil {
		return nil, nil, failf(Malformed, "read referrer", r.Reference.String()+"@"+d.Digest.String(), "", "%w", err)
	}
	var notes struct{ Annotations map[string]string }
	if err := json.Unmarshal(raw, &notes); err != nil {
		return nil, nil, failf(Malformed, "read referrer", r.Reference.String()+"@"+d.Digest.String(), "", "%w", err)
	}
	return layer, notes.Annotations, nil
}

// parseReferrer reads a referrer's manifest and returns its one layer.
func parseReferrer(raw []byte, subject, artifactType string) (*ocispec.Descriptor, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("malformed manifest: %w", err)
	}
	switch {
	case m.MediaType != ocispec.MediaTypeImageManifest:
		return nil, fmt.Errorf("media type is %.100q, not %q", m.MediaType, ocispec.MediaTypeImageManifest)
	case m.ArtifactType != artifactType:
		return nil, fmt.Errorf("artifact type is %.100q, not %q", m.ArtifactType, artifactType)
	case m.Subject == nil || m.Subject.Digest.String() != subject:
		return nil, errors.New("it is of another artifact")
	case len(m.Layers) != 1:
		return nil, fmt.Errorf("it has %d layers, not one", len(m.Layers))
	}
	if err := checkDescriptor(m.Layers[0], MaxReferrer); err != nil {
		return nil, err
	}
	return &m.Layers[0], nil
}
