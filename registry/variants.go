// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/iupkg/iupkg/manifest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
)

// MaxVariants is how many objects a version may have.
const MaxVariants = 64

// AnnotationVariant is what a variant asks of the configuration, for who reads the
// image index.
const AnnotationVariant = "dev.iupkg.variant"

// Variants is a version with several objects, packed.
type Variants struct {
	Raw       []byte // the OCI image index
	Artifacts [][]byte
	Manifests []*manifest.Manifest // of the artifacts, in the same order
}

// Digest is that of the image index.
func (v *Variants) Digest() string { return digestOf(v.Raw) }

// Digests is those of the artifacts.
func (v *Variants) Digests() []string {
	var list []string
	for _, a := range v.Artifacts {
		list = append(list, digestOf(a))
	}
	return list
}

// PackVariants makes the OCI image index of one version and the manifests of its
// artifacts, the preferred first. It is pure, as Pack is.
func PackVariants(ps []*Package) (*Variants, error) {
	v := &Variants{}
	index := ocispec.Index{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageIndex,
		ArtifactType: ArtifactType,
	}
	for _, p := range ps {
		raw, m, err := Pack(p)
		if err != nil {
			return nil, err
		}
		if len(v.Manifests) > 0 && (m.Name != v.Manifests[0].Name || m.Version != v.Manifests[0].Version) {
			return nil, fmt.Errorf("a variant is %s %s, the first is %s %s", m.Name, m.Version, v.Manifests[0].Name, v.Manifests[0].Version)
		}
		v.Artifacts, v.Manifests = append(v.Artifacts, raw), append(v.Manifests, m)
		d := describe(ocispec.MediaTypeImageManifest, raw)
		d.ArtifactType = ArtifactType
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: m.Arch}
		if when := strings.Join(m.Requires.Config, " && "); when != "" {
			d.Annotations = map[string]string{AnnotationVariant: when}
		}
		index.Manifests = append(index.Manifests, d)
	}
	if len(v.Manifests) > 0 {
		index.Annotations = map[string]string{
			ocispec.AnnotationTitle:   v.Manifests[0].Name,
			ocispec.AnnotationVersion: v.Manifests[0].Version,
		}
	}
	var err error
	if v.Raw, err = json.Marshal(index); err != nil {
		return nil, err
	}
	_, err = ParseVariants(v.Raw)
	return v, err
}

// ParseVariants reads the image index of a version and says which artifacts it has,
// the preferred first. It refuses all that the package comment does not allow.
func ParseVariants(raw []byte) (digests []string, err error) {
	if len(raw) > MaxManifest {
		return nil, fmt.Errorf("OCI image index of %d bytes, more than %d", len(raw), MaxManifest)
	}
	var x ocispec.Index
	if err := json.Unmarshal(raw, &x); err != nil {
		return nil, fmt.Errorf("malformed OCI image index: %w", err)
	}
	switch {
	case x.SchemaVersion != 2:
		return nil, fmt.Errorf("OCI image index has schema version %d, not 2", x.SchemaVersion)
	case x.MediaType != ocispec.MediaTypeImageIndex:
		return nil, fmt.Errorf("OCI image index has media type %.100q, not %q", x.MediaType, ocispec.MediaTypeImageIndex)
	case x.ArtifactType != ArtifactType:
		return nil, fmt.Errorf("artifact type is %.100q, not %q", x.ArtifactType, ArtifactType)
	case x.Subject != nil:
		return nil, errors.New("the image index has a subject, so it is a referrer")
	case len(x.Manifests) < 2 || len(x.Manifests) > MaxVariants:
		return nil, fmt.Errorf("%d variants, want 2 to %d", len(x.Manifests), MaxVariants)
	}
	seen := map[string]bool{}
	for _, d := range x.Manifests {
		dgst := d.Digest.String()
		switch {
		case d.MediaType != ocispec.MediaTypeImageManifest || d.ArtifactType != ArtifactType:
			return nil, fmt.Errorf("variant %.100s is of media type %.100q and artifact type %.100q", dgst, d.MediaType, d.ArtifactType)
		case seen[dgst]:
			return nil, fmt.Errorf("variant %s stands twice", dgst)
		}
		if err := checkDescriptor(d, MaxManifest); err != nil {
			return nil, fmt.Errorf("variant: %w", err)
		}
		seen[dgst] = true
		digests = append(digests, dgst)
	}
	return digests, nil
}

// PushVariants is Push for a version with several objects: blobs, then the artifacts
// by digest, then the image index under the tag.
func (c *Client) PushVariants(ctx context.Context, ps []*Package) (*Variants, error) {
	v, err := PackVariants(ps)
	if err != nil {
		return nil, err
	}
	r, err := c.openPackage(v.Manifests[0].Name)
	if err != nil {
		return nil, err
	}
	tag := v.Manifests[0].Version
	if there, err := taken(ctx, r, tag, v.Digest()); there || err != nil {
		return v, err
	}
	for i, p := range ps {
		if err := pushParts(ctx, r, p); err != nil {
			return nil, err
		}
		if err := pushManifest(ctx, r, v.Artifacts[i], digestOf(v.Artifacts[i])); err != nil {
			return nil, err
		}
	}
	return v, pushIndex(ctx, r, v.Raw, tag)
}

// FetchVariants reads the image index of that digest.
func (c *Client) FetchVariants(ctx context.Context, name, digest string) (raw []byte, digests []string, err error) {
	if err := checkDigest(digest); err != nil {
		return nil, nil, err
	}
	r, err := c.openPackage(name)
	if err != nil {
		return nil, nil, err
	}
	if raw, err = fetchManifest(ctx, r, digest); err != nil {
		return nil, nil, err
	}
	if digests, err = ParseVariants(raw); err != nil {
		return nil, nil, &Error{Op: "fetch", Ref: r.Reference.String() + "@" + digest, Kind: Malformed, Err: err}
	}
	return raw, digests, nil
}

// PushFetchedVariants uploads an image index that FetchVariants has read under its
// version, after the artifacts have been uploaded by PushFetched.
func (c *Client) PushFetchedVariants(ctx context.Context, name, version string, raw []byte) error {
	if _, err := ParseVariants(raw); err != nil {
		return err
	}
	r, err := c.openPackage(name)
	if err != nil {
		return err
	}
	if there, err := taken(ctx, r, version, digestOf(raw)); there || err != nil {
		return err
	}
	return pushIndex(ctx, r, raw, version)
}

// taken says whether a tag is there and names that digest; one that names another is a
// Conflict: versions do not change.
func taken(ctx context.Context, r *remote.Repository, tag, want string) (bool, error) {
	old, err := fetchManifest(ctx, r, tag)
	switch {
	case err == nil && digestOf(old) != want:
		return false, failf(Conflict, "push", r.Reference.String()+":"+tag, want, "the version is there already, with another digest (%s)", digestOf(old))
	case err == nil:
		return true, nil
	case KindOf(err) != NotFound:
		return false, err
	}
	return false, nil
}
