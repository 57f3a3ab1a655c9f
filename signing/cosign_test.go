// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"crypto"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cosign finds sigstore's own tool in PATH or in tools/ of iupkg's cache:
//
//	GOBIN=~/.cache/iupkg/tools go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
func cosign(t *testing.T) func(args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("cosign")
	if err != nil {
		cache, e := os.UserCacheDir()
		path = filepath.Join(cache, "iupkg", "tools", "cosign")
		if _, err := os.Stat(path); e != nil || err != nil {
			t.Skip("cosign is not there: GOBIN=~/.cache/iupkg/tools go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3")
		}
	}
	home := t.TempDir()
	return func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=secret", "HOME="+home)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

func TestCosign(t *testing.T) {
	run := cosign(t)
	a, b := testKeys()
	dir := t.TempDir()
	for _, k := range []*Keys{a, b} {
		if err := SaveKeys(filepath.Join(dir, k.Name), k, func(bool) ([]byte, error) { return []byte("secret"), nil }); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	digest := strings.TrimPrefix(sha("m"), "sha256:")
	st := statement("bmc", "1.2.1", "m")
	key, pub := filepath.Join(dir, "acme", publisherKeyFile), filepath.Join(dir, "acme", publisherPubFile)

	// It accepts what we sign, and not with another key or for another artifact.
	ours := write("ours.json", sign(t, a, st))
	verify := func(pub, digest string) (string, error) {
		return run("verify-blob-attestation", "--key", pub, "--bundle", ours, "--type", PredicateType,
			"--digest", digest, "--digestAlg", "sha256", "--insecure-ignore-tlog")
	}
	if out, err := verify(pub, digest); err != nil {
		t.Errorf("cosign refuses our bundle: %v\n%s", err, out)
	}
	var exit *exec.ExitError
	if out, err := verify(filepath.Join(dir, "other", publisherPubFile), digest); !errors.As(err, &exit) {
		t.Errorf("cosign with another key: %v\n%s", err, out)
	}
	if out, err := verify(pub, strings.TrimPrefix(sha("other"), "sha256:")); !errors.As(err, &exit) {
		t.Errorf("cosign for another artifact: %v\n%s", err, out)
	}

	// We accept what it signs.
	predicate, err := json.Marshal(st.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(dir, "theirs.json")
	out, err := run("attest-blob", "--key", key, "--type", PredicateType, "--predicate", write("predicate.json", predicate),
		"--hash", digest, "--bundle", theirs, "--tlog-upload=false", "--use-signing-config=false", "--yes", "bmc")
	if err != nil {
		t.Fatalf("cosign attest-blob: %v\n%s", err, out)
	}
	bundle, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	v, err := policy(t, identity(t, a, "bmc")).Verify("bmc", "1.2.1", sha("m"), [][]byte{bundle})
	if err != nil || v.Statement.Predicate.Object != sha("object") {
		t.Errorf("cosign's bundle: %+v, %v\n%s", v, err, bundle)
	}
	k, err := newPublicKey(crypto.PublicKey(b.Publisher.Public()), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := VerifyBundle(bundle, sha("m"), []PublicKey{k}); err == nil {
		t.Error("cosign's bundle verifies with another key")
	}
}
