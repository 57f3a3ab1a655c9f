// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the kernel's own tool makes of a module is byte for byte what we make, and its
// modinfo reads it.
func TestModuleSameAsSignFile(t *testing.T) {
	tools, _ := filepath.Glob("/usr/lib/linux-kbuild-*/scripts/sign-file")
	if len(tools) == 0 {
		t.Skip("no sign-file of a kernel")
	}
	dir, a, module := files(t)
	run(t, dir, tools[0], "sha256", "key.pem", "cert.pem", "o", "o.signed")
	theirs, err := os.ReadFile(filepath.Join(dir, "o.signed"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := a.SignModule(module)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Errorf("ours is %d bytes, sign-file's %d", len(ours), len(theirs))
	}
	if modinfo, err := exec.LookPath("modinfo"); err == nil {
		out, err := exec.Command(modinfo, "-F", "signer", filepath.Join(dir, "o.signed")).CombinedOutput()
		if err == nil && strings.TrimSpace(string(out)) != a.KernelCertificate.Subject.CommonName {
			t.Errorf("modinfo says it is signed by %q", out)
		}
	}
}

func TestModule(t *testing.T) {
	a, b := testKeys()
	module := []byte("\x7fELF a module")
	signed, err := a.SignModule(module)
	if err != nil {
		t.Fatal(err)
	}
	certs := []*x509.Certificate{a.KernelCertificate}
	if got, by, err := VerifyModule(signed, certs); err != nil || !bytes.Equal(got, module) || by != a.KernelCertificate {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := a.SignModule(signed); err == nil {
		t.Error("signed twice")
	}
	if _, _, err := VerifyModule(signed, []*x509.Certificate{b.KernelCertificate}); err == nil {
		t.Error("verified by another's certificate")
	}
	for i := range signed {
		bad := bytes.Clone(signed)
		bad[i] ^= 1
		if _, _, err := VerifyModule(bad, certs); err == nil {
			t.Fatalf("byte %d of %d changed, and it verifies", i, len(signed))
		}
	}
	for _, n := range []int{0, 1, len(moduleMagic), len(moduleMagic) + trailerBytes - 1} {
		if _, _, err := VerifyModule(signed[len(signed)-n:], certs); err == nil {
			t.Errorf("the last %d bytes verify", n)
		}
	}
}

func FuzzVerifyModule(f *testing.F) {
	a, _ := testKeys()
	signed, err := a.SignModule([]byte("module"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte(moduleMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, _, err := VerifyModule(b, []*x509.Certificate{a.KernelCertificate}); err == nil && string(m) != "module" {
			t.Errorf("%q verifies", m)
		}
	})
}
