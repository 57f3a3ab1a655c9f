// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// kernelKeyBits is RSA because Debian 12's 6.1 kernel verifies no ECDSA in
// PKCS#7 by default, and 3072 for 128 bits of strength.
const kernelKeyBits = 3072

// Names of the files in a folder of keys.
const (
	publisherKeyFile = "publisher.key"
	publisherPubFile = "publisher.pub"
	kernelKeyFile    = "kernel.key"
	kernelCertFile   = "kernel.crt"
	indexKeyFile     = "index.key"
	indexRootFile    = "index-root.json"
	externalSuffix   = ".signer" // in the place of ".key"
)

// Keys are a publisher's private keys. They are not changed once made, save for
// IndexRoot, and are safe for concurrent use.
type Keys struct {
	// Name is the publisher's, and the certificate's common name.
	Name string
	// Publisher signs statements.
	Publisher crypto.Signer
	// Kernel signs objects for the kernel, which knows it by KernelCertificate.
	Kernel            crypto.Signer
	KernelCertificate *x509.Certificate
	// Index signs the roles of the publisher's index.
	Index ed25519.PrivateKey
	// IndexRoot is the first root of the publisher's index, nil if there is none.
	IndexRoot []byte
	// Witness, if there is one, vouches for signatures over packages, which are then made
	// without Publisher.
	Witness Witness
}

// A Password gives the password of private keys. confirm says that it is a new
// one. A nil password means none.
type Password func(confirm bool) ([]byte, error)

// NewKeys makes keys for a publisher of that name.
func NewKeys(name string) (*Keys, error) { return NewKeysWith(name, nil, nil) }

// NewKeysWith is NewKeys where a program has the publisher's key or the kernel key;
// either may be nil.
func NewKeysWith(name string, publisher, kernel *External) (*Keys, error) {
	if err := checkPublisher(name); err != nil {
		return nil, err
	}
	k := &Keys{Name: name}
	var err error
	if publisher != nil {
		if err := checkPublisherKey(publisher.Public()); err != nil {
			return nil, err
		}
		k.Publisher = publisher
	} else if k.Publisher, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make publisher key: %w", err)
	}
	if kernel != nil {
		if err := checkKernelKey(kernel.Public()); err != nil {
			return nil, err
		}
		k.Kernel = kernel
	} else if k.Kernel, err = rsa.GenerateKey(rand.Reader, kernelKeyBits); err != nil {
		return nil, fmt.Errorf("make kernel key: %w", err)
	}
	if k.KernelCertificate, err = newKernelCertificate(name, k.Kernel); err != nil {
		return nil, fmt.Errorf("make kernel certificate: %w", err)
	}
	if _, k.Index, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("make index key: %w", err)
	}
	return k, nil
}

// SaveKeys writes keys into dir, which must not hold any yet. With a password the
// private keys are encrypted as cosign does it; password may be nil.
func SaveKeys(dir string, k *Keys, password Password) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range []string{publisherKeyFile, "publisher" + externalSuffix} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s already holds keys: %w", dir, fs.ErrExist)
		}
	}
	secret, err := encoder(password)
	if err != nil {
		return err
	}
	pub, err := cryptoutils.MarshalPublicKeyToPEM(k.Publisher.Public())
	if err != nil {
		return err
	}
	cert, err := cryptoutils.MarshalCertificateToPEM(k.KernelCertificate)
	if err != nil {
		return err
	}
	// The publisher's key goes last: it is what says that the folder is whole.
	for _, f := range []struct {
		name string
		key  crypto.PrivateKey
		data []byte
	}{
		{name: kernelKeyFile, key: k.Kernel},
		{name: kernelCertFile, data: cert},
		{name: indexKeyFile, key: k.Index},
		{name: indexRootFile, data: k.IndexRoot},
		{name: publisherPubFile, data: pub},
		{name: publisherKeyFile, key: k.Publisher},
	} {
		if e, ok := f.key.(*External); ok {
			f.name = strings.TrimSuffix(f.name, ".key") + externalSuffix
			if f.data, err = json.MarshalIndent(e, "", "  "); err != nil {
				return err
			}
		} else if f.key != nil {
			if f.data, err = secret(f.key); err != nil {
				return fmt.Errorf("encode %s: %w", f.name, err)
			}
		}
		if f.data == nil {
			continue
		}
		if err := writeFile(filepath.Join(dir, f.name), f.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// encoder asks for the password once, not once a key.
func encoder(password Password) (func(crypto.PrivateKey) ([]byte, error), error) {
	var pass []byte
	if password != nil {
		var err error
		if pass, err = password(true); err != nil {
			return nil, err
		}
	}
	return func(key crypto.PrivateKey) ([]byte, error) {
		if pass == nil {
			return cryptoutils.MarshalPrivateKeyToPEM(key)
		}
		der, err := cryptoutils.MarshalPrivateKeyToEncryptedDER(key, func(bool) ([]byte, error) { return pass, nil })
		if err != nil {
			return nil, err
		}
		return cryptoutils.PEMEncode(cryptoutils.EncryptedSigstorePrivateKeyPEMType, der), nil
	}, nil
}

// SaveIndexRoot writes k.IndexRoot into a folder that SaveKeys made.
func SaveIndexRoot(dir string, k *Keys) error {
	return writeFile(filepath.Join(dir, indexRootFile), k.IndexRoot, 0o600)
}

// LoadKeys reads the keys that SaveKeys wrote. password is asked only if they
// are encrypted, and may be nil if they are not.
func LoadKeys(dir string, password Password) (*Keys, error) {
	k := &Keys{}
	var pass []byte
	asked := false
	once := func(bool) ([]byte, error) {
		if password == nil {
			return nil, errors.New("the key is encrypted and there is no password")
		}
		if !asked {
			var err error
			if pass, err = password(false); err != nil {
				return nil, err
			}
			asked = true
		}
		return pass, nil
	}
	var err error
	if k.Publisher, err = loadSigner(dir, publisherKeyFile, once, checkPublisherKey); err != nil {
		return nil, err
	}
	if k.Kernel, err = loadSigner(dir, kernelKeyFile, once, checkKernelKey); err != nil {
		return nil, err
	}
	if k.Index, err = loadKey[ed25519.PrivateKey](dir, indexKeyFile, once); err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(filepath.Join(dir, kernelCertFile))
	if err != nil {
		return nil, err
	}
	if k.KernelCertificate, err = parseCertificate(pem); err != nil {
		return nil, fmt.Errorf("%s: %w", kernelCertFile, err)
	}
	if pub, ok := k.Kernel.Public().(*rsa.PublicKey); !ok || !pub.Equal(k.KernelCertificate.PublicKey) {
		return nil, fmt.Errorf("%s is not the certificate of %s", kernelCertFile, kernelKeyFile)
	}
	k.Name = k.KernelCertificate.Subject.CommonName
	if k.IndexRoot, err = os.ReadFile(filepath.Join(dir, indexRootFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return k, nil
}

// loadSigner reads a key, or what program has it.
func loadSigner(dir, name string, password Password, check func(crypto.PublicKey) error) (crypto.Signer, error) {
	path := filepath.Join(dir, strings.TrimSuffix(name, ".key")+externalSuffix)
	b, err := os.ReadFile(path)
	var k crypto.Signer
	switch {
	case err == nil:
		k, err = ParseExternal(b, path)
	case errors.Is(err, fs.ErrNotExist):
		path = filepath.Join(dir, name)
		k, err = loadKey[crypto.Signer](dir, name, password)
	}
	if err != nil {
		return nil, err
	}
	if err := check(k.Public()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

func loadKey[K crypto.PrivateKey](dir, name string, password Password) (K, error) {
	var zero K
	path := filepath.Join(dir, name)
	pem, err := os.ReadFile(path)
	if err != nil {
		return zero, err
	}
	key, err := cryptoutils.UnmarshalPEMToPrivateKey(pem, cryptoutils.PassFunc(password))
	if err != nil {
		return zero, fmt.Errorf("%s: %w", path, err)
	}
	k, ok := key.(K)
	if !ok {
		return zero, fmt.Errorf("%s: a %T, not a %T", path, key, zero)
	}
	return k, nil
}

// Identity is the public half of the keys, for packages whose names match names.
func (k *Keys) Identity(names ...string) (*Identity, error) {
	pub, err := cryptoutils.MarshalPublicKeyToPEM(k.Publisher.Public())
	if err != nil {
		return nil, err
	}
	cert, err := cryptoutils.MarshalCertificateToPEM(k.KernelCertificate)
	if err != nil {
		return nil, err
	}
	id := &Identity{
		Schema:             Schema,
		Publisher:          k.Name,
		Names:              names,
		Keys:               []Key{{PEM: string(pub)}},
		KernelCertificates: []string{string(cert)},
		IndexRoot:          k.IndexRoot,
	}
	return id, id.Validate()
}

// KeyID is the identifier of a public key, "sha256:" and 64 hex digits.
func KeyID(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
