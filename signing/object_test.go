// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

func TestObjectSignature(t *testing.T) {
	a, b := testKeys()
	object := []byte("\x7fELF pretend")
	sig, err := a.SignObject(object)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.SignObject(object)
	if err != nil || !bytes.Equal(sig, again) {
		t.Errorf("signing twice gives two signatures (%v)", err)
	}
	both := []*x509.Certificate{b.KernelCertificate, a.KernelCertificate}
	if cert, err := VerifyObject(object, sig, both); err != nil || !cert.Equal(a.KernelCertificate) {
		t.Errorf("verify: %v", err)
	}
	var bad *SignatureError
	if _, err := VerifyObject(object, sig, both[:1]); !errors.As(err, &bad) {
		t.Errorf("another's certificate: %v", err)
	}
	if _, err := VerifyObject(append(object, 0), sig, both); !errors.As(err, &bad) {
		t.Errorf("another object: %v", err)
	}
	for i := range sig {
		flipped := bytes.Clone(sig)
		flipped[i] ^= 0x01
		if _, err := VerifyObject(object, flipped, both); !errors.As(err, &bad) {
			t.Fatalf("byte %d flipped: got %v, want *SignatureError", i, err)
		}
	}
	for i := range sig {
		if _, err := VerifyObject(object, sig[:i], both); !errors.As(err, &bad) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := VerifyObject(object, append(bytes.Clone(sig), 0), both); !errors.As(err, &bad) {
		t.Errorf("a byte after the end: %v", err)
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// files puts an object, its signature, the key and the certificate in a folder.
func files(t *testing.T) (dir string, k *Keys, object []byte) {
	t.Helper()
	a, _ := testKeys()
	dir = t.TempDir()
	object = bytes.Repeat([]byte("\x7fELF\r\n\x00pretend\n"), 300)
	sig, err := a.SignObject(object)
	if err != nil {
		t.Fatal(err)
	}
	key, err := cryptoutils.MarshalPrivateKeyToPEM(a.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := cryptoutils.MarshalCertificateToPEM(a.KernelCertificate)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"o": object, "o.p7s": sig, "key.pem": key, "cert.pem": cert} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, a, object
}

func TestOpenSSLVerifiesOurs(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl")
	}
	dir, _, _ := files(t)
	run(t, dir, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "o.p7s", "-content", "o",
		"-certfile", "cert.pem", "-CAfile", "cert.pem", "-purpose", "any", "-out", "/dev/null")
	run(t, dir, "openssl", "smime", "-verify", "-binary", "-inform", "DER", "-in", "o.p7s", "-content", "o",
		"-certfile", "cert.pem", "-CAfile", "cert.pem", "-purpose", "any", "-out", "/dev/null")
	text := run(t, dir, "openssl", "x509", "-in", "cert.pem", "-noout", "-text")
	for _, want := range []string{"Version: 3", "CN = acme", "Digital Signature", "Code Signing", "CA:FALSE",
		"X509v3 Subject Key Identifier", "X509v3 Authority Key Identifier", "(3072 bit)", "sha256WithRSAEncryption"} {
		if !strings.Contains(text, want) {
			t.Errorf("the certificate lacks %q:\n%s", want, text)
		}
	}
}

func TestWeVerifyOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl")
	}
	dir, a, object := files(t)
	certs := []*x509.Certificate{a.KernelCertificate}
	sign := func(extra ...string) error {
		args := append([]string{"cms", "-sign", "-binary", "-md", "sha256", "-outform", "DER", "-in", "o",
			"-signer", "cert.pem", "-inkey", "key.pem", "-out", "theirs.p7s"}, extra...)
		run(t, dir, "openssl", args...)
		sig, err := os.ReadFile(filepath.Join(dir, "theirs.p7s"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = VerifyObject(object, sig, certs)
		return err
	}
	for _, extra := range [][]string{{"-noattr", "-nocerts"}, {"-noattr"}} {
		if err := sign(extra...); err != nil {
			t.Errorf("%v: %v", extra, err)
		}
	}
	// The kernel refuses these for modules, so we do not let them get that far.
	for _, extra := range [][]string{{}, {"-noattr", "-nodetach"}, {"-noattr", "-keyid"}} {
		if err := sign(extra...); err == nil {
			t.Errorf("%v: accepted", extra)
		}
	}
}

// What the kernel's own tool makes is byte for byte what we make.
func TestSameAsSignFile(t *testing.T) {
	tools, _ := filepath.Glob("/usr/lib/linux-kbuild-*/scripts/sign-file")
	if len(tools) == 0 {
		t.Skip("no sign-file of a kernel")
	}
	dir, a, object := files(t)
	run(t, dir, tools[0], "-p", "sha256", "key.pem", "cert.pem", "o")
	theirs, err := os.ReadFile(filepath.Join(dir, "o.p7s"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := a.SignObject(object)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Errorf("ours is %d bytes, sign-file's %d\nours   %x\ntheirs %x", len(ours), len(theirs), ours, theirs)
	}
}

// A signature made long ago, over "object", still holds.
func golden(t testing.TB) (sig []byte, cert *x509.Certificate) {
	t.Helper()
	sig, err := os.ReadFile("testdata/object.p7s")
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile("testdata/kernel.crt")
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = parseCertificate(pem); err != nil {
		t.Fatal(err)
	}
	return sig, cert
}

func TestGoldenSignature(t *testing.T) {
	sig, cert := golden(t)
	if _, err := VerifyObject([]byte("object"), sig, []*x509.Certificate{cert}); err != nil {
		t.Error(err)
	}
}

func FuzzVerifyObject(f *testing.F) {
	sig, cert := golden(f)
	f.Add(sig)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := VerifyObject([]byte("object"), b, []*x509.Certificate{cert}); err == nil {
			if s, err := parseSignature(b); err != nil || s.Signer.Serial.Cmp(cert.SerialNumber) != 0 {
				t.Error("verified, but is by another certificate")
			}
		}
	})
}
