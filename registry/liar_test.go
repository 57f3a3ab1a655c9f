// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// onBlob answers for one blob, or for all if digest is empty.
func onBlob(digest string, answer http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/blobs/"+digest) {
			return false
		}
		answer(w, r)
		return true
	}
}

// onManifest serves other bytes for every manifest.
func onManifest(raw []byte, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Write(raw)
		return true
	}
}

// Every lie about bytes is found out, said so by kind, and leaves nothing of the
// lie in the store.
func TestLiesAboutBytes(t *testing.T) {
	c, l := testRegistry(t)
	p := testPackage(t, "bmc", "1.0.0")
	d := push(t, c, p)
	raw, _, err := Pack(p)
	if err != nil {
		t.Fatal(err)
	}
	object := digestOf(p.Object)
	flipped := bytes.Clone(p.Object)
	flipped[len(flipped)/2] ^= 1
	other, _, err := Pack(testPackage(t, "bmc", "2.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	length := func(w http.ResponseWriter, n int) { w.Header().Set("Content-Length", fmt.Sprint(n)) }
	forever := func(w http.ResponseWriter, r *http.Request) {
		chunk := bytes.Repeat([]byte("a"), 4096)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	stall := func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for _, x := range []struct {
		name string
		lie  func(http.ResponseWriter, *http.Request) bool
		want Kind
	}{
		{"flipped byte", onBlob(object, func(w http.ResponseWriter, r *http.Request) { w.Write(flipped) }), Integrity},
		{"another blob", onBlob(object, func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("x"), len(p.Object))) }), Integrity},
		{"swapped config", onBlob(digestOf(p.Manifest), func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.ToUpper(p.Manifest)) }), Integrity},
		{"short, honest about it", onBlob(object, func(w http.ResponseWriter, r *http.Request) { w.Write(p.Object[:100]) }), Server},
		{"short, chunked", onBlob(object, func(w http.ResponseWriter, r *http.Request) {
			w.Write(p.Object[:100])
			w.(http.Flusher).Flush()
		}), Network},
		{"empty", onBlob(object, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) }), Server},
		{"cut off", onBlob(object, func(w http.ResponseWriter, r *http.Request) {
			length(w, len(p.Object))
			w.Write(p.Object[:100])
			panic(http.ErrAbortHandler)
		}), Network},
		{"one byte more", onBlob(object, func(w http.ResponseWriter, r *http.Request) {
			w.Write(p.Object)
			w.(http.Flusher).Flush()
			w.Write([]byte("x"))
		}), TooLarge},
		{"endless", onBlob(object, forever), TooLarge},
		{"stalled before the first byte", onBlob(object, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), Network},
		{"stalled after the header", onBlob(object, stall), Network},
		{"stalled in the middle", onBlob(object, func(w http.ResponseWriter, r *http.Request) {
			length(w, len(p.Object))
			w.Write(p.Object[:100])
			stall(w, r)
		}), Network},
		{"closed without a word", onBlob(object, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }), Network},
		{"blob missing", onBlob(object, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }), NotFound},
		{"blob denied", onBlob(object, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }), Denied},
		{"always 503", onBlob(object, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }), Server},
		{"redirects in a circle", onBlob(object, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }), Network},
		{"not even HTTP", onBlob(object, func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Write([]byte("SSH-2.0-OpenSSH\r\n\r\n"))
				conn.Close()
			}
		}), Network},
		{"headers without end", onBlob(object, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("a", 1<<20))
			w.Write(p.Object)
		}), Network},
		{"another manifest", onManifest(other), Integrity},
		{"another manifest under a false label", onManifest(other, "Docker-Content-Digest", d), Integrity},
		{"manifest cut", onManifest(raw[:len(raw)-1]), Integrity},
		{"endless manifest", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
			w.Header().Set("Docker-Content-Digest", d)
			if r.Method == http.MethodGet {
				forever(w, r)
			}
			return true
		}, TooLarge},
		{"manifest that says it is huge", onManifest(bytes.Repeat([]byte(" "), MaxManifest+1)), TooLarge},
		{"a web page", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<html>please log in</html>"))
			return true
		}, Integrity},
		{"manifest denied", func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}, Denied},
		{"manifest stalled", func(w http.ResponseWriter, r *http.Request) bool {
			w.Write(raw[:10])
			stall(w, r)
			return true
		}, Network},
	} {
		t.Run(x.name, func(t *testing.T) {
			l.set(x.lie)
			defer l.set(nil)
			s := newMemStore()
			start := time.Now()
			_, err := c.Fetch(context.Background(), "bmc", d, s)
			if KindOf(err) != x.want {
				t.Errorf("got %v (kind %v), want kind %v", err, KindOf(err), x.want)
			}
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("took %v", took)
			}
			for key, b := range s.blobs {
				if digestOf(b) != key {
					t.Errorf("the store holds %s under %s", digestOf(b), key)
				}
			}
			if s.Has(object) {
				t.Error("the object got into the store")
			}
		})
	}
	// The truth is still accepted.
	if _, err := c.Fetch(context.Background(), "bmc", d, newMemStore()); err != nil {
		t.Error(err)
	}
}

// A registry that fails now and then is good enough.
func TestPassingFailures(t *testing.T) {
	c, l := testRegistry(t)
	p := testPackage(t, "bmc", "1.0.0")
	d := push(t, c, p)
	for name, fail := range map[string]http.HandlerFunc{
		"503":     func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"429":     func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"dropped": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			failed := map[string]bool{}
			l.set(func(w http.ResponseWriter, r *http.Request) bool {
				l.mu.Lock()
				first := !failed[r.URL.Path]
				failed[r.URL.Path] = true
				l.mu.Unlock()
				if !first {
					return false
				}
				fail(w, r)
				return true
			})
			defer l.set(nil)
			if _, err := c.Fetch(context.Background(), "bmc", d, newMemStore()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("cut off once", func(t *testing.T) {
		cut := false
		l.set(onBlob(digestOf(p.Object), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(p.Object)))
			if !cut {
				cut = true
				w.Write(p.Object[:1000])
				panic(http.ErrAbortHandler)
			}
			w.Write(p.Object)
		}))
		defer l.set(nil)
		if _, err := c.Fetch(context.Background(), "bmc", d, newMemStore()); err != nil {
			t.Error(err)
		}
	})
}

// A caller who gives up is obeyed at once.
func TestCancel(t *testing.T) {
	c, l := testRegistry(t)
	d := push(t, c, testPackage(t, "bmc", "1.0.0"))
	ctx, cancel := context.WithCancel(context.Background())
	l.set(func(w http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	if _, err := c.Fetch(ctx, "bmc", d, newMemStore()); err == nil || ctx.Err() == nil || KindOf(err) != 0 {
		t.Errorf("got %v, want the context's error", err)
	}
}

// Manifests that are what their digest says, and not artifacts of ours.
func TestLiesInManifests(t *testing.T) {
	c, l := testRegistry(t)
	p := testPackage(t, "bmc", "1.0.0")
	push(t, c, p)
	evil := testPackage(t, "evil", "1.0.0")
	push(t, c, evil)
	good, _, err := Pack(p)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(f func(m *ocispec.Manifest)) []byte {
		var m ocispec.Manifest
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		f(&m)
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, raw := range map[string][]byte{
		"not JSON":           []byte("hello"),
		"null":               []byte("null"),
		"no media type":      edit(func(m *ocispec.Manifest) { m.MediaType = "" }),
		"an index":           edit(func(m *ocispec.Manifest) { m.MediaType = ocispec.MediaTypeImageIndex }),
		"schema 1":           edit(func(m *ocispec.Manifest) { m.SchemaVersion = 1 }),
		"no artifact type":   edit(func(m *ocispec.Manifest) { m.ArtifactType = "" }),
		"an image":           edit(func(m *ocispec.Manifest) { m.ArtifactType = ocispec.MediaTypeImageConfig }),
		"config of an image": edit(func(m *ocispec.Manifest) { m.Config.MediaType = ocispec.MediaTypeImageConfig }),
		"huge config":        edit(func(m *ocispec.Manifest) { m.Config.Size = 1 << 40 }),
		"huge object":        edit(func(m *ocispec.Manifest) { m.Layers[0].Size = 5 << 20 }),
		"negative size":      edit(func(m *ocispec.Manifest) { m.Layers[0].Size = -1 }),
		"empty object":       edit(func(m *ocispec.Manifest) { m.Layers[0].Size = 0 }),
		"no object":          edit(func(m *ocispec.Manifest) { m.Layers = m.Layers[1:] }),
		"no signature":       edit(func(m *ocispec.Manifest) { m.Layers = append(m.Layers[:1:1], m.Layers[2:]...) }),
		"no layers":          edit(func(m *ocispec.Manifest) { m.Layers = nil }),
		"two objects":        edit(func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }),
		"an extra layer":     edit(func(m *ocispec.Manifest) { m.Layers[4].MediaType = "application/x-sh" }),
		"a tar layer":        edit(func(m *ocispec.Manifest) { m.Layers[0].MediaType = ocispec.MediaTypeImageLayerGzip }),
		"urls":               edit(func(m *ocispec.Manifest) { m.Layers[0].URLs = []string{"http://example.org/"} }),
		"data":               edit(func(m *ocispec.Manifest) { m.Layers[0].Data = []byte("x") }),
		"sha512":             edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha512:" + m.Layers[0].Digest[7:] }),
		"path as digest":     edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../../../etc/passwd" }),
		"upper-case digest":  edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:" + "ABCDEF" + m.Layers[0].Digest[13:] }),
		"a subject":          edit(func(m *ocispec.Manifest) { m.Subject = &m.Layers[0] }),
		"another object": edit(func(m *ocispec.Manifest) {
			m.Layers[0].Digest, m.Layers[0].Size = describe("", evil.Object).Digest, int64(len(evil.Object))
		}),
		"another size": edit(func(m *ocispec.Manifest) { m.Layers[0].Size-- }),
		"another package's config": edit(func(m *ocispec.Manifest) {
			m.Config = describe(MediaTypeManifest, evil.Manifest)
		}),
		"config that is no manifest": edit(func(m *ocispec.Manifest) {
			m.Config = describe(MediaTypeManifest, p.License)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			l.set(func(w http.ResponseWriter, r *http.Request) bool {
				if onBlob(digestOf(evil.Manifest), func(w http.ResponseWriter, r *http.Request) { w.Write(evil.Manifest) })(w, r) {
					return true
				}
				return onManifest(raw)(w, r)
			})
			defer l.set(nil)
			s := newMemStore()
			_, err := c.Fetch(context.Background(), "bmc", digestOf(raw), s)
			if KindOf(err) != Malformed {
				t.Errorf("got %v (kind %v), want malformed", err, KindOf(err))
			}
			if s.Has(digestOf(p.Object)) || s.Has(digestOf(evil.Object)) {
				t.Error("an object got into the store")
			}
		})
	}
}

// Credentials and plain HTTP.
func TestRedirectToPlainHTTP(t *testing.T) {
	from, _ := http.NewRequest(http.MethodGet, "https://a/x", nil)
	to, _ := http.NewRequest(http.MethodGet, "http://b/x", nil)
	if checkRedirect(to, []*http.Request{from}) == nil {
		t.Error("from https to http is followed")
	}
	if err := checkRedirect(from, []*http.Request{from}); err != nil {
		t.Error(err)
	}
}

func TestNoCredentialsInTheClear(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	for ref, want := range map[string]bool{
		"https://example.org/x": true, "http://127.0.0.1:5000/x": true, "http://localhost/x": true, "http://example.org/x": false,
	} {
		c, err := Open(ref, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.auth.Credential != nil; got != want {
			t.Errorf("%s: credentials are used: %v, want %v", ref, got, want)
		}
	}
}

func FuzzParseArtifact(f *testing.F) {
	raw, _, err := Pack(testPackage(f, "bmc", "1.0.0"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseArtifact(b)
		if err != nil {
			return
		}
		for i, d := range a.parts {
			if d == nil && layers[i].required {
				t.Errorf("%s is missing", layers[i].what)
			}
			if d != nil && (d.Size < 1 || d.Size > layers[i].max || checkDigest(d.Digest.String()) != nil) {
				t.Errorf("%s: %+v", layers[i].what, d)
			}
		}
	})
}

func FuzzParseIndexState(f *testing.F) {
	raw, err := packIndex([]ocispec.Descriptor{func() ocispec.Descriptor {
		d := describe(IndexFileMediaType, []byte("x"))
		d.Annotations = map[string]string{ocispec.AnnotationTitle: "timestamp.json"}
		return d
	}()}, digestOf([]byte("parent")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := parseIndexState(b); err == nil && len(st.files) == 0 {
			t.Error("a state of no files")
		}
	})
}

func FuzzParseReferrer(f *testing.F) {
	f.Add([]byte(`{"mediaType":"` + ocispec.MediaTypeImageManifest + `","artifactType":"a","subject":{"digest":"d"},"layers":[{"mediaType":"x","digest":"` + digestOf(nil) + `","size":3}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := parseReferrer(b, "d", "a"); err == nil && (d.Size < 1 || d.Size > MaxReferrer) {
			t.Errorf("%+v", d)
		}
	})
}
