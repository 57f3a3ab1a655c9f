// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

const (
	issuer  = "https://token.example.org"
	release = "https://forge.example.org/acme/bmc/.release.yml@refs/tags/v1.2.1"
)

// sigstore is sigstore-go's own stand-in for Fulcio, Rekor and a time stamping
// authority: it lives in this process, but its certificates, log entries,
// checkpoints, inclusion proofs and time stamps are real, under keys that only its
// trusted root names. It issues certificates without SCTs, and its proofs are of a
// tree of two leaves.
func sigstore(t testing.TB) *ca.VirtualSigstore {
	t.Helper()
	s, err := ca.NewVirtualSigstoreWithExistingRekorEntry()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// trustedRoot is the trusted_root.json of s.
func trustedRoot(t testing.TB, s *ca.VirtualSigstore) json.RawMessage {
	t.Helper()
	logs := s.RekorLogs()
	for id, l := range logs {
		raw, err := hex.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		l.ID = raw
	}
	tr, err := root.NewTrustedRoot(root.TrustedRootMediaType01, s.FulcioCertificateAuthorities(), nil, s.TimestampingAuthorities(), logs)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tr.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keylessBundle is the bundle that a tool would write after signing with s.
func keylessBundle(t testing.TB, s *ca.VirtualSigstore, subject string, payload []byte, edit func(*protobundle.Bundle)) []byte {
	t.Helper()
	e, err := s.AttestAtTime(subject, issuer, payload, time.Now().Add(5*time.Minute), true)
	if err != nil {
		t.Fatal(err)
	}
	content, err := e.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	sc, err := e.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	env := sc.(*bundle.Envelope)
	sig, err := base64.StdEncoding.DecodeString(env.Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := e.TlogEntries()
	if err != nil {
		t.Fatal(err)
	}
	// What the entry keeps to itself: what kind it is, and Rekor's promise.
	entry := entries[0].TransparencyLogEntry()
	entry.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
	promise, err := s.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(entry.CanonicalizedBody), IntegratedTime: entry.IntegratedTime,
		LogIndex: entry.LogIndex, LogID: hex.EncodeToString(entry.LogId.KeyId),
	})
	if err != nil {
		t.Fatal(err)
	}
	entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
	stamps, err := e.Timestamps()
	if err != nil {
		t.Fatal(err)
	}
	b := &protobundle.Bundle{
		MediaType: BundleMediaType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_Certificate{
				Certificate: &protocommon.X509Certificate{RawBytes: content.Certificate().Raw},
			},
			TlogEntries:               []*protorekor.TransparencyLogEntry{entry},
			TimestampVerificationData: &protobundle.TimestampVerificationData{Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamps[0]}}},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: PayloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}
	if edit != nil {
		edit(b)
	}
	out, err := marshalProto(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestKeyless(t *testing.T) {
	a, _ := testKeys()
	s := sigstore(t)
	trust := func(subjects ...string) *Identity {
		id := identity(t, a, "bmc")
		id.Keys = nil
		id.Keyless = &Keyless{TrustedRoot: trustedRoot(t, s)}
		for _, sub := range subjects {
			id.Keyless.Identities = append(id.Keyless.Identities, CertificateIdentity{Issuer: issuer, Subject: sub})
		}
		return id
	}
	payload, err := statement("bmc", "1.2.1", "m").encode()
	if err != nil {
		t.Fatal(err)
	}
	other, err := statement("bmc", "1.2.1", "other").encode()
	if err != nil {
		t.Fatal(err)
	}
	dave := "dave@example.org"
	good := keylessBundle(t, s, dave, payload, nil)
	withBoth := trust(dave)
	withBoth.Keys = identity(t, a, "bmc").Keys
	withBoth.Threshold = 2
	anyTag := trust("https://forge.example.org/acme/bmc/*@refs/tags/*")
	otherIssuer := trust(dave)
	otherIssuer.Keyless.Identities[0].Issuer = "https://evil.example.org"
	otherRoot := trust(dave)
	otherRoot.Keyless.TrustedRoot = trustedRoot(t, sigstore(t))
	twice := trust("*@example.org")
	twice.Keys = identity(t, a, "bmc").Keys
	twice.Threshold = 2
	material := func(f func(*protobundle.VerificationMaterial)) func(*protobundle.Bundle) {
		return func(b *protobundle.Bundle) { f(b.VerificationMaterial) }
	}
	for name, c := range map[string]struct {
		id      *Identity
		bundles [][]byte
		by      string // "" if refused
		why     string
	}{
		"good":                   {trust(dave), [][]byte{good}, "dave@example.org (https://token.example.org)", ""},
		"one of several":         {trust("eve@example.org", dave), [][]byte{good}, "dave@example.org (https://token.example.org)", ""},
		"pattern":                {trust("*@example.org"), [][]byte{good}, "dave@example.org (https://token.example.org)", ""},
		"key and certificate":    {withBoth, [][]byte{good, sign(t, a, statement("bmc", "1.2.1", "m"))}, "dave@example.org (https://token.example.org)", ""},
		"other subject":          {trust("eve@example.org"), [][]byte{good}, "", "signed by dave@example.org (https://token.example.org), who is not trusted"},
		"pattern is whole":       {trust("ave@*"), [][]byte{good}, "", "who is not trusted"},
		"pattern of a tag":       {anyTag, [][]byte{good}, "", "who is not trusted"},
		"dots are dots":          {trust("dave@exampleXorg"), [][]byte{good}, "", "who is not trusted"},
		"other issuer":           {otherIssuer, [][]byte{good}, "", "who is not trusted"},
		"other authority":        {otherRoot, [][]byte{good}, "", "does not hold"},
		"other artifact":         {trust(dave), [][]byte{keylessBundle(t, s, dave, other, nil)}, "", "over another artifact"},
		"a pattern counts once":  {twice, [][]byte{good, keylessBundle(t, s, "eve@example.org", payload, nil)}, "", "1 of the 2 keys required"},
		"not for certificates":   {identity(t, a, "bmc"), [][]byte{good}, "", "only keys are trusted"},
		"a key is not enough":    {trust(dave), [][]byte{sign(t, a, statement("bmc", "1.2.1", "m"))}, "", "no key is trusted"},
		"no log entry":           {trust(dave), [][]byte{keylessBundle(t, s, dave, payload, material(func(m *protobundle.VerificationMaterial) { m.TlogEntries = nil }))}, "", "does not hold"},
		"no inclusion proof":     {trust(dave), [][]byte{keylessBundle(t, s, dave, payload, material(func(m *protobundle.VerificationMaterial) { m.TlogEntries[0].InclusionProof = nil }))}, "", "malformed bundle"},
		"proof of another leaf":  {trust(dave), [][]byte{keylessBundle(t, s, dave, payload, material(func(m *protobundle.VerificationMaterial) { m.TlogEntries[0].InclusionProof.Hashes[0][0] ^= 1 }))}, "", "does not hold"},
		"another root hash":      {trust(dave), [][]byte{keylessBundle(t, s, dave, payload, material(func(m *protobundle.VerificationMaterial) { m.TlogEntries[0].InclusionProof.RootHash[0] ^= 1 }))}, "", "does not hold"},
		"another's log entry":    {trust(dave), [][]byte{keylessBundle(t, s, dave, payload, material(func(m *protobundle.VerificationMaterial) { m.TlogEntries = entriesOf(t, s, other) }))}, "", "does not hold"},
		"log entry from outside": {trust(dave), [][]byte{keylessBundle(t, s, dave, payload, material(func(m *protobundle.VerificationMaterial) { m.TlogEntries = entriesOf(t, sigstore(t), payload) }))}, "", "does not hold"},
		"payload changed":        {trust(dave), [][]byte{keylessBundle(t, s, dave, payload, func(b *protobundle.Bundle) { b.GetDsseEnvelope().Payload = other })}, "", "does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := policy(t, c.id).Verify("bmc", "1.2.1", sha("m"), c.bundles)
			if c.by != "" {
				if err != nil {
					t.Fatal(err)
				}
				if v.KeyIDs[len(v.KeyIDs)-1] != c.by {
					t.Errorf("signed by %q, want %q last", v.KeyIDs, c.by)
				}
				return
			}
			explained(t, err, c.why)
		})
	}
}

func entriesOf(t *testing.T, s *ca.VirtualSigstore, payload []byte) []*protorekor.TransparencyLogEntry {
	t.Helper()
	var out []*protorekor.TransparencyLogEntry
	keylessBundle(t, s, "dave@example.org", payload, func(b *protobundle.Bundle) { out = b.VerificationMaterial.TlogEntries })
	return out
}

func TestKeylessSettings(t *testing.T) {
	a, _ := testKeys()
	tr := trustedRoot(t, sigstore(t))
	one := []CertificateIdentity{{issuer, "x"}}
	for name, c := range map[string]struct {
		k   Keyless
		why string
	}{
		"nobody":       {Keyless{TrustedRoot: tr}, "no one could sign"},
		"no root":      {Keyless{Identities: one}, "trustedRoot"},
		"empty root":   {Keyless{json.RawMessage(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), one}, "no certificate authority"},
		"any subject":  {Keyless{tr, []CertificateIdentity{{issuer, "*"}}}, "subject"},
		"plain issuer": {Keyless{tr, []CertificateIdentity{{"http://token.example.org", "x"}}}, "issuer"},
	} {
		id := identity(t, a, "bmc")
		id.Keyless = &c.k
		if err := id.Validate(); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v, want %q", name, err, c.why)
		}
	}
}
