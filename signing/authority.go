// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// Signer is who made a signature that holds.
type Signer struct {
	// ID is a key's identifier, or "SUBJECT (ISSUER)" of a certificate.
	ID       string
	NotAfter time.Time // of the key; zero: no end
	// counts is who this counts as: of one pattern for certificates, all subjects
	// are one.
	counts string
}

// authority is everyone whose signature counts for something.
type authority struct {
	keys    []PublicKey
	keyless *keyless // nil: keys only
}

// verify checks that data is a bundle by the authority over an in-toto statement
// with the digest among its subjects.
func (a *authority) verify(data []byte, digest string) (*Attestation, *Signer, error) {
	want, err := digestBytes(digest)
	if err != nil {
		return nil, nil, err
	}
	b, err := parseBundle(data)
	if err != nil {
		return nil, nil, err
	}
	var signer *Signer
	if b.VerificationMaterial.GetPublicKey() != nil {
		signer, err = a.byKey(b, digest, want)
	} else {
		signer, err = a.keyless.verify(b, digest, want)
	}
	if err != nil {
		return nil, nil, err
	}
	att, err := ParseAttestation(b.GetDsseEnvelope().GetPayload())
	if err != nil {
		return nil, nil, fmt.Errorf("signed by %s: %w", signer.ID, err)
	}
	if !att.About(digest) {
		return nil, nil, fmt.Errorf("statement by %s is not about %s", signer.ID, digest)
	}
	return att, signer, nil
}

func (a *authority) byKey(b *bundle.Bundle, digest string, want []byte) (*Signer, error) {
	if len(a.keys) == 0 {
		return nil, errors.New("signed with a key; no key is trusted")
	}
	hint := b.VerificationMaterial.GetPublicKey().GetHint()
	for _, key := range candidates(a.keys, hint) {
		// Keyed bundles have no time that anyone vouches for, so none is asked for.
		v, err := verify.NewVerifier(key.material(), verify.WithNoObserverTimestamps(), verify.WithoutStatementPredicate())
		if err != nil {
			return nil, err
		}
		if _, err := v.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", want), verify.WithKey())); err != nil {
			// The signature may well be right and over something else: say so.
			if _, err := v.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithKey())); err == nil {
				return nil, fmt.Errorf("signature by %s is over another artifact than %s", key.ID, digest)
			}
			continue
		}
		return &Signer{ID: key.ID, NotAfter: key.NotAfter, counts: key.ID}, nil
	}
	return nil, fmt.Errorf("signature by a key that is not trusted, or does not hold (key hint %.64q)", hint)
}
