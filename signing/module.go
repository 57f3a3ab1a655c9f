// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
)

// A signed module ends with the signature, what struct module_signature of the kernel's
// include/linux/module_signature.h says of it, and these words.
const moduleMagic = "~Module signature appended~\n"

// moduleSignature is that struct; the length is big-endian.
type moduleSignature struct {
	Algo, Hash, IDType, SignerLen, KeyIDLen uint8
	Pad                                     [3]uint8
	Len                                     uint32
}

const (
	idPKCS7      = 2 // PKEY_ID_PKCS7, the only kind that the kernel takes
	trailerBytes = 12
)

// SignModule appends the signature of the kernel key to a module, as the kernel's
// scripts/sign-file does.
func (k *Keys) SignModule(module []byte) ([]byte, error) {
	if bytes.HasSuffix(module, []byte(moduleMagic)) {
		return nil, errors.New("the module has a signature already")
	}
	sig, err := k.SignObject(module)
	if err != nil {
		return nil, err
	}
	out := append(bytes.Clone(module), sig...)
	if out, err = binary.Append(out, binary.BigEndian, moduleSignature{IDType: idPKCS7, Len: uint32(len(sig))}); err != nil {
		return nil, err
	}
	return append(out, moduleMagic...), nil
}

// VerifyModule checks the signature at the end of a module and returns the module
// without it.
func VerifyModule(signed []byte, certs []*x509.Certificate) (module []byte, by *x509.Certificate, err error) {
	rest, ok := bytes.CutSuffix(signed, []byte(moduleMagic))
	if !ok || len(rest) < trailerBytes {
		return nil, nil, errors.New("the module has no signature")
	}
	var t moduleSignature
	at := len(rest) - trailerBytes
	if _, err := binary.Decode(rest[at:], binary.BigEndian, &t); err != nil {
		return nil, nil, err
	}
	if want := (moduleSignature{IDType: idPKCS7, Len: t.Len}); t != want || int64(t.Len) > int64(at) || t.Len > MaxSignature {
		return nil, nil, fmt.Errorf("malformed signature of a module: kind %d, %d bytes", t.IDType, t.Len)
	}
	module, sig := rest[:at-int(t.Len)], rest[at-int(t.Len):at]
	by, err = VerifyObject(module, sig, certs)
	return module, by, err
}
