// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// MaxBundle is the largest bundle, in bytes.
const MaxBundle = 1 << 20

// SignStatement makes a sigstore bundle, in JSON, of the statement.
func (k *Keys) SignStatement(s *Statement) ([]byte, error) {
	payload, err := s.encode()
	if err != nil {
		return nil, err
	}
	return k.sign(payload)
}

// SignAttestation makes a sigstore bundle, in JSON, of any in-toto statement.
func (k *Keys) SignAttestation(a *Attestation) ([]byte, error) {
	payload, err := a.encode()
	if err != nil {
		return nil, err
	}
	return k.sign(payload)
}

func (k *Keys) sign(payload []byte) ([]byte, error) {
	if k.Witness != nil {
		return signWitnessed(k.Witness, payload)
	}
	sum := sha256.Sum256(dsse.PAE(PayloadType, payload))
	sig, err := k.Publisher.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	hint, err := keyHint(k.Publisher.Public())
	if err != nil {
		return nil, err
	}
	b := &protobundle.Bundle{
		MediaType: BundleMediaType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{
				PublicKey: &protocommon.PublicKeyIdentifier{Hint: hint},
			},
		},
		Content: &protobundle.Bundle_DsseEnvelope{
			DsseEnvelope: &protodsse.Envelope{
				Payload:     payload,
				PayloadType: PayloadType,
				Signatures:  []*protodsse.Signature{{Sig: sig}},
			},
		},
	}
	return marshalProto(b)
}

// marshalProto is protojson, whose white space varies on purpose, without any.
func marshalProto(m proto.Message) ([]byte, error) {
	out, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, out); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

// keyHint is how sigstore's own tools name a public key in a bundle.
func keyHint(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// VerifyBundle checks that data is a bundle by one of keys over a statement about
// the OCI manifest of that digest, and says by which. Whether the statement's
// name and version are the right ones is for the caller to say.
func VerifyBundle(data []byte, digest string, keys []PublicKey) (*Statement, *Signer, error) {
	att, signer, err := (&authority{keys: keys}).verify(data, digest)
	if err != nil {
		return nil, nil, err
	}
	s, err := att.statement(digest)
	if err != nil {
		return nil, nil, fmt.Errorf("signed by %s: %w", signer.ID, err)
	}
	return s, signer, nil
}

// candidates is the key of that hint if there is one, else all: the hint is not
// signed, and tools differ in what they put there.
func candidates(keys []PublicKey, hint string) []PublicKey {
	for _, k := range keys {
		if k.hint == hint {
			return []PublicKey{k}
		}
	}
	return keys
}

func parseBundle(data []byte) (*bundle.Bundle, error) {
	if len(data) > MaxBundle {
		return nil, fmt.Errorf("bundle of %d bytes, more than %d", len(data), MaxBundle)
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("malformed bundle: %w", err)
	}
	if b.MediaType != BundleMediaType {
		return nil, fmt.Errorf("bundle's media type is %.80q, not %q", b.MediaType, BundleMediaType)
	}
	env := b.GetDsseEnvelope()
	if env == nil {
		return nil, errors.New("bundle holds no DSSE envelope")
	}
	if env.GetPayloadType() != PayloadType {
		return nil, fmt.Errorf("payload type is %.80q, not %q", env.GetPayloadType(), PayloadType)
	}
	return &b, nil
}

// PublicKey is one publisher's key, ready to verify with.
type PublicKey struct {
	ID       string
	NotAfter time.Time // zero: no end
	hint     string
	verifier signature.Verifier
}

func newPublicKey(pub crypto.PublicKey, notAfter time.Time) (PublicKey, error) {
	k := PublicKey{NotAfter: notAfter}
	var err error
	if k.ID, err = KeyID(pub); err != nil {
		return k, err
	}
	if k.hint, err = keyHint(pub); err != nil {
		return k, err
	}
	k.verifier, err = signature.LoadVerifier(pub, crypto.SHA256)
	return k, err
}

func (k *PublicKey) material() root.TrustedMaterial {
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(k.verifier, time.Time{}, k.NotAfter), nil
	})
}
