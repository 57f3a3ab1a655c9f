// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// pki is an authority, a server and a client of it, in files.
type pki struct{ ca, cert, key, clientCert, clientKey string }

func newPKI(t *testing.T) *pki {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	caKey := newKey()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(n int64, name string, use x509.ExtKeyUsage) (string, string) {
		key := newKey()
		c := &x509.Certificate{SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return write(name+".crt", "CERTIFICATE", der), write(name+".key", "PRIVATE KEY", raw)
	}
	p := &pki{ca: write("ca.crt", "CERTIFICATE", caDER)}
	p.cert, p.key = leaf(2, "server", x509.ExtKeyUsageServerAuth)
	p.clientCert, p.clientKey = leaf(3, "client", x509.ExtKeyUsageClientAuth)
	return p
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// served runs the embedded registry until the test ends.
func served(t *testing.T, o ServeOptions) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	if o.Addr = "127.0.0.1:0"; o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Ready = func(a net.Addr) { ready <- a }
	go func() { done <- Serve(ctx, o) }()
	t.Cleanup(cancel)
	select {
	case a := <-ready:
		t.Cleanup(func() { cancel(); <-done })
		return a.String() + "/test"
	case err := <-done:
		t.Fatal(err)
	}
	return ""
}

func TestTLSOfOwnAuthority(t *testing.T) {
	p := newPKI(t)
	ref := "https://" + served(t, ServeOptions{Certificate: p.cert, Key: p.key, ClientCAs: p.ca})
	ctx := context.Background()
	pkg := testPackage(t, "bmc", "1.0.0")
	for name, x := range map[string]struct {
		o    Options
		want Kind
	}{
		"authority and certificate": {Options{CAs: read(t, p.ca), Certificate: read(t, p.clientCert), Key: read(t, p.clientKey)}, 0},
		"no certificate":            {Options{CAs: read(t, p.ca)}, Network},
		"no authority":              {Options{Certificate: read(t, p.clientCert), Key: read(t, p.clientKey)}, Network},
	} {
		x.o.Anonymous, x.o.timing = true, fast
		c, err := Open(ref, x.o)
		if err != nil {
			t.Fatal(err)
		}
		c.settle = time.Millisecond
		if _, err = c.Push(ctx, pkg); KindOf(err) != x.want || x.want == 0 && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(ref, Options{CAs: []byte("none")}); err == nil {
		t.Error("authorities that are none are taken")
	}
	if _, err := Open(ref, Options{Certificate: read(t, p.cert), Key: read(t, p.clientKey)}); err == nil {
		t.Error("a key of another certificate is taken")
	}
	if err := Serve(ctx, ServeOptions{Dir: t.TempDir(), Addr: "127.0.0.1:0", ClientCAs: p.ca}); err == nil {
		t.Error("clients' certificates over plain HTTP")
	}
	plain, err := Open("http://"+strings.TrimPrefix(ref, "https://"), Options{Anonymous: true, timing: fast})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Resolve(ctx, "bmc", "1.0.0"); err == nil {
		t.Error("plain HTTP is answered")
	}
}

// htpasswd is a file with one account.
func htpasswd(t *testing.T, name, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s:%s\n", name, hash), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Accounts of the registry, and the places where a client has its own.
func TestAccounts(t *testing.T) {
	dir := t.TempDir()
	ref := served(t, ServeOptions{Htpasswd: htpasswd(t, "alice", "secret")})
	host, _, _ := strings.Cut(ref, "/")
	ctx := context.Background()
	auth := func(password string) string {
		return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("alice:"+password)))
	}
	helper := "#!/bin/sh\nread host\nprintf '{\"ServerURL\":\"%s\",\"Username\":\"alice\",\"Secret\":\"secret\"}' \"$host\"\n"
	for name, x := range map[string]struct {
		files map[string]string
		want  Kind
	}{
		"docker":         {map[string]string{"docker/config.json": auth("secret")}, 0},
		"docker, wrong":  {map[string]string{"docker/config.json": auth("guess")}, Denied},
		"helper":         {map[string]string{"docker/config.json": fmt.Sprintf(`{"credHelpers":{%q:"test"}}`, host), "bin/docker-credential-test": helper}, 0},
		"podman":         {map[string]string{"run/containers/auth.json": auth("secret")}, 0},
		"podman at home": {map[string]string{"config/containers/auth.json": auth("secret")}, 0},
		"nobody":         {nil, Denied},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			for path, text := range x.files {
				path = filepath.Join(home, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("DOCKER_CONFIG", filepath.Join(home, "docker"))
			t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "run"))
			t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
			t.Setenv("REGISTRY_AUTH_FILE", "")
			t.Setenv("PATH", filepath.Join(home, "bin")+":"+os.Getenv("PATH"))
			c, err := Open("http://"+ref, Options{timing: fast})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Push(ctx, testPackage(t, "bmc", "1.0.0")); KindOf(err) != x.want || x.want == 0 && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := Serve(ctx, ServeOptions{Dir: t.TempDir(), Addr: "127.0.0.1:0", Htpasswd: filepath.Join(dir, "none")}); err == nil {
		t.Error("a file of accounts that is not there is taken")
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	pkg := testPackage(t, "bmc", "1.0.0")
	open := func(ref string) *Client {
		c, err := Open("http://"+ref, Options{Anonymous: true, timing: fast})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	d := push(t, open(served(t, ServeOptions{Dir: dir})), pkg)
	c := open(served(t, ServeOptions{Dir: dir, ReadOnly: true}))
	if _, err := c.Fetch(ctx, "bmc", d, newMemStore()); err != nil {
		t.Error(err)
	}
	if _, err := c.Push(ctx, testPackage(t, "bmc", "1.1.0")); err == nil {
		t.Error("a read-only registry takes a package")
	}
}

// A transfer that breaks is taken up where it ended: over registries that know
// ranges, those that do not, and those that lie about them.
func TestResume(t *testing.T) {
	c, l := testRegistry(t)
	p := testPackage(t, "bmc", "1.0.0")
	d := push(t, c, p)
	object := digestOf(p.Object)
	for name, x := range map[string]struct {
		rest func(w http.ResponseWriter, from int)
		want Kind
	}{
		"ranges": {func(w http.ResponseWriter, from int) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(p.Object)-1, len(p.Object)))
			w.Header().Set("Content-Length", strconv.Itoa(len(p.Object)-from))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(p.Object[from:])
		}, 0},
		"no ranges": {func(w http.ResponseWriter, from int) { w.Write(p.Object) }, 0},
		"another range": {func(w http.ResponseWriter, from int) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(p.Object)-1, len(p.Object)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(p.Object)
		}, Network},
		"other bytes": {func(w http.ResponseWriter, from int) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(p.Object)-1, len(p.Object)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(bytes.Repeat([]byte("x"), len(p.Object)-from))
		}, Integrity},
		"too many": {func(w http.ResponseWriter, from int) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-", from))
			w.WriteHeader(http.StatusPartialContent)
			w.(http.Flusher).Flush()
			w.Write(p.Object)
		}, TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			from := -1
			l.set(onBlob(object, func(w http.ResponseWriter, r *http.Request) {
				if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
					x.rest(w, from)
					return
				}
				w.Header().Set("Content-Length", strconv.Itoa(len(p.Object)))
				w.Write(p.Object[:len(p.Object)/3])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}))
			defer l.set(nil)
			s := newMemStore()
			_, err := c.Fetch(context.Background(), "bmc", d, s)
			if KindOf(err) != x.want || x.want == 0 && err != nil {
				t.Errorf("got %v (kind %v), want kind %v", err, KindOf(err), x.want)
			}
			if from != len(p.Object)/3 {
				t.Errorf("it went on from byte %d, not %d", from, len(p.Object)/3)
			}
			if s.Has(object) != (x.want == 0) {
				t.Error("the object is in the store, or is not")
			}
		})
	}
}

// TestS3IsAskedFor: a program without it does not make a folder of that name.
func TestS3IsAskedFor(t *testing.T) {
	had := hasS3
	defer func() { hasS3 = had }()
	hasS3 = false
	err := Serve(t.Context(), ServeOptions{Dir: "s3://packages", S3Region: "us-east-1", Addr: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), "make bin/iupkg-s3") {
		t.Error(err)
	}
	hasS3 = true
	if err := Serve(t.Context(), ServeOptions{Dir: "s3://", Addr: "127.0.0.1:0"}); err == nil || !strings.Contains(err.Error(), "region") {
		t.Error(err)
	}
}
