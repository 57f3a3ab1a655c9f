// SPDX-License-Identifier: Apache-2.0

// Package sigstoretest is sigstore's services in one process, for tests: an authority
// that checks an identity token and gives a certificate with a time stamp of a
// certificate transparency log, a log with a Merkle tree of what was entered, and a time
// stamping authority. They keep nothing and have keys of their own, which only their
// trusted root names; all that they sign is what the real ones would.
package sigstoretest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/digitorus/timestamp"
	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Issuer is who vouches for the subjects of tokens.
const Issuer = "https://token.example.org"

// Server is all services, at one URL.
type Server struct {
	*httptest.Server
	rootCert, fulcioCert, tsaCert, tsaLeaf *x509.Certificate
	fulcioKey                              *ecdsa.PrivateKey
	tsaKey, tokenKey, ctKey, logKey        *ecdsa.PrivateKey

	mu     sync.Mutex
	leaves [][]byte
	NoSCT  bool // certificates have no time stamp of a transparency log
}

// New starts the services.
func New() (*Server, error) {
	s := &Server{}
	for _, k := range []**ecdsa.PrivateKey{&s.tsaKey, &s.tokenKey, &s.ctKey, &s.logKey} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		*k = key
	}
	rootCert, rootKey, err := ca.GenerateRootCa()
	if err != nil {
		return nil, err
	}
	s.rootCert = rootCert
	if s.fulcioCert, s.fulcioKey, err = ca.GenerateFulcioIntermediate(rootCert, rootKey); err != nil {
		return nil, err
	}
	tsaCert, tsaKey, err := ca.GenerateTSAIntermediate(rootCert, rootKey)
	if err != nil {
		return nil, err
	}
	s.tsaCert = tsaCert
	if s.tsaLeaf, err = ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), s.tsaKey, tsaCert, tsaKey); err != nil {
		return nil, err
	}
	// There was something in the log before.
	for i := range 5 {
		s.leaves = append(s.leaves, fmt.Append(nil, "entry ", i))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/signingCert", answer(http.StatusOK, s.certify))
	mux.HandleFunc("POST /api/v1/log/entries", answer(http.StatusCreated, s.enter))
	mux.HandleFunc("POST /api/v1/timestamp", answer(http.StatusOK, s.stamp))
	s.Server = httptest.NewServer(mux)
	return s, nil
}

func answer(status int, do func(body []byte) ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var out []byte
		if err == nil {
			out, err = do(body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write(out)
	}
}

// TrustedRoot is trusted_root.json.
func (s *Server) TrustedRoot() ([]byte, error) {
	since := time.Now().Add(-time.Hour)
	logOf := func(key *ecdsa.PrivateKey) (map[string]*root.TransparencyLog, error) {
		id, err := keyID(key)
		return map[string]*root.TransparencyLog{hex.EncodeToString(id): {
			BaseURL: s.URL, ID: id, ValidityPeriodStart: since, HashFunc: crypto.SHA256, PublicKey: key.Public(), SignatureHashFunc: crypto.SHA256,
		}}, err
	}
	cts, err := logOf(s.ctKey)
	if err != nil {
		return nil, err
	}
	logs, err := logOf(s.logKey)
	if err != nil {
		return nil, err
	}
	tr, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: s.rootCert, Intermediates: []*x509.Certificate{s.fulcioCert}, ValidityPeriodStart: since, URI: s.URL}},
		cts,
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{Root: s.rootCert, Intermediates: []*x509.Certificate{s.tsaCert}, Leaf: s.tsaLeaf, ValidityPeriodStart: since, URI: s.URL}},
		logs)
	if err != nil {
		return nil, err
	}
	return tr.MarshalJSON()
}

func keyID(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	sum := sha256.Sum256(der)
	return sum[:], err
}

// Token is an identity token for a subject, a URL or an e-mail address.
func (s *Server) Token(subject string) (string, error) {
	claims := map[string]any{"iss": Issuer, "aud": "sigstore", "sub": subject, "exp": time.Now().Add(time.Minute).Unix()}
	if strings.Contains(subject, "@") && !strings.Contains(subject, "://") {
		claims["email"], claims["email_verified"] = subject, true
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + b64(text)
	sum := sha256.Sum256([]byte(signed))
	r, t, err := ecdsa.Sign(rand.Reader, s.tokenKey, sum[:])
	if err != nil {
		return "", err
	}
	return signed + "." + b64(append(r.FillBytes(make([]byte, 32)), t.FillBytes(make([]byte, 32))...)), nil
}

// subjectOf checks a token.
func (s *Server) subjectOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("no token")
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(sig) != 64 {
		return "", errors.New("malformed signature of the token")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(&s.tokenKey.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return "", errors.New("the token is not signed by " + Issuer)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		Sub string
		Exp int64
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return "", err
	}
	if time.Now().Unix() > claims.Exp {
		return "", errors.New("the token has expired")
	}
	return claims.Sub, nil
}

var (
	oidSCTs   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
	oidIssuer = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
)

// certify is Fulcio.
func (s *Server) certify(body []byte) ([]byte, error) {
	var req struct {
		Credentials struct {
			Token string `json:"oidcIdentityToken"`
		} `json:"credentials"`
		Key struct {
			Public struct {
				Content string `json:"content"`
			} `json:"publicKey"`
			Proof []byte `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	subject, err := s.subjectOf(req.Credentials.Token)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(req.Key.Public.Content))
	if block == nil {
		return nil, errors.New("no public key")
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := pub.(*ecdsa.PublicKey)
	sum := sha256.Sum256([]byte(subject))
	if !ok || !ecdsa.VerifyASN1(key, sum[:], req.Key.Proof) {
		return nil, errors.New("no proof that the key is the caller's")
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	issuer, err := asn1.MarshalWithParams(Issuer, "utf8")
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: oidIssuer, Value: issuer}},
	}
	if u, err := url.Parse(subject); err == nil && u.Scheme != "" {
		template.URIs = []*url.URL{u}
	} else {
		template.EmailAddresses = []string{subject}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.fulcioCert, key, s.fulcioKey)
	if err != nil {
		return nil, err
	}
	if !s.NoSCT {
		scts, err := s.scts(der)
		if err != nil {
			return nil, err
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oidSCTs, Value: scts})
		if der, err = x509.CreateCertificate(rand.Reader, template, s.fulcioCert, key, s.fulcioKey); err != nil {
			return nil, err
		}
	}
	chain := []string{}
	for _, c := range [][]byte{der, s.fulcioCert.Raw, s.rootCert.Raw} {
		chain = append(chain, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})))
	}
	return json.Marshal(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
}

// scts is the extension with the log's time stamp for a certificate that has none yet
// (RFC 6962, section 3.3).
func (s *Server) scts(der []byte) ([]byte, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	id, err := keyID(s.ctKey)
	if err != nil {
		return nil, err
	}
	now := uint64(time.Now().UnixMilli())
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, Timestamp: now, LogID: ct.LogID{KeyID: [32]byte(id)}}
	entry := ct.LogEntry{Leaf: ct.MerkleTreeLeaf{Version: ct.V1, LeafType: ct.TimestampedEntryLeafType, TimestampedEntry: &ct.TimestampedEntry{
		Timestamp: now, EntryType: ct.PrecertLogEntryType,
		PrecertEntry: &ct.PreCert{IssuerKeyHash: sha256.Sum256(s.fulcioCert.RawSubjectPublicKeyInfo), TBSCertificate: cert.RawTBSCertificate},
	}}}
	input, err := ct.SerializeSCTSignatureInput(sct, entry)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(input)
	sig, err := s.ctKey.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	sct.Signature = ct.DigitallySigned{Algorithm: cttls.SignatureAndHashAlgorithm{Hash: cttls.SHA256, Signature: cttls.ECDSA}, Signature: sig}
	one, err := cttls.Marshal(sct)
	if err != nil {
		return nil, err
	}
	list := append([]byte{byte((len(one) + 2) >> 8), byte(len(one) + 2), byte(len(one) >> 8), byte(len(one))}, one...)
	return asn1.Marshal(list)
}

// enter is Rekor, for entries of kind dsse 0.0.1.
func (s *Server) enter(body []byte) ([]byte, error) {
	var req struct {
		Kind, APIVersion string
		Spec             struct {
			ProposedContent struct {
				Envelope  string
				Verifiers [][]byte
			}
		}
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	var env struct {
		Payload    []byte
		Signatures []struct{ Sig []byte }
	}
	content := req.Spec.ProposedContent
	if err := json.Unmarshal([]byte(content.Envelope), &env); err != nil || req.Kind != "dsse" || len(env.Signatures) != 1 || len(content.Verifiers) != 1 {
		return nil, fmt.Errorf("no envelope with one signature: %w", err)
	}
	hash := func(b []byte) map[string]any {
		sum := sha256.Sum256(b)
		return map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
	}
	entry, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": "dsse", "spec": map[string]any{
		"envelopeHash": hash([]byte(content.Envelope)), "payloadHash": hash(env.Payload),
		"signatures": []any{map[string]any{"signature": base64.StdEncoding.EncodeToString(env.Signatures[0].Sig), "verifier": content.Verifiers[0]}},
	}})
	if err != nil {
		return nil, err
	}
	id, err := keyID(s.logKey)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := len(s.leaves)
	s.leaves = append(s.leaves, entry)
	rootHash := treeHash(s.leaves)
	signer, err := signature.LoadECDSASigner(s.logKey, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	checkpoint, err := util.CreateAndSignCheckpoint(context.Background(), "rekor.example.org", 1, uint64(len(s.leaves)), rootHash, signer)
	if err != nil {
		return nil, err
	}
	hashes := []string{}
	for _, h := range path(at, s.leaves) {
		hashes = append(hashes, hex.EncodeToString(h))
	}
	now := time.Now().Unix()
	promise, err := json.Marshal(map[string]any{"body": base64.StdEncoding.EncodeToString(entry), "integratedTime": now, "logID": hex.EncodeToString(id), "logIndex": at})
	if err != nil {
		return nil, err
	}
	set, err := signer.SignMessage(bytes.NewReader(promise))
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{hex.EncodeToString(leafHash(entry)): map[string]any{
		"body": entry, "integratedTime": now, "logID": hex.EncodeToString(id), "logIndex": at,
		"verification": map[string]any{"signedEntryTimestamp": set, "inclusionProof": map[string]any{
			"checkpoint": string(checkpoint), "hashes": hashes, "logIndex": at, "rootHash": hex.EncodeToString(rootHash), "treeSize": len(s.leaves),
		}},
	}})
}

// The Merkle tree of RFC 6962, section 2.1.
func leafHash(b []byte) []byte {
	sum := sha256.Sum256(append([]byte{0}, b...))
	return sum[:]
}

func nodeHash(left, right []byte) []byte {
	sum := sha256.Sum256(append(append([]byte{1}, left...), right...))
	return sum[:]
}

// split is the largest power of two below n.
func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

func treeHash(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leafHash(leaves[0])
	}
	k := split(len(leaves))
	return nodeHash(treeHash(leaves[:k]), treeHash(leaves[k:]))
}

func path(at int, leaves [][]byte) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	if k := split(len(leaves)); at < k {
		return append(path(at, leaves[:k]), treeHash(leaves[k:]))
	} else {
		return append(path(at-k, leaves[k:]), treeHash(leaves[:k]))
	}
}

// stamp is a time stamping authority.
func (s *Server) stamp(body []byte) ([]byte, error) {
	req, err := timestamp.ParseRequest(body)
	if err != nil {
		return nil, err
	}
	t := timestamp.Timestamp{
		HashAlgorithm: req.HashAlgorithm, HashedMessage: req.HashedMessage, Nonce: req.Nonce, Time: time.Now(),
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: req.Certificates,
	}
	return t.CreateResponseWithOpts(s.tsaLeaf, s.tsaKey, crypto.SHA256)
}
