// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// Schema is the version of the identity format.
const Schema = 1

// Limits of an identity.
const (
	MaxIdentity = 4 << 20 // bytes of the file
	maxListed   = 1024    // entries of each of its lists
)

// Identity is what this machine needs to trust one publisher. See the package
// comment for its fields.
type Identity struct {
	Schema             int                `json:"schema"`
	Publisher          string             `json:"publisher"`
	Names              []string           `json:"names"`
	Keys               []Key              `json:"keys,omitempty"`
	Keyless            *Keyless           `json:"keyless,omitempty"`
	Threshold          int                `json:"threshold,omitempty"`
	Provenance         *RequireProvenance `json:"provenance,omitempty"`
	KernelCertificates []string           `json:"kernelCertificates,omitempty"`
	IndexRoot          json.RawMessage    `json:"indexRoot,omitempty"`
	Revoked            *Revoked           `json:"revoked,omitempty"`
}

// Key is a public key of an identity.
type Key struct {
	PEM      string     `json:"pem"`
	NotAfter *time.Time `json:"notAfter,omitempty"`
}

// Revoked is what is no longer vouched for.
type Revoked struct {
	Keys     []string `json:"keys,omitempty"`     // key identifiers
	Digests  []string `json:"digests,omitempty"`  // of OCI manifests or objects
	Versions []string `json:"versions,omitempty"` // "name@version"
}

// ParseIdentity reads an identity from what a file has. It refuses what Validate refuses,
// and fields that it does not know. Errors name the file.
func ParseIdentity(b []byte, file string) (*Identity, error) {
	var id Identity
	if len(b) > MaxIdentity {
		return nil, fmt.Errorf("%s: identity of %d bytes, more than %d", file, len(b), MaxIdentity)
	}
	if err := strictJSON(b, &id); err != nil {
		return nil, fmt.Errorf("%s: malformed identity: %w", file, err)
	}
	if err := id.Validate(); err != nil {
		return nil, fmt.Errorf("%s: malformed identity: %w", file, err)
	}
	return &id, nil
}

// Encode is the identity as the file that ParseIdentity reads.
func (id *Identity) Encode() ([]byte, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// Validate says what is wrong with the identity, if anything.
func (id *Identity) Validate() error {
	if id.Schema != Schema {
		return fmt.Errorf("schema is %d, this program reads %d", id.Schema, Schema)
	}
	if err := checkPublisher(id.Publisher); err != nil {
		return err
	}
	if len(id.Names) == 0 {
		return errors.New("names: no pattern, so it would be trusted for nothing")
	}
	if len(id.Names) > maxListed || len(id.Keys) > maxListed || len(id.KernelCertificates) > maxListed {
		return fmt.Errorf("a list has more than %d entries", maxListed)
	}
	for _, p := range id.Names {
		if err := checkPattern(p); err != nil {
			return fmt.Errorf("names: %w", err)
		}
	}
	keys, err := id.PublicKeys()
	if err != nil {
		return err
	}
	signers := len(keys)
	if id.Keyless != nil {
		if _, err := id.Keyless.prepare(); err != nil {
			return fmt.Errorf("keyless: %w", err)
		}
		signers += len(id.Keyless.Identities)
	}
	if signers == 0 {
		return errors.New("keys: there is none")
	}
	for i, k := range keys {
		if slices.ContainsFunc(keys[:i], func(o PublicKey) bool { return o.ID == k.ID }) {
			return fmt.Errorf("keys: %s is there twice", k.ID)
		}
	}
	if id.Threshold < 0 || id.Threshold > signers {
		return fmt.Errorf("threshold is %d, with %d signers", id.Threshold, signers)
	}
	if id.Provenance != nil {
		if err := id.Provenance.validate(); err != nil {
			return fmt.Errorf("provenance: %w", err)
		}
	}
	if _, err := id.Certificates(); err != nil {
		return err
	}
	if r := bytes.TrimSpace(id.IndexRoot); len(r) > 0 && (r[0] != '{' || !json.Valid(r)) {
		return errors.New("indexRoot: not a JSON object")
	}
	if id.Revoked != nil {
		return id.Revoked.validate()
	}
	return nil
}

// PublicKeys is the identity's keys, in order.
func (id *Identity) PublicKeys() ([]PublicKey, error) { return publicKeys(id.Keys) }

func publicKeys(list []Key) ([]PublicKey, error) {
	keys := make([]PublicKey, 0, len(list))
	for i, k := range list {
		pub, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(k.PEM))
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		switch p := pub.(type) {
		case *ecdsa.PublicKey, ed25519.PublicKey:
		case *rsa.PublicKey:
			if p.N.BitLen() < 2048 {
				return nil, fmt.Errorf("keys[%d]: an RSA key of %d bits, fewer than 2048", i, p.N.BitLen())
			}
		default:
			return nil, fmt.Errorf("keys[%d]: a %T is not a signature key", i, pub)
		}
		var notAfter time.Time
		if k.NotAfter != nil {
			notAfter = *k.NotAfter
		}
		key, err := newPublicKey(pub, notAfter)
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Certificates is the identity's kernel certificates, in order.
func (id *Identity) Certificates() ([]*x509.Certificate, error) {
	certs := make([]*x509.Certificate, 0, len(id.KernelCertificates))
	for i, pem := range id.KernelCertificates {
		cert, err := parseCertificate([]byte(pem))
		if err != nil {
			return nil, fmt.Errorf("kernelCertificates[%d]: %w", i, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// Matches says whether the identity may speak for packages of that name.
func (id *Identity) Matches(name string) bool {
	for _, p := range id.Names {
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}

func (r *Revoked) validate() error {
	if len(r.Keys) > maxListed || len(r.Digests) > maxListed || len(r.Versions) > maxListed {
		return fmt.Errorf("revoked: a list has more than %d entries", maxListed)
	}
	for _, d := range slices.Concat(r.Keys, r.Digests) {
		if _, err := digestHex(d); err != nil {
			return fmt.Errorf("revoked: %w", err)
		}
	}
	for _, v := range r.Versions {
		if name, version, ok := strings.Cut(v, "@"); !ok || name == "" || version == "" {
			return fmt.Errorf("revoked: %.80q is not name@version", v)
		}
	}
	return nil
}

// reason says why the package is revoked, or "".
func (r *Revoked) reason(name, version string, digests ...string) string {
	if r == nil {
		return ""
	}
	if slices.Contains(r.Versions, name+"@"+version) {
		return name + "@" + version + " is revoked"
	}
	for _, d := range digests {
		if slices.Contains(r.Digests, d) {
			return d + " is revoked"
		}
	}
	return ""
}

func (r *Revoked) key(id string) bool {
	return r != nil && slices.Contains(r.Keys, id)
}

// checkPublisher keeps names fit for a file and a certificate.
func checkPublisher(name string) error {
	if len(name) == 0 || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || strings.Trim(name, "-_.") != name {
		return fmt.Errorf("publisher %.80q: want at most 64 of a-z, 0-9, '-', '_', '.', the first and last a letter or digit", name)
	}
	return nil
}

func checkPattern(p string) error {
	if len(p) == 0 || len(p) > 128 {
		return fmt.Errorf("pattern %.80q: want 1 to 128 bytes", p)
	}
	if _, err := path.Match(p, ""); err != nil {
		return fmt.Errorf("pattern %q: %w", p, err)
	}
	return nil
}
