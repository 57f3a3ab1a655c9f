// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

// bundleAttachment is a sigstore bundle as cosign attaches it.
func bundleAttachment(predicateType string, bundle []byte) registry.Attachment {
	return registry.Attachment{
		MediaType:    signing.BundleMediaType,
		ArtifactType: signing.BundleMediaType,
		Annotations: map[string]string{
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": predicateType,
		},
		Payload: bundle,
	}
}

// attestBuild signs what the build in dir says of itself, about the artifact of that
// digest too.
func (a *app) attestBuild(keys *signing.Keys, dir string, m *manifest.Manifest, digest string) ([]registry.Attachment, error) {
	artifact := signing.Subject{Name: m.Name, Digest: map[string]string{"sha256": strings.TrimPrefix(digest, "sha256:")}}
	object := signing.Subject{Name: m.Name + ".o", Digest: map[string]string{"sha256": strings.TrimPrefix(m.Object.Digest, "sha256:")}}
	var out []registry.Attachment
	sign := func(att *signing.Attestation) error {
		b, err := keys.SignAttestation(att)
		if err == nil && len(b) > signing.MaxBundle {
			err = fmt.Errorf("%s: a bundle of %d bytes, more than %d", att.PredicateType, len(b), signing.MaxBundle)
		}
		out = append(out, bundleAttachment(att.PredicateType, b))
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "provenance.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.ui.warn("the build left no provenance, so none is published")
	case err != nil:
		return nil, err
	default:
		path := filepath.Join(dir, "provenance.json")
		att, err := signing.ParseAttestation(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if _, err := signing.ParseProvenance(att); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if !att.About(m.Object.Digest) {
			return nil, withHint(fmt.Errorf("%s is of another build than the object", path), "run iupkg build again")
		}
		att.Subjects = append([]signing.Subject{artifact}, att.Subjects...)
		if err := sign(att); err != nil {
			return nil, err
		}
	}
	text, err = os.ReadFile(filepath.Join(dir, "sbom.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.ui.warn("the build left no SBOM, so none is published")
	case err != nil:
		return nil, err
	case !json.Valid(text):
		return nil, fmt.Errorf("%s: not JSON", filepath.Join(dir, "sbom.json"))
	case !strings.Contains(string(text), strings.TrimPrefix(m.Object.Digest, "sha256:")):
		return nil, withHint(fmt.Errorf("%s is of another build than the object", filepath.Join(dir, "sbom.json")), "run iupkg build again")
	default:
		att := &signing.Attestation{PredicateType: signing.SBOMType, Predicate: text, Subjects: []signing.Subject{artifact, object}}
		if err := sign(att); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bundlesOf is the bundles of an artifact: from the store if the package is
// installed, else from the registry.
func (a *app) bundlesOf(ctx context.Context, name, digest string) ([][]byte, error) {
	g, err := a.root().Current()
	if err != nil {
		return nil, err
	}
	if p := g.Find(name); p != nil && p.Digest == digest {
		var out [][]byte
		for _, d := range p.Bundles {
			b, err := a.root().Store.Get(d)
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
		return out, nil
	}
	if a.offline {
		return nil, withHint(fmt.Errorf("%s is not installed, so what is attached to it is not on this machine", name), "leave out --offline")
	}
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	refs, err := client.Referrers(ctx, name, digest, signing.BundleMediaType)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, r := range refs {
		if r.Err == nil {
			out = append(out, r.Payload)
		}
	}
	return out, nil
}

// attestation is the package's statement of that type by a trusted publisher.
func (a *app) attestation(ctx context.Context, name, version, digest, predicateType string) (*signing.Attested, error) {
	bundles, err := a.bundlesOf(ctx, name, digest)
	if err != nil {
		return nil, err
	}
	policy, err := a.policy()
	if err != nil {
		return nil, err
	}
	v, err := policy.Verify(name, version, digest, bundles)
	if err != nil {
		return nil, err
	}
	for _, att := range policy.Attestations(v, bundles) {
		if att.PredicateType == predicateType && att.About(v.Statement.Predicate.Object) {
			return &att, nil
		}
	}
	return nil, fmt.Errorf("%s %s has no statement of type %s by %s", name, version, predicateType, v.Publisher)
}

// showAttestation is info with --provenance or --sbom.
func (a *app) showAttestation(ctx context.Context, name, version, digest, predicateType string) error {
	att, err := a.attestation(ctx, name, version, digest, predicateType)
	if err != nil {
		return err
	}
	var predicate any
	if err := json.Unmarshal(att.Predicate, &predicate); err != nil {
		return err
	}
	a.ui.step("%s of %s %s, signed by %s", predicateType, name, version, att.Signer)
	return a.ui.answer(predicate, func(w io.Writer) {
		if predicateType == signing.ProvenanceType {
			writeProvenance(w, att)
			return
		}
		writeSBOM(w, att.Predicate)
	})
}

func writeProvenance(w io.Writer, att *signing.Attested) {
	p, err := signing.ParseProvenance(&att.Attestation)
	if err != nil {
		fmt.Fprintln(w, err)
		return
	}
	rows := []string{row("builder", p.Builder), row("build type", p.BuildType)}
	if p.Source != "" {
		rows = append(rows, row("source", p.Source))
	}
	if p.Commit != "" {
		rows = append(rows, row("commit", p.Commit))
	}
	var more struct {
		BuildDefinition struct {
			ResolvedDependencies []struct {
				Name   string            `json:"name"`
				URI    string            `json:"uri"`
				Digest map[string]string `json:"digest"`
			} `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
	}
	_ = json.Unmarshal(att.Predicate, &more) // ParseProvenance has read it
	for _, d := range more.BuildDefinition.ResolvedDependencies {
		text := d.URI
		if text == "" {
			text = d.Name
		}
		rows = append(rows, row("made of", strings.TrimSpace(text+" "+pairs(d.Digest))))
	}
	table(w, "", append(rows, row("signed by", att.Signer))...)
}

func writeSBOM(w io.Writer, doc []byte) {
	var sbom struct {
		Packages []struct {
			Name    string `json:"name"`
			Version string `json:"versionInfo"`
			License string `json:"licenseDeclared"`
			Sums    []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"checksumValue"`
			} `json:"checksums"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(doc, &sbom); err != nil {
		fmt.Fprintln(w, err)
		return
	}
	var rows []string
	for _, p := range sbom.Packages {
		sum := ""
		if len(p.Sums) > 0 {
			sum = strings.ToLower(p.Sums[0].Algorithm) + ":" + p.Sums[0].Value
		}
		rows = append(rows, row(p.Name, p.Version, p.License, sum))
	}
	table(w, "NAME\tVERSION\tLICENSE\tCHECKSUM", rows...)
}
