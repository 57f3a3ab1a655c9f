// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// Keyless lets signers in who have no key of their own, but a short-lived
// certificate for an identity that an OpenID issuer vouched for.
type Keyless struct {
	// TrustedRoot is sigstore's trusted_root.json
	// (application/vnd.dev.sigstore.trustedroot+json): the certificate
	// authorities, logs and time stamping authorities that count.
	TrustedRoot json.RawMessage `json:"trustedRoot"`
	// Identities are those who may sign.
	Identities []CertificateIdentity `json:"identities"`
}

// CertificateIdentity is whom a certificate must be for.
type CertificateIdentity struct {
	Issuer  string `json:"issuer"`  // the OpenID issuer's URL, exactly
	Subject string `json:"subject"` // the subject alternative name; '*' stands for any text
}

// keyless is Keyless ready to verify with. A nil one trusts no certificate.
type keyless struct {
	ids      []verify.CertificateIdentity
	names    []string
	verifier *verify.Verifier
}

// prepare says what is wrong with the settings, if anything.
func (k *Keyless) prepare() (*keyless, error) {
	if len(k.Identities) == 0 {
		return nil, errors.New("identities: there is none, so no one could sign")
	}
	if len(k.Identities) > maxListed {
		return nil, fmt.Errorf("identities: more than %d", maxListed)
	}
	tr, err := root.NewTrustedRootFromJSON(k.TrustedRoot)
	if err != nil {
		return nil, fmt.Errorf("trustedRoot: %w", err)
	}
	if len(tr.FulcioCertificateAuthorities()) == 0 {
		return nil, errors.New("trustedRoot: it names no certificate authority")
	}
	// All that the trusted root offers is insisted upon. A certificate lives ten
	// minutes, so some time that others vouch for is always needed.
	opts := []verify.VerifierOption{verify.WithoutStatementPredicate(), verify.WithObserverTimestamps(1)}
	if len(tr.RekorLogs()) > 0 {
		opts = append(opts, verify.WithTransparencyLog(1))
	} else if len(tr.TimestampingAuthorities()) == 0 {
		return nil, errors.New("trustedRoot: it names neither a log nor a time stamping authority, so nobody vouches for when something was signed")
	}
	if len(tr.CTLogs()) > 0 {
		opts = append(opts, verify.WithSignedCertificateTimestamps(1))
	}
	out := &keyless{}
	if out.verifier, err = verify.NewVerifier(tr, opts...); err != nil {
		return nil, err
	}
	for i, id := range k.Identities {
		c, err := id.prepare()
		if err != nil {
			return nil, fmt.Errorf("identities[%d]: %w", i, err)
		}
		out.ids = append(out.ids, c)
		out.names = append(out.names, id.String())
	}
	return out, nil
}

func (id *CertificateIdentity) String() string { return fmt.Sprintf("%s (%s)", id.Subject, id.Issuer) }

func (id *CertificateIdentity) prepare() (verify.CertificateIdentity, error) {
	if u, err := url.Parse(id.Issuer); err != nil || u.Scheme != "https" || u.Host == "" {
		return verify.CertificateIdentity{}, fmt.Errorf("issuer %.100q is not an https URL", id.Issuer)
	}
	if len(id.Subject) == 0 || len(id.Subject) > 1024 || strings.Trim(id.Subject, "*") == "" {
		return verify.CertificateIdentity{}, fmt.Errorf("subject %.100q: want 1 to 1024 bytes, not stars only", id.Subject)
	}
	if !strings.Contains(id.Subject, "*") {
		return verify.NewShortCertificateIdentity(id.Issuer, "", id.Subject, "")
	}
	return verify.NewShortCertificateIdentity(id.Issuer, "", "", globExpr(id.Subject))
}

// globExpr is a pattern in which '*' is any text as a regular expression over the
// whole of it.
func globExpr(pattern string) string {
	parts := strings.Split(pattern, "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return `\A(?s:` + strings.Join(parts, ".*") + `)\z`
}

func globMatch(pattern, s string) bool {
	ok, err := regexp.MatchString(globExpr(pattern), s)
	return err == nil && ok
}

// verify checks a bundle that has a certificate.
func (k *keyless) verify(b *bundle.Bundle, digest string, want []byte) (*Signer, error) {
	if k == nil {
		return nil, errors.New("signed with a certificate; only keys are trusted")
	}
	var failed error
	for i, id := range k.ids {
		res, err := k.verifier.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", want), verify.WithCertificateIdentity(id)))
		if err != nil {
			failed = err
			continue
		}
		if res.Signature == nil || res.Signature.Certificate == nil {
			return nil, errors.New("the certificate was not verified")
		}
		return &Signer{ID: nameOf(res), counts: k.names[i]}, nil
	}
	// Who it is by, or what it is over, says more than that something is wrong.
	if res, err := k.verifier.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", want), verify.WithoutIdentitiesUnsafe())); err == nil && res.Signature != nil && res.Signature.Certificate != nil {
		return nil, fmt.Errorf("signed by %s, who is not trusted", nameOf(res))
	}
	if _, err := k.verifier.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithoutIdentitiesUnsafe())); err == nil {
		return nil, fmt.Errorf("signature is over another artifact than %s", digest)
	}
	return nil, fmt.Errorf("signed with a certificate that does not hold: %w", failed)
}

func nameOf(res *verify.VerificationResult) string {
	c := res.Signature.Certificate
	return fmt.Sprintf("%.500s (%.500s)", c.SubjectAlternativeName, c.Issuer)
}
