// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/iupkg/iupkg/manifest"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of the artifact and its parts.
const (
	ArtifactType       = "application/vnd.iupkg.extension.v1"
	MediaTypeManifest  = "application/vnd.iupkg.manifest.v1+json"
	MediaTypeObject    = "application/vnd.iupkg.object.v1+elf"
	MediaTypeKernelSig = "application/vnd.iupkg.kernel-signature.v1+pkcs7"
	MediaTypeDebug     = "application/vnd.iupkg.debug.v1+elf"
	MediaTypeReadme    = "text/markdown"
	MediaTypeLicense   = "text/plain"
)

// Of modules made ahead, which are referrers.
const (
	WrapperArtifactType     = "application/vnd.iupkg.wrapper.v1"
	MediaTypeModule         = "application/vnd.iupkg.module.v1+elf"
	AnnotationKernelRelease = "dev.iupkg.kernel.release"
)

// Limits, in bytes and in number.
const (
	MaxManifest  = 1 << 20 // the OCI manifest
	MaxReferrer  = 1 << 20 // a referrer's payload
	MaxReferrers = 1024
)

// layers is every kind of layer, in the order of the artifact.
var layers = []struct {
	mediaType string
	what      string
	title     string // "%s" is the package's name
	max       int64  // bytes
	required  bool
}{
	{MediaTypeObject, "object", "%s.o", 4 << 20, true},
	{MediaTypeKernelSig, "kernel signature", "%s.o.p7s", 64 << 10, true},
	{MediaTypeDebug, "debug data", "%s.debug", 64 << 20, false},
	{MediaTypeReadme, "readme", "README.md", 1 << 20, false},
	{MediaTypeLicense, "licence", "LICENSE", 1 << 20, false},
}

const maxConfig = 1 << 20

// Package is what is pushed: a version of an extension.
type Package struct {
	Manifest  []byte // of the extension, as package manifest encodes it
	Object    []byte
	KernelSig []byte
	Debug     []byte // these may be empty
	Readme    []byte
	License   []byte
	// Version may be empty; otherwise it must be the manifest's.
	Version string
}

// parts is the layers in order, nil where there is none.
func (p *Package) parts() [][]byte {
	return [][]byte{p.Object, p.KernelSig, p.Debug, p.Readme, p.License}
}

// Pack makes the OCI manifest of a package. It is pure: the digest of raw is
// known, and can be signed, before anything is pushed.
func Pack(p *Package) (raw []byte, m *manifest.Manifest, err error) {
	m, err = manifest.Parse(p.Manifest)
	if err != nil {
		return nil, nil, err
	}
	if p.Version != "" && p.Version != m.Version {
		return nil, nil, fmt.Errorf("the version is %s, the manifest says %s", p.Version, m.Version)
	}
	out := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: ArtifactType,
		Config:       describe(MediaTypeManifest, p.Manifest),
		Annotations: map[string]string{
			ocispec.AnnotationTitle:   m.Name,
			ocispec.AnnotationVersion: m.Version,
		},
	}
	for i, data := range p.parts() {
		if len(data) == 0 {
			continue
		}
		d := describe(layers[i].mediaType, data)
		title := layers[i].title
		if bytes.Contains([]byte(title), []byte("%s")) {
			title = fmt.Sprintf(title, m.Name)
		}
		d.Annotations = map[string]string{ocispec.AnnotationTitle: title}
		out.Layers = append(out.Layers, d)
	}
	if raw, err = json.Marshal(out); err != nil {
		return nil, nil, err
	}
	// What this would refuse to fetch it does not push.
	a, err := parseArtifact(raw)
	if err != nil {
		return nil, nil, err
	}
	return raw, m, a.matches(m)
}

// artifact is an OCI manifest that has been found to be of ours.
type artifact struct {
	config ocispec.Descriptor
	parts  [5]*ocispec.Descriptor // as in layers
}

// parseArtifact reads an OCI manifest and refuses all that the package comment
// does not allow.
func parseArtifact(raw []byte) (*artifact, error) {
	if len(raw) > MaxManifest {
		return nil, fmt.Errorf("OCI manifest of %d bytes, more than %d", len(raw), MaxManifest)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("malformed OCI manifest: %w", err)
	}
	switch {
	case m.SchemaVersion != 2:
		return nil, fmt.Errorf("OCI manifest has schema version %d, not 2", m.SchemaVersion)
	case m.MediaType != ocispec.MediaTypeImageManifest:
		return nil, fmt.Errorf("OCI manifest has media type %.100q, not %q", m.MediaType, ocispec.MediaTypeImageManifest)
	case m.ArtifactType != ArtifactType:
		return nil, fmt.Errorf("artifact type is %.100q, not %q", m.ArtifactType, ArtifactType)
	case m.Subject != nil:
		return nil, errors.New("the artifact has a subject, so it is a referrer")
	case m.Config.MediaType != MediaTypeManifest:
		return nil, fmt.Errorf("config has media type %.100q, not %q", m.Config.MediaType, MediaTypeManifest)
	}
	if err := checkDescriptor(m.Config, maxConfig); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	a := &artifact{config: m.Config}
next:
	for _, d := range m.Layers {
		for i, l := range layers {
			if d.MediaType != l.mediaType {
				continue
			}
			if a.parts[i] != nil {
				return nil, fmt.Errorf("%s: there are two", l.what)
			}
			if err := checkDescriptor(d, l.max); err != nil {
				return nil, fmt.Errorf("%s: %w", l.what, err)
			}
			a.parts[i] = &d
			continue next
		}
		return nil, fmt.Errorf("layer of unknown media type %.100q", d.MediaType)
	}
	for i, l := range layers {
		if l.required && a.parts[i] == nil {
			return nil, fmt.Errorf("%s: there is none", l.what)
		}
	}
	return a, nil
}

// matches checks that the extension's manifest speaks of this artifact.
func (a *artifact) matches(m *manifest.Manifest) error {
	object := a.parts[0]
	if m.Object.Digest != object.Digest.String() || m.Object.Size != object.Size {
		return fmt.Errorf("the manifest is of object %s, %d bytes, the artifact has %s, %d bytes",
			m.Object.Digest, m.Object.Size, object.Digest, object.Size)
	}
	return nil
}

func checkDescriptor(d ocispec.Descriptor, max int64) error {
	if err := checkDigest(d.Digest.String()); err != nil {
		return err
	}
	if d.Size < 1 || d.Size > max {
		return fmt.Errorf("size is %d bytes, want 1 to %d", d.Size, max)
	}
	if len(d.URLs) > 0 || len(d.Data) > 0 {
		return errors.New("the descriptor has urls or data")
	}
	return nil
}

func checkDigest(d string) error {
	if err := manifest.CheckDigest(d); err != nil {
		return fmt.Errorf("malformed digest %.80q", d)
	}
	return nil
}

func describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(digestOf(data)), Size: int64(len(data))}
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
