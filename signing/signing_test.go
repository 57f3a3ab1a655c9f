// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// testKeys are made once: RSA keys take long.
var testKeys = sync.OnceValues(func() (*Keys, *Keys) {
	a, err := NewKeys("acme")
	if err != nil {
		panic(err)
	}
	b, err := NewKeys("other")
	if err != nil {
		panic(err)
	}
	return a, b
})

func sha(b string) string {
	sum := sha256.Sum256([]byte(b))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func statement(name, version, manifest string) *Statement {
	return &Statement{Digest: sha(manifest), Predicate: Predicate{
		Name: name, Version: version, Object: sha("object"),
		Requires:  json.RawMessage(`{"release":">=6.1","hooks":["xdp"],"abi":1}`),
		Hooks:     []string{"xdp"},
		Toolchain: json.RawMessage(`{"rustc":"1.96.0"}`),
	}}
}

func sign(t testing.TB, k *Keys, s *Statement) []byte {
	t.Helper()
	b, err := k.SignStatement(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func identity(t testing.TB, k *Keys, names ...string) *Identity {
	t.Helper()
	id, err := k.Identity(names...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func policy(t testing.TB, ids ...*Identity) *Policy {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "trust")
	p, err := OpenPolicy(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := p.Add(id); err != nil {
			t.Fatal(err)
		}
	}
	// What is asked is what was persisted, not what is in memory.
	if p, err = OpenPolicy(dir); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKeysSurviveSaving(t *testing.T) {
	a, _ := testKeys()
	for _, pass := range []string{"", "correct horse"} {
		dir := filepath.Join(t.TempDir(), "keys")
		var password Password
		if pass != "" {
			password = func(bool) ([]byte, error) { return []byte(pass), nil }
		}
		a.IndexRoot = []byte("{}")
		if err := SaveKeys(dir, a, password); err != nil {
			t.Fatal(err)
		}
		if err := SaveKeys(dir, a, password); !errors.Is(err, os.ErrExist) {
			t.Errorf("saving over keys: got %v, want an error that they exist", err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if fi, _ := e.Info(); fi.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v, want 0600", e.Name(), fi.Mode())
			}
		}
		key, _ := os.ReadFile(filepath.Join(dir, publisherKeyFile))
		if encrypted := strings.Contains(string(key), "ENCRYPTED SIGSTORE"); encrypted != (pass != "") {
			t.Errorf("with password %q: encrypted is %v", pass, encrypted)
		}
		k, err := LoadKeys(dir, password)
		if err != nil {
			t.Fatal(err)
		}
		if k.Name != "acme" || !k.Publisher.(*ecdsa.PrivateKey).Equal(a.Publisher) || !k.Kernel.(*rsa.PrivateKey).Equal(a.Kernel) || !k.Index.Equal(a.Index) ||
			!k.KernelCertificate.Equal(a.KernelCertificate) || !bytes.Equal(k.IndexRoot, a.IndexRoot) {
			t.Error("loaded keys differ from those saved")
		}
		if pass != "" {
			if _, err := LoadKeys(dir, nil); err == nil {
				t.Error("encrypted keys loaded with no password")
			}
			if _, err := LoadKeys(dir, func(bool) ([]byte, error) { return []byte("wrong"), nil }); err == nil {
				t.Error("encrypted keys loaded with a wrong password")
			}
		}
	}
	a.IndexRoot = nil
}

func TestPolicyAccepts(t *testing.T) {
	a, b := testKeys()
	p := policy(t, identity(t, a, "bmc", "acme-*"), identity(t, b, "zzz"))
	good := sign(t, a, statement("bmc", "1.2.1", "m"))
	v, err := p.Verify("bmc", "1.2.1", sha("m"), [][]byte{good})
	if err != nil {
		t.Fatal(err)
	}
	if v.Publisher != "acme" || len(v.KeyIDs) != 1 || v.Statement.Predicate.Object != sha("object") || len(v.KernelCertificates) != 1 {
		t.Errorf("verdict is %+v", v)
	}
	if string(v.Statement.Predicate.Requires) != `{"release":">=6.1","hooks":["xdp"],"abi":1}` {
		t.Errorf("requires came back as %s", v.Statement.Predicate.Requires)
	}
}

// Junk next to a valid bundle, before and after it, changes nothing.
func TestStrayBundlesDoNotBreakAValidOne(t *testing.T) {
	a, b := testKeys()
	p := policy(t, identity(t, a, "*"))
	good := sign(t, a, statement("bmc", "1.2.1", "m"))
	stray := [][]byte{
		nil, []byte("{}"), []byte("null"), []byte("[]"), []byte("\xff\x00"), good[:len(good)/2],
		bytes.Repeat([]byte("["), 100_000), bytes.Repeat([]byte("a"), MaxBundle+1),
		[]byte(`{"mediaType":"` + BundleMediaType + `","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{}}`),
		[]byte(`{"mediaType":"` + BundleMediaType + `","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"signatures":[{}]}}`),
		bytes.Replace(good, []byte(`"sig":"`), []byte(`"sig":"AAAA`), 1),
		bytes.Replace(good, []byte("v0.3+json"), []byte("v9.9+json"), 1),
		sign(t, b, statement("bmc", "1.2.1", "m")),
		sign(t, a, statement("bmc", "9.9.9", "m")),
		sign(t, a, statement("other", "1.2.1", "m")),
		sign(t, a, statement("bmc", "1.2.1", "another")),
	}
	var many [][]byte
	for range 20 {
		many = append(many, stray...)
	}
	many = append(append(many, good), many...)
	if _, err := p.Verify("bmc", "1.2.1", sha("m"), many); err != nil {
		t.Errorf("with %d stray bundles: %v", len(many)-1, err)
	}
	var refusal *Untrusted
	if _, err := p.Verify("bmc", "1.2.1", sha("m"), stray); !errors.As(err, &refusal) {
		t.Fatalf("stray bundles alone: got %v, want *Untrusted", err)
	}
	seen := map[int]bool{}
	for _, f := range refusal.Found {
		seen[f.Bundle] = true
	}
	if len(seen) != len(stray) {
		t.Errorf("the refusal speaks of %d bundles of %d:\n%s", len(seen), len(stray), strings.Join(refusal.Explain(), "\n"))
	}
}

func TestPolicyRefuses(t *testing.T) {
	a, b := testKeys()
	good := sign(t, a, statement("bmc", "1.2.1", "m"))
	with := func(f func(*Identity)) *Policy {
		id := identity(t, a, "bmc")
		f(id)
		return policy(t, id)
	}
	keyID, _ := KeyID(a.Publisher.Public())
	plain := func(*Identity) {}
	past := time.Now().Add(-time.Hour)
	twoKeys := func(id *Identity) {
		id.Keys = append(id.Keys, identity(t, b, "x").Keys...)
		id.Threshold = 2
	}
	for _, c := range []struct {
		name          string
		policy        *Policy
		pkg, ver, man string
		bundles       [][]byte
		want          string
	}{
		{"nobody trusted", policy(t), "bmc", "1.2.1", "m", [][]byte{good}, "no one is trusted"},
		{"unsigned", with(plain), "bmc", "1.2.1", "m", nil, "no signature at all"},
		{"name outside the patterns", with(plain), "ssh", "1.2.1", "m", [][]byte{good}, `identity trusted for the name "ssh"`},
		{"another name", with(func(id *Identity) { id.Names = []string{"*"} }), "ssh", "1.2.1", "m", [][]byte{good}, `for the name "bmc", not "ssh"`},
		{"another version", with(plain), "bmc", "1.2.2", "m", [][]byte{good}, `for version "1.2.1", not "1.2.2"`},
		{"another manifest", with(plain), "bmc", "1.2.1", "n", [][]byte{good}, "over another artifact"},
		{"another's key", with(plain), "bmc", "1.2.1", "m", [][]byte{sign(t, b, statement("bmc", "1.2.1", "m"))}, "not trusted, or does not hold"},
		{"expired key", with(func(id *Identity) { id.Keys[0].NotAfter = &past }), "bmc", "1.2.1", "m", [][]byte{good}, "expired on"},
		{"revoked key", with(func(id *Identity) { id.Revoked = &Revoked{Keys: []string{keyID}} }), "bmc", "1.2.1", "m", [][]byte{good}, "which is revoked"},
		{"revoked manifest", with(func(id *Identity) { id.Revoked = &Revoked{Digests: []string{sha("m")}} }), "bmc", "1.2.1", "m", [][]byte{good}, sha("m") + " is revoked"},
		{"revoked object", with(func(id *Identity) { id.Revoked = &Revoked{Digests: []string{sha("object")}} }), "bmc", "1.2.1", "m", [][]byte{good}, "is revoked"},
		{"revoked version", with(func(id *Identity) { id.Revoked = &Revoked{Versions: []string{"bmc@1.2.1"}} }), "bmc", "1.2.1", "m", [][]byte{good}, "bmc@1.2.1 is revoked"},
		{"one of two", with(twoKeys), "bmc", "1.2.1", "m", [][]byte{good, good}, "1 of the 2 keys required"},
		{"two that disagree", with(twoKeys), "bmc", "1.2.1", "m", [][]byte{good, func() []byte {
			s := statement("bmc", "1.2.1", "m")
			s.Predicate.Object = sha("evil")
			return sign(t, b, s)
		}()}, "another signature says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := c.policy.Verify(c.pkg, c.ver, sha(c.man), c.bundles)
			var refusal *Untrusted
			if !errors.As(err, &refusal) {
				t.Fatalf("got %+v, %v, want *Untrusted", v, err)
			}
			text := strings.Join(refusal.Explain(), "\n")
			if !strings.Contains(text, c.want) {
				t.Errorf("the refusal does not say %q:\n%s", c.want, text)
			}
			if len(refusal.Required) == 0 || len(refusal.Found) == 0 {
				t.Errorf("the refusal lacks what was required or found:\n%s", text)
			}
		})
	}
	t.Run("two of two", func(t *testing.T) {
		v, err := with(twoKeys).Verify("bmc", "1.2.1", sha("m"), [][]byte{good, sign(t, b, statement("bmc", "1.2.1", "m"))})
		if err != nil || len(v.KeyIDs) != 2 {
			t.Errorf("got %+v, %v", v, err)
		}
	})
	t.Run("revoked on this machine", func(t *testing.T) {
		p := with(plain)
		if err := os.WriteFile(filepath.Join(p.dir, revokedFile), []byte(`{"keys":["`+keyID+`"]}`), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := OpenPolicy(p.dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify("bmc", "1.2.1", sha("m"), [][]byte{good}); err == nil {
			t.Error("a package by a revoked key is trusted")
		}
	})
}

// Every flipped bit of what is signed, and of the signature, is noticed.
func TestFlippedBundle(t *testing.T) {
	a, _ := testKeys()
	p := policy(t, identity(t, a, "bmc"))
	good := sign(t, a, statement("bmc", "1.2.1", "m"))
	var doc struct {
		Envelope struct {
			Payload    []byte `json:"payload"`
			Signatures []struct {
				Sig []byte `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(good, &doc); err != nil {
		t.Fatal(err)
	}
	old := [][]byte{doc.Envelope.Payload, doc.Envelope.Signatures[0].Sig}
	for _, part := range old {
		before, _ := json.Marshal(part)
		for i := range part {
			part[i] ^= 1 << (i % 8)
			after, _ := json.Marshal(part)
			part[i] ^= 1 << (i % 8)
			bad := bytes.Replace(good, before, after, 1)
			if bytes.Equal(bad, good) {
				t.Fatal("nothing was flipped")
			}
			if _, err := p.Verify("bmc", "1.2.1", sha("m"), [][]byte{bad}); err == nil {
				t.Fatalf("trusted with byte %d of %d flipped", i, len(part))
			}
		}
	}
}

func TestPolicyFailsClosed(t *testing.T) {
	a, _ := testKeys()
	good, err := identity(t, a, "bmc").Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, content string }{
		"truncated":     {"acme.trust", string(good[:100])},
		"other name":    {"eve.trust", string(good)},
		"unknown field": {"acme.trust", strings.Replace(string(good), `"schema"`, `"onlyOn": "monday", "schema"`, 1)},
		"later schema":  {"acme.trust", strings.Replace(string(good), `"schema": 1`, `"schema": 2`, 1)},
		"revocations":   {"revoked.json", `{"keys": ["sha256:12"]}`},
		"bad pattern":   {"acme.trust", strings.Replace(string(good), `"bmc"`, `"[b"`, 1)},
		"no pattern":    {"acme.trust", strings.Replace(string(good), `"bmc"`, ``, 1)},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenPolicy(dir); err == nil {
			t.Errorf("%s: the policy opened", name)
		}
	}
}

func TestPolicyAddRemove(t *testing.T) {
	a, b := testKeys()
	p := policy(t, identity(t, b, "b*"), identity(t, a, "a*"))
	if ids := p.List(); len(ids) != 2 || ids[0].Publisher != "acme" {
		t.Errorf("list is %+v", ids)
	}
	if err := p.Remove("acme"); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove("acme"); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("removing twice: %v", err)
	}
	p, err := OpenPolicy(p.dir)
	if err != nil || len(p.List()) != 1 {
		t.Errorf("after removal: %+v, %v", p.List(), err)
	}
}

func FuzzVerifyBundle(f *testing.F) {
	// All processes of a fuzzer need the same key.
	seed := sha256.Sum256([]byte("acme"))
	publisher, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		f.Fatal(err)
	}
	a := &Keys{Name: "acme", Publisher: publisher}
	good := sign(f, a, statement("bmc", "1.2.1", "m"))
	key, err := newPublicKey(a.Publisher.Public(), time.Time{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"mediaType":"` + BundleMediaType + `","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":"e30=","payloadType":"` + PayloadType + `","signatures":[{"sig":"AA=="}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, err := VerifyBundle(b, sha("m"), []PublicKey{key})
		if err == nil && (s.Predicate.Name != "bmc" || s.Digest != sha("m")) {
			t.Errorf("verified a statement that was never signed: %+v", s)
		}
	})
}

func FuzzParseIdentity(f *testing.F) {
	a, _ := testKeys()
	good, err := identity(f, a, "bmc", "x-*").Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := ParseIdentity(b, "x.trust")
		if err != nil {
			return
		}
		again, err := id.Encode()
		if err != nil {
			t.Fatalf("parsed but does not encode: %v", err)
		}
		if _, err := ParseIdentity(again, "x.trust"); err != nil {
			t.Fatalf("encoded but does not parse: %v", err)
		}
	})
}
