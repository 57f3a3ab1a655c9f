// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iupkg/iupkg/manifest"
)

// memStore is a Store that checks what it is given, as the real one does.
type memStore struct {
	mu    sync.Mutex
	blobs map[string][]byte
	puts  int
}

func newMemStore() *memStore { return &memStore{blobs: map[string][]byte{}} }

func (s *memStore) Has(d string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.blobs[d]
	return ok
}

func (s *memStore) Open(d string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[d]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *memStore) Put(d string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if digestOf(b) != d {
		return fmt.Errorf("put %s under %s", digestOf(b), d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[d] = b
	s.puts++
	return nil
}

func testPackage(t testing.TB, name, version string) *Package {
	t.Helper()
	object := bytes.Repeat([]byte("\x7fELF "+name+version+" "), 4000)
	m := &manifest.Manifest{
		Schema: 1, Name: name, Version: version, License: "Apache-2.0", Arch: "amd64",
		Object:    manifest.Object{Digest: digestOf(object), Size: int64(len(object))},
		Requires:  manifest.Requirements{Release: ">=6.1", Hooks: []manifest.Hook{manifest.HookXDP}, ABI: 1},
		Programs:  []manifest.Program{{Name: "main", Hook: manifest.HookXDP, OnFault: "pass"}},
		Toolchain: manifest.Toolchain{Rustc: "1.96.0", LLVM: "22.1.8", IU: "0.1"},
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &Package{Manifest: b, Object: object, KernelSig: []byte("signature of " + name + version),
		Debug: []byte("debug"), Readme: []byte("# read me"), License: []byte("licence")}
}

// A liar stands before a real registry and answers some requests itself.
type liar struct {
	next http.Handler
	mu   sync.Mutex
	lie  func(w http.ResponseWriter, r *http.Request) bool // true: answered
	hits map[string]int
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	lie := l.lie
	l.hits[r.Method+" "+r.URL.Path]++
	l.mu.Unlock()
	if lie != nil && lie(w, r) {
		return
	}
	l.next.ServeHTTP(w, r)
}

func (l *liar) set(f func(w http.ResponseWriter, r *http.Request) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = f
}

var fast = &timing{connect: time.Second, idle: 300 * time.Millisecond, header: 500 * time.Millisecond,
	backoff: []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}}

// testRegistry is the embedded registry behind a liar, and a client of it.
func testRegistry(t testing.TB) (*Client, *liar) {
	t.Helper()
	return testRegistryOf(t, func(h http.Handler) http.Handler { return h })
}

// bothWays runs a test against a registry with the referrers API, and against one
// without, which is distribution as it is.
func bothWays(t *testing.T, test func(t *testing.T, c *Client, l *liar)) {
	t.Run("api", func(t *testing.T) {
		c, l := testRegistry(t)
		test(t, c, l)
	})
	t.Run("tag schema", func(t *testing.T) {
		c, l := testRegistryOf(t, func(h http.Handler) http.Handler { return h.(*withReferrers).next })
		test(t, c, l)
	})
}

func testRegistryOf(t testing.TB, handler func(http.Handler) http.Handler) (*Client, *liar) {
	t.Helper()
	h, shutdown, err := newHandler(context.Background(), &ServeOptions{Dir: t.TempDir(), Delete: true})
	if err != nil {
		t.Fatal(err)
	}
	h = handler(h)
	l := &liar{next: h, hits: map[string]int{}}
	srv := httptest.NewServer(l)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		shutdown()
	})
	c, err := Open(srv.URL+"/test", Options{Anonymous: true, timing: fast})
	if err != nil {
		t.Fatal(err)
	}
	c.settle = 50 * time.Millisecond
	return c, l
}

func push(t testing.TB, c *Client, p *Package) string {
	t.Helper()
	d, err := c.Push(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPushFetch(t *testing.T) {
	ctx := context.Background()
	c, l := testRegistry(t)
	p := testPackage(t, "bmc", "1.2.1-rc.1")
	d := push(t, c, p)
	if again := push(t, c, p); again != d {
		t.Errorf("pushed twice: %s, then %s", d, again)
	}
	raw, _, err := Pack(p)
	if err != nil || digestOf(raw) != d {
		t.Errorf("Pack says %s (%v), Push %s", digestOf(raw), err, d)
	}
	for _, ref := range []string{d, "1.2.1-rc.1"} {
		s := newMemStore()
		f, err := c.Fetch(ctx, "bmc", ref, s)
		if err != nil {
			t.Fatalf("fetch %s: %v", ref, err)
		}
		if f.Digest != d || f.Manifest.Version != "1.2.1-rc.1" {
			t.Errorf("fetched %s, %s", f.Digest, f.Manifest.Version)
		}
		for want, got := range map[string]string{
			string(p.Object): f.Object, string(p.KernelSig): f.KernelSig, string(p.Manifest): f.Config,
			string(p.Debug): f.Debug, string(p.Readme): f.Readme, string(p.License): f.License, string(raw): f.Digest,
		} {
			if string(s.blobs[got]) != want {
				t.Errorf("%s: %d bytes, want %d", got, len(s.blobs[got]), len(want))
			}
		}
		// All is there: nothing is asked for, and nothing stored again.
		l.mu.Lock()
		clear(l.hits)
		l.mu.Unlock()
		puts := s.puts
		if _, err := c.Fetch(ctx, "bmc", d, s); err != nil || len(l.hits) > 0 || s.puts != puts {
			t.Errorf("a second fetch: %v, requests %v, %d puts more", err, l.hits, s.puts-puts)
		}
	}
	if got, err := c.Resolve(ctx, "bmc", "1.2.1-rc.1"); err != nil || got != d {
		t.Errorf("resolve: %s, %v", got, err)
	}
	if tags, err := c.Tags(ctx, "bmc"); err != nil || len(tags) != 1 || tags[0] != "1.2.1-rc.1" {
		t.Errorf("tags: %v, %v", tags, err)
	}
}

func TestVersionsDoNotChange(t *testing.T) {
	c, _ := testRegistry(t)
	p := testPackage(t, "bmc", "1.0.0")
	push(t, c, p)
	p.Readme = []byte("another")
	if _, err := c.Push(context.Background(), p); KindOf(err) != Conflict || !errors.Is(err, fs.ErrExist) {
		t.Errorf("pushing another 1.0.0: %v, want a conflict", err)
	}
}

func TestNotFound(t *testing.T) {
	c, _ := testRegistry(t)
	push(t, c, testPackage(t, "bmc", "1.0.0"))
	for _, c2 := range []struct{ name, ref string }{
		{"bmc", "9.9.9"}, {"nothere", "1.0.0"}, {"bmc", digestOf([]byte("x"))},
	} {
		if _, err := c.Fetch(context.Background(), c2.name, c2.ref, newMemStore()); KindOf(err) != NotFound || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: %v, want not found", c2, err)
		}
	}
	if _, err := c.Fetch(context.Background(), "../evil", "1.0.0", newMemStore()); err == nil || KindOf(err) != 0 {
		t.Errorf("a name that is a path: %v", err)
	}
}

func TestReferrers(t *testing.T) { bothWays(t, testReferrers) }

func testReferrers(t *testing.T, c *Client, l *liar) {
	ctx := context.Background()
	const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	d := push(t, c, testPackage(t, "bmc", "1.0.0"))
	if r, err := c.Referrers(ctx, "bmc", d, bundle); err != nil || len(r) != 0 {
		t.Fatalf("before any: %v, %v", r, err)
	}
	for i, at := range []string{bundle, bundle, "application/other"} {
		if err := c.Attach(ctx, "bmc", d, Attachment{MediaType: at, ArtifactType: at, Payload: fmt.Appendf(nil, "payload %d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Attach(ctx, "bmc", d, Attachment{MediaType: bundle, ArtifactType: bundle, Payload: []byte("payload 0")}); err != nil {
		t.Fatal(err)
	}
	refs, err := c.Referrers(ctx, "bmc", d, bundle)
	if err != nil || len(refs) != 2 || string(refs[0].Payload) != "payload 0" || refs[0].MediaType != bundle {
		t.Fatalf("got %+v, %v", refs, err)
	}
	// One that cannot be read leaves the other.
	broken := digestOf([]byte("payload 0"))
	l.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/blobs/"+broken) {
			return false
		}
		http.Error(w, "gone", http.StatusNotFound)
		return true
	})
	refs, err = c.Referrers(ctx, "bmc", d, bundle)
	if err != nil || len(refs) != 2 || KindOf(refs[0].Err) != NotFound || string(refs[1].Payload) != "payload 1" {
		t.Errorf("with one missing: %+v, %v", refs, err)
	}
	// None that can be read, for want of a network, is no answer.
	l.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		panic(http.ErrAbortHandler)
	})
	if refs, err := c.Referrers(ctx, "bmc", d, bundle); KindOf(err) != Network {
		t.Errorf("with the connection lost: %+v, %v", refs, err)
	}
}

func TestConcurrentAttach(t *testing.T) { bothWays(t, testConcurrentAttach) }

func testConcurrentAttach(t *testing.T, c *Client, _ *liar) {
	ctx := context.Background()
	d := push(t, c, testPackage(t, "bmc", "1.0.0"))
	var wg sync.WaitGroup
	attached := make([]bool, 4)
	for i := range attached {
		other, err := Open(c.String(), Options{Anonymous: true, timing: fast})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			err := other.Attach(ctx, "bmc", d, Attachment{MediaType: "text/x", ArtifactType: "text/x", Payload: fmt.Append(nil, i)})
			if attached[i] = err == nil; err != nil && KindOf(err) != Conflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	refs, err := c.Referrers(ctx, "bmc", d, "text/x")
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range attached {
		there := slices.ContainsFunc(refs, func(r Referrer) bool { return string(r.Payload) == fmt.Sprint(i) })
		if ok && !there {
			t.Errorf("referrer %d was attached and is not there", i)
		}
	}
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready := make(chan net.Addr, 1)
	done := make(chan error, 1)
	dir := t.TempDir()
	go func() {
		done <- Serve(ctx, ServeOptions{Dir: dir, Addr: "127.0.0.1:0", Ready: func(a net.Addr) { ready <- a }})
	}()
	addr := <-ready
	c, err := Open("http://"+addr.String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := push(t, c, testPackage(t, "bmc", "1.0.0"))
	if _, err := c.Fetch(ctx, "bmc", d, newMemStore()); err != nil {
		t.Fatal(err)
	}
	if skopeo, err := exec.LookPath("skopeo"); err == nil {
		out, err := exec.Command(skopeo, "inspect", "--tls-verify=false", "--raw", "docker://"+addr.String()+"/packages/bmc:1.0.0").CombinedOutput()
		if err != nil || digestOf(out) != d {
			t.Errorf("skopeo: %v\n%s", err, out)
		}
		out, err = exec.Command(skopeo, "copy", "--src-tls-verify=false", "docker://"+addr.String()+"/packages/bmc:1.0.0", "oci:"+t.TempDir()+":x").CombinedOutput()
		if err != nil {
			t.Errorf("skopeo copy: %v\n%s", err, out)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("does not stop")
	}
	if _, err := c.Fetch(context.Background(), "bmc", d, newMemStore()); KindOf(err) != Network {
		t.Errorf("a registry that is down: %v, want a network error", err)
	}
}

func TestOpen(t *testing.T) {
	for ref, ok := range map[string]bool{
		"localhost:5000": true, "http://127.0.0.1:5000/a/b": true, "https://example.org/x": true, "example.org": true,
		"": false, "ftp://x/y": false, "http://": false, "example.org/UPPER": false, "example.org/a//b": false, "a b/c": false, "x/../y": false,
	} {
		c, err := Open(ref, Options{Anonymous: true})
		if (err == nil) != ok {
			t.Errorf("Open(%q): %v", ref, err)
		}
		if err == nil && c.plain != strings.HasPrefix(ref, "http:") {
			t.Errorf("Open(%q): plain HTTP is %v", ref, c.plain)
		}
	}
}
