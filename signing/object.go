// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// MaxSignature is the largest kernel signature, in bytes.
const MaxSignature = 64 << 10

var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidSHA256     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

// The structures of RFC 2315, section 9, for detached signatures.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version      int
	Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
	ContentInfo  detachedContent
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	Signers      []signerInfo  `asn1:"set"`
}

type detachedContent struct {
	Type asn1.ObjectIdentifier
}

type signerInfo struct {
	Version   int
	Signer    issuerAndSerial
	Digest    pkix.AlgorithmIdentifier
	Algorithm pkix.AlgorithmIdentifier
	Signature []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

// A SignatureError says why a kernel signature does not hold.
type SignatureError struct {
	Reason string
}

func (e *SignatureError) Error() string { return "kernel signature: " + e.Reason }

func badSignature(format string, args ...any) error {
	return &SignatureError{Reason: fmt.Sprintf(format, args...)}
}

// SignObject makes the detached PKCS#7 signature of object that the kernel
// checks, in DER.
func (k *Keys) SignObject(object []byte) ([]byte, error) {
	sum := sha256.Sum256(object)
	sig, err := k.Kernel.Sign(rand.Reader, sum[:], crypto.SHA256) // PKCS#1 v1.5
	if err != nil {
		return nil, fmt.Errorf("sign object: %w", err)
	}
	digest := pkix.AlgorithmIdentifier{Algorithm: oidSHA256}
	return asn1.Marshal(contentInfo{
		Type: oidSignedData,
		Content: signedData{
			Version:     1,
			Digests:     []pkix.AlgorithmIdentifier{digest},
			ContentInfo: detachedContent{Type: oidData},
			Signers: []signerInfo{{
				Version: 1,
				Signer: issuerAndSerial{
					Issuer: asn1.RawValue{FullBytes: k.KernelCertificate.RawIssuer},
					Serial: k.KernelCertificate.SerialNumber,
				},
				Digest:    digest,
				Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue},
				Signature: sig,
			}},
		},
	})
}

// VerifyObject checks that sig is a signature of object by one of certs, and
// says which. It fails with *SignatureError. Certificates are not chained and
// their validity is not looked at, as in the kernel.
func VerifyObject(object, sig []byte, certs []*x509.Certificate) (*x509.Certificate, error) {
	signer, err := parseSignature(sig)
	if err != nil {
		return nil, err
	}
	for _, cert := range certs {
		if !bytes.Equal(cert.RawIssuer, signer.Signer.Issuer.FullBytes) || cert.SerialNumber.Cmp(signer.Signer.Serial) != 0 {
			continue
		}
		pub, ok := cert.PublicKey.(*rsa.PublicKey)
		if !ok {
			return nil, badSignature("certificate of %s has a %T, not an RSA key", cert.Subject, cert.PublicKey)
		}
		sum := sha256.Sum256(object)
		if rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], signer.Signature) != nil {
			return nil, badSignature("does not match the object (certificate of %s)", cert.Subject)
		}
		return cert, nil
	}
	return nil, badSignature("by a certificate that is not trusted (serial %x), have %d trusted", signer.Signer.Serial, len(certs))
}

func parseSignature(der []byte) (*signerInfo, error) {
	if len(der) > MaxSignature {
		return nil, badSignature("%d bytes, more than %d", len(der), MaxSignature)
	}
	var ci contentInfo
	rest, err := asn1.Unmarshal(der, &ci)
	if err != nil {
		return nil, badSignature("malformed: %v", err)
	}
	sd := ci.Content
	switch {
	case len(rest) > 0:
		return nil, badSignature("malformed: %d bytes after the end", len(rest))
	case !ci.Type.Equal(oidSignedData):
		return nil, badSignature("content type %s is not signed data", ci.Type)
	case sd.Version != 1:
		return nil, badSignature("version %d, not 1", sd.Version)
	case !sd.ContentInfo.Type.Equal(oidData):
		return nil, badSignature("over content of type %s, not data", sd.ContentInfo.Type)
	case len(sd.Digests) != 1 || !is(sd.Digests[0], oidSHA256):
		return nil, badSignature("digest is not SHA-256 alone")
	case len(sd.Signers) != 1:
		return nil, badSignature("%d signers, not one", len(sd.Signers))
	}
	// encoding/asn1 skips what follows the fields it knows, such as embedded content
	// or unauthenticated attributes; the kernel does not.
	if again, err := asn1.Marshal(ci); err != nil || !bytes.Equal(again, der) {
		return nil, badSignature("has parts other than a detached signature without attributes, or is not DER")
	}
	s := &sd.Signers[0]
	switch {
	case s.Version != 1:
		return nil, badSignature("signer version %d, not 1", s.Version)
	case !is(s.Digest, oidSHA256):
		return nil, badSignature("digest %s is not SHA-256", s.Digest.Algorithm)
	case !is(s.Algorithm, oidRSA):
		return nil, badSignature("algorithm %s is not rsaEncryption", s.Algorithm.Algorithm)
	}
	return s, nil
}

// is takes parameters that are absent or NULL: neither algorithm has any, and
// tools differ in how they write that.
func is(a pkix.AlgorithmIdentifier, oid asn1.ObjectIdentifier) bool {
	p := a.Parameters.FullBytes
	return a.Algorithm.Equal(oid) && (len(p) == 0 || bytes.Equal(p, asn1.NullBytes))
}

func newKernelCertificate(name string, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	serial.SetBit(serial, 126, 1) // positive, and always of the same length
	// RFC 5280, 4.2.1.2, method 1: what openssl and so sign-file's users have.
	pub, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return nil, checkKernelKey(key.Public())
	}
	ski := sha1.Sum(x509.MarshalPKCS1PublicKey(pub))
	now := time.Now().UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour), // for machines whose clock is behind
		NotAfter:              now.AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true,
		SubjectKeyId:          ski[:],
		AuthorityKeyId:        ski[:],
		SignatureAlgorithm:    x509.SHA256WithRSA,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// parseCertificate reads one certificate in PEM that the kernel may be given.
func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("not one certificate in PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	pub, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the certificate of %s has a %T, not an RSA key", cert.Subject, cert.PublicKey)
	}
	if bits := pub.N.BitLen(); bits < 2048 {
		return nil, fmt.Errorf("the certificate of %s has a key of %d bits, fewer than 2048", cert.Subject, bits)
	}
	if cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, fmt.Errorf("the certificate of %s is not for digital signatures", cert.Subject)
	}
	return cert, nil
}
