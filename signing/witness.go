// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// Witness is who vouches for a signer without a key of his own: an authority that gives
// him a certificate for some minutes, and a log, a time stamping authority or both that
// say when he signed. This package makes the key and the signature and knows of no
// network; see cmd/iupkg for the services.
type Witness interface {
	// Certify returns a certificate for the key, DER. prove signs what the authority
	// wants signed, to show that the key is the caller's.
	Certify(pub crypto.PublicKey, prove func(message []byte) ([]byte, error)) ([]byte, error)
	// Log enters the envelope, JSON, and the certificate, PEM; nil if there is no log.
	Log(envelope, certificate []byte) (*protorekor.TransparencyLogEntry, error)
	// Stamp returns a time stamp over a signature, an RFC 3161 TimeStampResp; nil if there
	// is no authority for it.
	Stamp(signature []byte) ([]byte, error)
}

// signWitnessed makes a bundle with a certificate in the place of a key's hint. The key
// is used for it and forgotten.
func signWitnessed(w Witness, payload []byte) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	sign := func(message []byte) ([]byte, error) {
		sum := sha256.Sum256(message)
		return key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	der, err := w.Certify(key.Public(), sign)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("certificate: it is for another key")
	}
	sig, err := sign(dsse.PAE(PayloadType, payload))
	if err != nil {
		return nil, err
	}
	envelope, err := marshal(map[string]any{"payloadType": PayloadType, "payload": payload, "signatures": []any{map[string]any{"sig": sig}}})
	if err != nil {
		return nil, err
	}
	entry, err := w.Log(envelope, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	stamp, err := w.Stamp(sig)
	if err != nil {
		return nil, fmt.Errorf("time stamp: %w", err)
	}
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{
		Certificate: &protocommon.X509Certificate{RawBytes: der},
	}}
	if entry != nil {
		material.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	}
	if stamp != nil {
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp}},
		}
	}
	if entry == nil && stamp == nil {
		return nil, errors.New("neither a log nor a time stamping authority says when this was signed")
	}
	return marshalProto(&protobundle.Bundle{
		MediaType:            BundleMediaType,
		VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: PayloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	})
}
