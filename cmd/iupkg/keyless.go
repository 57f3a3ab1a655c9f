// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// sigstore signs with the help of sigstore's services, each at a URL of its own; it is a
// signing.Witness. What they answer is not believed here: whoever trusts the identity
// verifies all of it by a trusted root of his.
type sigstore struct {
	ctx                context.Context
	fulcio, rekor, tsa string // URLs; of the last two one may be ""
	token              string // from an OpenID issuer
}

// maxAnswer is what is read of a service's answer, in bytes.
const maxAnswer = 1 << 20

// newSigstore takes the identity token from a file, or from where sigstore's tools do.
func newSigstore(ctx context.Context, fulcio, rekor, tsa, tokenFile string) (*sigstore, error) {
	s := &sigstore{ctx: ctx, fulcio: strings.TrimSuffix(fulcio, "/"), rekor: strings.TrimSuffix(rekor, "/"), tsa: tsa}
	if s.fulcio == "" || s.rekor == "" && s.tsa == "" {
		return nil, usagef("signing without a key needs --fulcio, and --rekor or --timestamp-server to say when it was signed")
	}
	for _, u := range []string{fulcio, rekor, tsa} {
		if p, err := url.Parse(u); err != nil || u != "" && (p.Host == "" || p.Scheme != "https" && p.Scheme != "http") {
			return nil, usagef("%q is not the URL of a service", u)
		}
	}
	s.token = os.Getenv("SIGSTORE_ID_TOKEN")
	if tokenFile != "" {
		text, err := readInput(tokenFile, maxInput)
		if err != nil {
			return nil, usageError{err}
		}
		s.token = string(text)
	}
	if s.token = strings.TrimSpace(s.token); s.token == "" {
		return nil, withHint(usagef("there is no identity token"), "give --identity-token FILE, or set SIGSTORE_ID_TOKEN")
	}
	return s, nil
}

// post sends a request and reads the answer, which must have that status.
func (s *sigstore) post(to, mediaType string, body []byte, want int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("User-Agent", "iupkg/"+iupkgVersion())
	if mediaType == "application/json" {
		req.Header.Set("Accept", mediaType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s: %s: %.300s", to, resp.Status, bytes.TrimSpace(data))
	}
	return data, err
}

func (s *sigstore) postJSON(to string, body any, want int, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	data, err := s.post(to, "application/json", text, want)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: malformed answer: %w", to, err)
	}
	return nil
}

// subject is whom the token is for, which Fulcio wants signed.
func (s *sigstore) subject() (string, error) {
	parts := strings.Split(s.token, ".")
	if len(parts) != 3 {
		return "", errors.New("the identity token is no JSON Web Token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Sub, Email string }
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		return "", fmt.Errorf("identity token: %w", err)
	}
	if claims.Email != "" {
		return claims.Email, nil
	}
	return claims.Sub, nil
}

// Certify asks Fulcio
// (https://github.com/sigstore/fulcio/blob/main/fulcio.proto, CreateSigningCertificate).
func (s *sigstore) Certify(pub crypto.PublicKey, prove func([]byte) ([]byte, error)) ([]byte, error) {
	subject, err := s.subject()
	if err != nil {
		return nil, err
	}
	proof, err := prove([]byte(subject))
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	type chain struct {
		Chain struct {
			Certificates []string `json:"certificates"`
		} `json:"chain"`
	}
	var answer struct {
		Embedded *chain `json:"signedCertificateEmbeddedSct"`
		Detached *chain `json:"signedCertificateDetachedSct"`
	}
	err = s.postJSON(s.fulcio+"/api/v2/signingCert", map[string]any{
		"credentials": map[string]any{"oidcIdentityToken": s.token},
		"publicKeyRequest": map[string]any{
			"publicKey":         map[string]any{"algorithm": "ECDSA", "content": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
			"proofOfPossession": proof,
		},
	}, http.StatusOK, &answer)
	if err != nil {
		return nil, err
	}
	if answer.Embedded == nil {
		// A bundle has no place for a time stamp of the log that is not in the certificate.
		answer.Embedded = answer.Detached
	}
	if answer.Embedded == nil || len(answer.Embedded.Chain.Certificates) == 0 {
		return nil, errors.New("there is none in the answer")
	}
	block, _ := pem.Decode([]byte(answer.Embedded.Chain.Certificates[0]))
	if block == nil {
		return nil, errors.New("the answer is not PEM")
	}
	return block.Bytes, nil
}

// Log makes an entry in Rekor
// (https://github.com/sigstore/rekor/blob/main/openapi.yaml, createLogEntry).
func (s *sigstore) Log(envelope, certificate []byte) (*protorekor.TransparencyLogEntry, error) {
	if s.rekor == "" {
		return nil, nil
	}
	var answer map[string]struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogID          string `json:"logID"`
		LogIndex       int64  `json:"logIndex"`
		Verification   struct {
			SignedEntryTimestamp []byte `json:"signedEntryTimestamp"`
			InclusionProof       struct {
				Checkpoint string   `json:"checkpoint"`
				Hashes     []string `json:"hashes"`
				LogIndex   int64    `json:"logIndex"`
				RootHash   string   `json:"rootHash"`
				TreeSize   int64    `json:"treeSize"`
			} `json:"inclusionProof"`
		} `json:"verification"`
	}
	const kind, version = "dsse", "0.0.1"
	err := s.postJSON(s.rekor+"/api/v1/log/entries", map[string]any{
		"kind": kind, "apiVersion": version,
		"spec": map[string]any{"proposedContent": map[string]any{"envelope": string(envelope), "verifiers": [][]byte{certificate}}},
	}, http.StatusCreated, &answer)
	if err != nil {
		return nil, err
	}
	for _, e := range answer {
		id, err := hex.DecodeString(e.LogID)
		if err != nil {
			return nil, fmt.Errorf("logID: %w", err)
		}
		p := e.Verification.InclusionProof
		root, err := hex.DecodeString(p.RootHash)
		if err != nil {
			return nil, fmt.Errorf("rootHash: %w", err)
		}
		proof := &protorekor.InclusionProof{LogIndex: p.LogIndex, RootHash: root, TreeSize: p.TreeSize, Checkpoint: &protorekor.Checkpoint{Envelope: p.Checkpoint}}
		for _, h := range p.Hashes {
			raw, err := hex.DecodeString(h)
			if err != nil {
				return nil, fmt.Errorf("hashes: %w", err)
			}
			proof.Hashes = append(proof.Hashes, raw)
		}
		return &protorekor.TransparencyLogEntry{
			LogIndex: e.LogIndex, LogId: &protocommon.LogId{KeyId: id}, KindVersion: &protorekor.KindVersion{Kind: kind, Version: version},
			IntegratedTime: e.IntegratedTime, InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: e.Verification.SignedEntryTimestamp},
			InclusionProof: proof, CanonicalizedBody: e.Body,
		}, nil
	}
	return nil, errors.New("there is no entry in the answer")
}

// Stamp asks a time stamping authority (RFC 3161, section 3.4).
func (s *sigstore) Stamp(signature []byte) ([]byte, error) {
	if s.tsa == "" {
		return nil, nil
	}
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, err
	}
	h := crypto.SHA256.New()
	h.Write(signature)
	query, err := (&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: h.Sum(nil), Certificates: true, Nonce: nonce}).Marshal()
	if err != nil {
		return nil, err
	}
	data, err := s.post(s.tsa, "application/timestamp-query", query, http.StatusOK)
	if err != nil {
		return nil, err
	}
	if _, err := timestamp.ParseResponse(data); err != nil {
		return nil, err
	}
	return data, nil
}
