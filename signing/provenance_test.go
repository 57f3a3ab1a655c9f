// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// explained insists on a refusal that says why.
func explained(t *testing.T, err error, why string) {
	t.Helper()
	var u *Untrusted
	if !errors.As(err, &u) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if text := strings.Join(u.Explain(), "\n"); !strings.Contains(text, why) {
		t.Errorf("the refusal does not say %q:\n%s", why, text)
	}
}

func provenance(builder, source string) json.RawMessage {
	return fmt.Appendf(nil, `{"buildDefinition":{"buildType":%q,"externalParameters":{"source":{"uri":%q,"digest":{"gitCommit":"c0ffee"}}}},"runDetails":{"builder":{"id":%q}}}`,
		BuildType, source, builder)
}

func attest(t testing.TB, k *Keys, kind string, predicate json.RawMessage, digests ...string) []byte {
	t.Helper()
	a := &Attestation{PredicateType: kind, Predicate: predicate}
	for _, d := range digests {
		a.Subjects = append(a.Subjects, Subject{Name: "x", Digest: map[string]string{"sha256": strings.TrimPrefix(d, "sha256:")}})
	}
	b, err := k.SignAttestation(a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProvenanceRequired(t *testing.T) {
	a, ci := testKeys()
	const builder, source = "https://ci.example.org/runner", "git+https://forge.example.org/acme/bmc"
	require := func(r RequireProvenance) *Identity {
		id := identity(t, a, "bmc")
		id.Provenance = &r
		return id
	}
	byCI := require(RequireProvenance{Builders: []string{builder}, Keys: identity(t, ci, "x").Keys})
	revoked := require(RequireProvenance{Builders: []string{builder}, Keys: byCI.Provenance.Keys})
	ciID, err := KeyID(ci.Publisher.Public())
	if err != nil {
		t.Fatal(err)
	}
	revoked.Revoked = &Revoked{Keys: []string{ciID}}
	plain := RequireProvenance{Builders: []string{builder}}
	sourced := RequireProvenance{Builders: []string{"https://other", "https://ci.example.org/*"}, Sources: []string{"git+https://forge.example.org/acme/*"}}
	signed := sign(t, a, statement("bmc", "1.2.1", "m"))
	by := func(k *Keys, builder, source string) []byte {
		return attest(t, k, ProvenanceType, provenance(builder, source), sha("m"), sha("object"))
	}
	github := json.RawMessage(`{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1",
		"externalParameters":{"workflow":{"repository":"https://forge.example.org/acme/bmc","ref":"refs/tags/v1"}},
		"resolvedDependencies":[{"uri":"git+https://forge.example.org/acme/bmc@refs/tags/v1","digest":{"gitCommit":"c0ffee"}}]},
		"runDetails":{"builder":{"id":"https://ci.example.org/runner","version":{}}}}`)
	for name, c := range map[string]struct {
		id    *Identity
		extra [][]byte
		why   string // "" if trusted
	}{
		"good":               {require(plain), [][]byte{by(a, builder, source)}, ""},
		"patterns":           {require(sourced), [][]byte{by(a, builder, source)}, ""},
		"others are ignored": {require(plain), [][]byte{by(ci, builder, source), by(a, "https://x", source), by(a, builder, source)}, ""},
		"builder's key":      {byCI, [][]byte{by(ci, builder, source)}, ""},
		"another builder's format": {require(RequireProvenance{Builders: []string{builder}, Sources: []string{"https://forge.example.org/acme/bmc"}}),
			[][]byte{attest(t, a, ProvenanceType, github, sha("m"), sha("object"))}, ""},
		"none":              {require(plain), nil, "no provenance at all"},
		"an SBOM is none":   {require(plain), [][]byte{attest(t, a, SBOMType, json.RawMessage(`{}`), sha("m"))}, "no provenance at all"},
		"other builder":     {require(plain), [][]byte{by(a, "https://laptop", source)}, `names builder "https://laptop"`},
		"builder prefix":    {require(plain), [][]byte{by(a, builder+"/x", source)}, "names builder"},
		"other source":      {require(sourced), [][]byte{by(a, builder, "git+https://forge.example.org/acme-evil/bmc")}, "names source"},
		"no source":         {require(sourced), [][]byte{by(a, builder, "")}, "names no source"},
		"not the builder's": {byCI, [][]byte{by(a, builder, source)}, "not trusted, or does not hold"},
		"builder revoked":   {revoked, [][]byte{by(ci, builder, source)}, "which is revoked"},
		"other artifact":    {require(plain), [][]byte{attest(t, a, ProvenanceType, provenance(builder, source), sha("other"), sha("object"))}, "over another artifact"},
		"other object":      {require(plain), [][]byte{attest(t, a, ProvenanceType, provenance(builder, source), sha("m"), sha("other"))}, "is not about object"},
		"not provenance":    {require(plain), [][]byte{attest(t, a, ProvenanceType, json.RawMessage(`[]`), sha("m"), sha("object"))}, "malformed provenance"},
		"unknown type": {require(sourced), [][]byte{attest(t, a, ProvenanceType, json.RawMessage(strings.Replace(string(provenance(builder, source)), BuildType, "https://x", 1)), sha("m"), sha("object"))},
			"names no source"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := policy(t, c.id).Verify("bmc", "1.2.1", sha("m"), append([][]byte{signed}, c.extra...))
			if c.why != "" {
				explained(t, err, c.why)
				explained(t, err, "required: signatures by 1 of the keys of acme")
				explained(t, err, "provenance by builder https://")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p := v.Provenance; p == nil || p.Builder != builder || p.Commit != "c0ffee" {
				t.Errorf("provenance is %+v", p)
			}
		})
	}
}

// Provenance and SBOM are no signature of the package, whoever made them.
func TestAttestationIsNoSignature(t *testing.T) {
	a, _ := testKeys()
	p := policy(t, identity(t, a, "bmc"))
	_, err := p.Verify("bmc", "1.2.1", sha("m"), [][]byte{
		attest(t, a, ProvenanceType, provenance("https://x", ""), sha("m")), attest(t, a, SBOMType, json.RawMessage(`{}`), sha("m")),
	})
	explained(t, err, "no signature at all")
	ours := json.RawMessage(`{"name":"bmc","version":"1.2.1","object":"` + sha("object") + `","hooks":[]}`)
	_, err = p.Verify("bmc", "1.2.1", sha("m"), [][]byte{attest(t, a, PredicateType, ours, sha("m"), sha("n"))})
	explained(t, err, "2 subjects, not one")
}

func TestProvenanceSettings(t *testing.T) {
	a, _ := testKeys()
	for _, r := range []RequireProvenance{{}, {Builders: []string{""}}, {Builders: []string{"x"}, Sources: []string{""}}, {Builders: []string{"x"}, Keys: []Key{{PEM: "x"}}}} {
		id := identity(t, a, "bmc")
		id.Provenance = &r
		if err := id.Validate(); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
}
