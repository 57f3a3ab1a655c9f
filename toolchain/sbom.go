// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// The parts of SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/) that are used.
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		DataLicense   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID            string         `json:"SPDXID"`
		Name          string         `json:"name"`
		Version       string         `json:"versionInfo,omitempty"`
		Download      string         `json:"downloadLocation"`
		FilesAnalyzed bool           `json:"filesAnalyzed"`
		Checksums     []spdxChecksum `json:"checksums,omitempty"`
		Concluded     string         `json:"licenseConcluded"`
		Declared      string         `json:"licenseDeclared"`
		Copyright     string         `json:"copyrightText"`
		Purpose       string         `json:"primaryPackagePurpose,omitempty"`
		Refs          []spdxRef      `json:"externalRefs,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

const (
	spdxNone = "NOASSERTION"
	spdxRoot = "SPDXRef-Package"
)

// makeSBOM lists what is in the object and what made it: the crates with the
// checksums that were vetted, core, which every object contains parts of, and the
// packages of the toolchain.
func (b *builder) makeSBOM(in *ingredients) ([]byte, error) {
	doc := spdxDocument{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT",
		Name: in.name + "-" + in.version,
		// Unique to the content, as SPDX wants it, without chance.
		Namespace: "https://iupkg.dev/spdx/" + in.name + "-" + in.version + "-" + sha(in.object),
		Creation:  spdxCreation{Created: in.source.created().Format(time.RFC3339), Creators: []string{"Tool: " + strings.TrimSuffix("iupkg-"+b.opts.Version, "-")}},
	}
	add := func(p spdxPackage, relations ...spdxRelationship) {
		p.Concluded, p.Copyright = spdxNone, spdxNone
		if p.Download == "" {
			p.Download = spdxNone
		}
		if p.Declared == "" {
			p.Declared = spdxNone
		}
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, relations...)
	}
	root := spdxPackage{ID: spdxRoot, Name: in.name, Version: in.version, Declared: in.license, Purpose: "LIBRARY",
		Checksums: []spdxChecksum{{"SHA256", sha(in.object)}}, Refs: []spdxRef{purlRef(purl("generic", in.name, in.version))}}
	if in.source.uri != "" && in.source.commit != "" {
		root.Download = in.source.uri + "@" + in.source.commit
	}
	add(root, spdxRelationship{doc.ID, "DESCRIBES", spdxRoot})
	for i := range b.crate.deps {
		d := &b.crate.deps[i]
		p := spdxPackage{ID: "SPDXRef-crate-" + d.name, Name: d.name, Version: d.version, Declared: d.license, Purpose: "LIBRARY"}
		if d.checksum != "" {
			p.Download = "https://static.crates.io/crates/" + d.name + "/" + d.name + "-" + d.version + ".crate"
			p.Checksums = []spdxChecksum{{"SHA256", d.checksum}}
			p.Refs = []spdxRef{purlRef(purl("cargo", d.name, d.version))}
		}
		relation := spdxRelationship{p.ID, "BUILD_DEPENDENCY_OF", spdxRoot}
		if d.linked {
			relation = spdxRelationship{spdxRoot, "STATIC_LINK", p.ID}
		}
		add(p, relation)
	}
	add(spdxPackage{ID: "SPDXRef-core", Name: "core", Version: b.tools.release, Declared: "MIT OR Apache-2.0", Purpose: "LIBRARY"},
		spdxRelationship{spdxRoot, "STATIC_LINK", "SPDXRef-core"})
	add(spdxPackage{ID: "SPDXRef-pass", Name: passName, Purpose: "LIBRARY", Checksums: []spdxChecksum{{"SHA256", in.pass}}},
		spdxRelationship{"SPDXRef-pass", "BUILD_TOOL_OF", spdxRoot})
	for _, p := range in.packages {
		id := "SPDXRef-deb-" + p.name
		add(spdxPackage{ID: id, Name: p.name, Version: p.version, Purpose: "APPLICATION", Refs: []spdxRef{purlRef(p.purl())}},
			spdxRelationship{id, "BUILD_TOOL_OF", spdxRoot})
	}
	return encodeJSON(doc)
}

func purlRef(purl string) spdxRef { return spdxRef{"PACKAGE-MANAGER", "purl", purl} }

// created is the time that SPDX insists on: SOURCE_DATE_EPOCH, else the commit's,
// else the beginning of 1970, so that the same build says the same.
func (s *source) created() time.Time {
	if n, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil && n >= 0 {
		return time.Unix(n, 0).UTC()
	}
	if !s.when.IsZero() {
		return s.when
	}
	return time.Unix(0, 0).UTC()
}
