// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// BuildType is the build type of provenance that iupkg build makes; package
// toolchain describes its parameters.
const BuildType = "https://iupkg.dev/build/v1"

// workflowBuildType is that of GitHub's own attestations
// (https://actions.github.io/buildtypes/workflow/v1).
const workflowBuildType = "https://actions.github.io/buildtypes/workflow/v1"

// RequireProvenance is which provenance an identity's packages must have. In the
// patterns '*' stands for any text.
type RequireProvenance struct {
	Builders []string `json:"builders"`          // patterns over the builder's id
	Sources  []string `json:"sources,omitempty"` // patterns over the source's URI; none: any source
	// Keys may sign provenance in the place of the identity's own signers, as of a
	// build service.
	Keys []Key `json:"keys,omitempty"`
}

// Provenance is what a provenance statement says that a policy can ask for.
type Provenance struct {
	Builder   string `json:"builder"`
	BuildType string `json:"buildType"`
	Source    string `json:"source,omitempty"`
	Commit    string `json:"commit,omitempty"` // of git
	Signer    string `json:"signer,omitempty"`
}

func (r *RequireProvenance) validate() error {
	if len(r.Builders) == 0 {
		return errors.New("builders: no pattern, so no provenance would do")
	}
	if len(r.Builders) > maxListed || len(r.Sources) > maxListed || len(r.Keys) > maxListed {
		return fmt.Errorf("a list has more than %d entries", maxListed)
	}
	for _, p := range slices.Concat(r.Builders, r.Sources) {
		if len(p) == 0 || len(p) > 1024 {
			return fmt.Errorf("pattern %.80q: want 1 to 1024 bytes", p)
		}
	}
	_, err := publicKeys(r.Keys)
	return err
}

func (r *RequireProvenance) String() string {
	s := "provenance by builder " + strings.Join(r.Builders, " or ")
	if len(r.Sources) > 0 {
		s += " from source " + strings.Join(r.Sources, " or ")
	}
	return s
}

// check says what is wrong with provenance, "" if it is as required.
func (r *RequireProvenance) check(p *Provenance) string {
	matches := func(patterns []string, s string) bool {
		return slices.ContainsFunc(patterns, func(q string) bool { return globMatch(q, s) })
	}
	switch {
	case !matches(r.Builders, p.Builder):
		return fmt.Sprintf("provenance signed by %s names builder %.200q", p.Signer, p.Builder)
	case len(r.Sources) > 0 && p.Source == "":
		return fmt.Sprintf("provenance signed by %s names no source (build type %.200q)", p.Signer, p.BuildType)
	case len(r.Sources) > 0 && !matches(r.Sources, p.Source):
		return fmt.Sprintf("provenance signed by %s names source %.200q", p.Signer, p.Source)
	}
	return ""
}

// ParseProvenance reads a SLSA provenance predicate v1
// (https://slsa.dev/spec/v1.0/provenance). Fields of other builders that it does
// not know are of no concern; a source is read only from build types whose
// parameters are known.
func ParseProvenance(a *Attestation) (*Provenance, error) {
	if a.PredicateType != ProvenanceType {
		return nil, fmt.Errorf("predicate type is %.100q, not %q", a.PredicateType, ProvenanceType)
	}
	var p struct {
		BuildDefinition struct {
			BuildType          string `json:"buildType"`
			ExternalParameters struct {
				Source struct {
					URI    string            `json:"uri"`
					Digest map[string]string `json:"digest"`
				} `json:"source"`
				Workflow struct {
					Repository string `json:"repository"`
				} `json:"workflow"`
			} `json:"externalParameters"`
			ResolvedDependencies []struct {
				URI    string            `json:"uri"`
				Digest map[string]string `json:"digest"`
			} `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		RunDetails struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
		} `json:"runDetails"`
	}
	if err := json.Unmarshal(a.Predicate, &p); err != nil {
		return nil, fmt.Errorf("malformed provenance: %w", err)
	}
	def := &p.BuildDefinition
	out := &Provenance{Builder: p.RunDetails.Builder.ID, BuildType: def.BuildType}
	if out.Builder == "" || out.BuildType == "" {
		return nil, errors.New("malformed provenance: it names no builder or no build type")
	}
	switch def.BuildType {
	case BuildType:
		out.Source, out.Commit = def.ExternalParameters.Source.URI, def.ExternalParameters.Source.Digest["gitCommit"]
	case workflowBuildType:
		out.Source = def.ExternalParameters.Workflow.Repository
		for _, d := range def.ResolvedDependencies {
			if strings.HasPrefix(d.URI, "git+"+out.Source+"@") {
				out.Commit = d.Digest["gitCommit"]
			}
		}
	}
	return out, nil
}

// provenance finds what the identity requires among the bundles, or says why none
// of them is.
func (t *trusted) provenance(digest, object string, bundles [][]byte, revoked func(id string) bool) (*Provenance, []Found) {
	var found []Found
	seen := false
	for i, b := range bundles {
		if PredicateTypeOf(b) != ProvenanceType {
			continue
		}
		seen = true
		say := func(format string, args ...any) {
			found = append(found, Found{Publisher: t.Publisher, Bundle: i, Reason: fmt.Sprintf(format, args...)})
		}
		att, signer, err := t.builders.verify(b, digest)
		if err != nil {
			say("provenance: %v", err)
			continue
		}
		p, err := ParseProvenance(att)
		if err != nil {
			say("%v", err)
			continue
		}
		p.Signer = signer.ID
		switch why := t.Provenance.check(p); {
		case revoked(signer.ID):
			say("provenance signed by %s, which is revoked", signer.ID)
		case signer.expired(t.now()):
			say("provenance signed by %s, which expired on %s", signer.ID, day(signer.NotAfter))
		case !att.About(object):
			say("provenance signed by %s is not about object %s", signer.ID, object)
		case why != "":
			say("%s", why)
		default:
			return p, nil
		}
	}
	if !seen {
		found = append(found, Found{Publisher: t.Publisher, Bundle: -1, Reason: "no provenance at all"})
	}
	return nil, found
}

// Attested is a statement and who signed it.
type Attested struct {
	Attestation
	Signer string
}

// Attestations is what of the bundles of a package that v trusts says something
// else than that: the statements by the same publisher's signers, or for provenance
// by its builders, whose signatures hold, in order.
func (p *Policy) Attestations(v *Verdict, bundles [][]byte) []Attested {
	var out []Attested
	for i := range p.identities {
		t := &p.identities[i]
		if t.Publisher != v.Publisher {
			continue
		}
		for _, b := range bundles {
			by := &t.signers
			switch PredicateTypeOf(b) {
			case PredicateType, "":
				continue
			case ProvenanceType:
				by = &t.builders
			}
			att, signer, err := by.verify(b, v.Statement.Digest)
			if err != nil || t.Revoked.key(signer.ID) || p.revoked.key(signer.ID) || signer.expired(p.now()) {
				continue
			}
			out = append(out, Attested{*att, signer.ID})
		}
	}
	return out
}
