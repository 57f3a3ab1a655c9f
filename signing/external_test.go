// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// openssl has the keys, as a token would: this process sees public halves only.
func opensslKey(t *testing.T, kind ...string) *External {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	run := func(args ...string) []byte {
		out, err := exec.Command("openssl", args...).Output()
		if err != nil {
			t.Fatalf("openssl %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	run(append([]string{"genpkey", "-out", key}, kind...)...)
	pub := run("pkey", "-in", key, "-pubout")
	script := `cat >"$1.in" && openssl pkeyutl -sign -inkey "$0" -pkeyopt digest:sha256 -in "$1.in"`
	text, err := json.Marshal(External{Command: []string{"sh", "-c", script, key, filepath.Join(dir, "digest")}, PublicKey: string(pub)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseExternal(text, "key.json")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// tokenKey is in a token of SoftHSM, and pkcs11-tool signs with it.
func tokenKey(t *testing.T, kind, mechanism, format string) *External {
	t.Helper()
	const module = "/usr/lib/softhsm/libsofthsm2.so"
	for _, tool := range []string{"softhsm2-util", "pkcs11-tool"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	run := func(argv ...string) {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	run("softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", "1234", "--so-pin", "1234")
	tool := []string{"pkcs11-tool", "--module", module, "--token-label", "test", "--login", "--pin", "1234", "--id", "01"}
	run(append(tool, "--keypairgen", "--key-type", kind)...)
	der := filepath.Join(dir, "pub.der")
	run(append(tool, "--read-object", "--type", "pubkey", "--output-file", der)...)
	raw, err := os.ReadFile(der)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	// RSA signs the digest with its name before it, as PKCS#1 has it.
	prefix := ""
	if mechanism == "RSA-PKCS" {
		prefix = `printf '\060\061\060\015\006\011\140\206\110\001\145\003\004\002\001\005\000\004\040';`
	}
	script := `{ ` + prefix + ` cat; } >"$0/in" && pkcs11-tool --module ` + module + ` --token-label test --login --pin 1234 --id 01 --sign --mechanism ` +
		mechanism + format + ` --input-file "$0/in" --output-file "$0/out" >&2 && cat "$0/out"`
	text, err := json.Marshal(External{Command: []string{"sh", "-c", script, dir}, PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))})
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseExternal(text, "key.json")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExternalKeys(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) (publisher, kernel *External){
		"openssl": func(t *testing.T) (*External, *External) {
			return opensslKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), opensslKey(t, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072")
		},
		"publisher's key in a token": func(t *testing.T) (*External, *External) {
			return tokenKey(t, "EC:prime256v1", "ECDSA", " --signature-format openssl"), nil
		},
		"kernel key in a token": func(t *testing.T) (*External, *External) {
			return nil, tokenKey(t, "rsa:3072", "RSA-PKCS", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			publisher, kernel := make(t)
			k, err := NewKeysWith("acme", publisher, kernel)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "keys")
			if err := SaveKeys(dir, k, nil); err != nil {
				t.Fatal(err)
			}
			if err := SaveKeys(dir, k, nil); err == nil {
				t.Error("keys are written over")
			}
			if k, err = LoadKeys(dir, nil); err != nil {
				t.Fatal(err)
			}
			id, err := k.Identity("bmc")
			if err != nil {
				t.Fatal(err)
			}
			object := []byte("object")
			d := "sha256:" + strings.Repeat("1", 64)
			b, err := k.SignStatement(&Statement{Digest: d, Predicate: Predicate{Name: "bmc", Version: "1.0.0", Object: d}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := policy(t, id).Verify("bmc", "1.0.0", d, [][]byte{b}); err != nil {
				t.Error(err)
			}
			sig, err := k.SignObject(object)
			if err != nil {
				t.Fatal(err)
			}
			certs, err := id.Certificates()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := VerifyObject(object, sig, certs); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExternalKeyThatIsWrong(t *testing.T) {
	good := opensslKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	other := opensslKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	for name, command := range map[string][]string{
		"of another key":  other.Command,
		"of nothing":      {"true"},
		"of garbage":      {"cat"},
		"that fails":      {"false"},
		"that is missing": {"/nonexistent/program"},
	} {
		e := *good
		e.Command = command
		k := &Keys{Name: "acme", Publisher: &e}
		if _, err := k.SignStatement(&Statement{Digest: "sha256:" + strings.Repeat("1", 64), Predicate: Predicate{Name: "a", Version: "1.0.0", Object: "sha256:" + strings.Repeat("1", 64)}}); err == nil {
			t.Errorf("a signature %s is taken", name)
		}
	}
	if _, err := NewKeysWith("acme", nil, good); err == nil {
		t.Error("an elliptic curve's key is taken for the kernel")
	}
	if _, err := NewKeysWith("acme", opensslKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"), nil); err == nil {
		t.Error("another curve is taken")
	}
	for _, text := range []string{"", "{}", `{"command":["x"]}`, `{"command":["x"],"publicKey":"x"}`, `{"command":[""],"publicKey":"x","more":1}`} {
		if _, err := ParseExternal([]byte(text), "key.json"); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
