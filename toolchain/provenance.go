// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Types of what a build says of itself.
const (
	ProvenanceType = "https://slsa.dev/provenance/v1"
	BuildType      = "https://iupkg.dev/build/v1"
	// LocalBuilder is the builder's id where Options name none: a machine that
	// nobody but the publisher vouches for.
	LocalBuilder = "https://iupkg.dev/builder/local/v1"
)

type digestSet map[string]string

// resource is in-toto's ResourceDescriptor
// (https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md).
type resource struct {
	Name   string    `json:"name,omitempty"`
	URI    string    `json:"uri,omitempty"`
	Digest digestSet `json:"digest,omitempty"`
}

type provenanceStatement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     provenance `json:"predicate"`
}

// provenance is the SLSA predicate v1 (https://slsa.dev/spec/v1.0/provenance).
type provenance struct {
	BuildDefinition struct {
		BuildType            string         `json:"buildType"`
		ExternalParameters   map[string]any `json:"externalParameters"`
		InternalParameters   map[string]any `json:"internalParameters"`
		ResolvedDependencies []resource     `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Byproducts []resource `json:"byproducts"`
	} `json:"runDetails"`
}

// ingredients is all that a build was made of, for provenance and SBOM.
type ingredients struct {
	source   *source
	packages []debPackage
	pass     string // digest of the pass plugin, hex
	// What came out.
	name, version, license string
	object, manifest       []byte
	report, debug          []byte
}

func sha(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// makeProvenance says how the object came to be. It has no time and nothing of this
// machine: the same sources, toolchain and builder give the same bytes.
func (b *builder) makeProvenance(in *ingredients) ([]byte, error) {
	st := provenanceStatement{
		Type: "https://in-toto.io/Statement/v1",
		Subject: []resource{
			{Name: in.name + ".o", Digest: digestSet{"sha256": sha(in.object)}},
			{Name: fileManifest, Digest: digestSet{"sha256": sha(in.manifest)}},
		},
		PredicateType: ProvenanceType,
	}
	def := &st.Predicate.BuildDefinition
	def.BuildType = BuildType
	src := resource{URI: in.source.uri, Digest: digestSet{"dirHash": in.source.dirHash}}
	if in.source.commit != "" {
		src.Digest["gitCommit"] = in.source.commit
	}
	def.ExternalParameters = map[string]any{"source": src}
	def.InternalParameters = map[string]any{
		"target":    target,
		"rustflags": slices.Concat(codegenFlags, crateFlags),
	}
	src.Name = "source"
	def.ResolvedDependencies = append(def.ResolvedDependencies, src)
	for _, d := range b.crate.deps {
		def.ResolvedDependencies = append(def.ResolvedDependencies, d.resource())
	}
	def.ResolvedDependencies = append(def.ResolvedDependencies, resource{Name: passName, Digest: digestSet{"sha256": in.pass}})
	for _, p := range in.packages {
		def.ResolvedDependencies = append(def.ResolvedDependencies, resource{Name: p.name, URI: p.purl()})
	}
	run := &st.Predicate.RunDetails
	run.Builder.ID = b.opts.Builder
	if run.Builder.ID == "" {
		run.Builder.ID = LocalBuilder
	}
	rustc, _, _ := strings.Cut(b.tools.rustcVersion, "\n")
	run.Builder.Version = map[string]string{"rustc": rustc, "llvm": b.tools.llvmVersion}
	if b.opts.Version != "" {
		run.Builder.Version["iupkg"] = b.opts.Version
	}
	run.Byproducts = []resource{{Name: fileReport, Digest: digestSet{"sha256": sha(in.report)}}}
	return encodeJSON(st)
}

// resource names a crate: by crates.io's checksum, or the toolchain's own by the
// hash of its files.
func (d *dependency) resource() resource {
	if d.checksum == "" {
		return resource{Name: d.name, URI: purl("generic", d.name, d.version), Digest: digestSet{"dirHash": d.dirHash}}
	}
	return resource{Name: d.name, URI: purl("cargo", d.name, d.version), Digest: digestSet{"sha256": d.checksum}}
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}
