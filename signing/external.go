// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// External is a private key that a program has, as of a token (PKCS#11), a smart card
// or a key management service: this process never sees it. The program is run for each
// signature. It gets the SHA-256 of what is signed, 32 bytes, on standard input, and
// must write the signature to standard output within a minute: ECDSA over P-256 as
// ASN.1 (SEQUENCE of r and s) for a publisher's key, RSA PKCS#1 v1.5 with the digest's
// name for a kernel key. What it writes is verified before it is used.
type External struct {
	Command   []string `json:"command"`
	PublicKey string   `json:"publicKey"` // PKIX, PEM
	pub       crypto.PublicKey
}

// ParseExternal reads the file of an external key, JSON with command and publicKey. Errors
// name the file.
func ParseExternal(b []byte, file string) (*External, error) {
	var e External
	if len(b) > MaxIdentity {
		return nil, fmt.Errorf("%s: external key of %d bytes, more than %d", file, len(b), MaxIdentity)
	}
	if err := strictJSON(b, &e); err != nil {
		return nil, fmt.Errorf("%s: external key: %w", file, err)
	}
	if len(e.Command) == 0 || e.Command[0] == "" {
		return nil, fmt.Errorf("%s: command: there is none", file)
	}
	var err error
	if e.pub, err = cryptoutils.UnmarshalPEMToPublicKey([]byte(e.PublicKey)); err != nil {
		return nil, fmt.Errorf("%s: publicKey: %w", file, err)
	}
	return &e, nil
}

// Public implements crypto.Signer.
func (e *External) Public() crypto.PublicKey { return e.pub }

// Sign implements crypto.Signer, for SHA-256.
func (e *External) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, errors.New("external key: it signs SHA-256 digests only")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, e.Command[0], e.Command[1:]...)
	cmd.Stdin = bytes.NewReader(digest)
	var out, why bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &why
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("external key: %s: %w: %.500s", e.Command[0], err, strings.TrimSpace(why.String()))
	}
	sig := out.Bytes()
	ok := false
	switch pub := e.pub.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(pub, digest, sig)
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest, sig) == nil
	}
	if !ok {
		return nil, fmt.Errorf("external key: what %s wrote, %d bytes, is no signature by its public key", e.Command[0], len(sig))
	}
	return sig, nil
}

// checkPublisherKey and checkKernelKey say what is wrong with a key for its purpose.
func checkPublisherKey(pub crypto.PublicKey) error {
	if p, ok := pub.(*ecdsa.PublicKey); !ok || p.Curve != elliptic.P256() {
		return fmt.Errorf("a publisher's key must be ECDSA over P-256, this is a %T", pub)
	}
	return nil
}

func checkKernelKey(pub crypto.PublicKey) error {
	if p, ok := pub.(*rsa.PublicKey); !ok || p.N.BitLen() < 2048 {
		return fmt.Errorf("a kernel key must be RSA with at least 2048 bits, this is a %T", pub)
	}
	return nil
}
