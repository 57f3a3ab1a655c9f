// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

// A lab is what every case of the attack suite begins with: a registry in which
// alice has published three versions of ext, one after the other, and a machine that
// trusts her for that name and has synchronised when there were two.
type lab struct {
	store, root                string // folders, to be copied
	alice, mallory, carol      *signing.Keys
	states                     []map[string][]byte // of the index, by file, the first is of one version
	named                      map[string]named    // what a case can speak of
	debian, aliceID, malloryID []byte
}

// named is a thing in the registry.
type named struct {
	path string // in a URL, after the prefix
	data []byte
}

const latestExt = "1.2.0"

var theLab = sync.OnceValues(newLab)

func newLab() (*lab, error) {
	dir, err := os.MkdirTemp("", "iupkg-lab-")
	if err != nil {
		return nil, err
	}
	l := &lab{store: filepath.Join(dir, "store"), root: filepath.Join(dir, "root"), named: map[string]named{}}
	for name, to := range map[string]**signing.Keys{"alice": &l.alice, "mallory": &l.mallory, "carol": &l.carol} {
		if *to, err = signing.NewKeys(name); err != nil {
			return nil, err
		}
		if (*to).IndexRoot, err = index.NewRoot(*to); err != nil {
			return nil, err
		}
	}
	l.debian = []byte(`{"schema": 1, "release": "6.12.117+deb12-amd64", "arch": "amd64", "config": {"BPF_SYSCALL": "y"}, "hooks": {"tc": "yes", "xdp": "yes"}}`)
	id, err := l.alice.Identity("ext")
	if err != nil {
		return nil, err
	}
	if l.aliceID, err = id.Encode(); err != nil {
		return nil, err
	}
	lock, err := install.Open(l.root).Lock() // makes its folders
	if err != nil {
		return nil, err
	}
	lock.Unlock()
	policy, err := signing.OpenPolicy(filepath.Join(l.root, "trust"))
	if err != nil {
		return nil, err
	}
	if err := policy.Add(id); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ref, done, err := serveStore(ctx, l.store)
	if err != nil {
		return nil, err
	}
	defer func() {
		stop()
		done()
	}()
	client, err := registry.Open(ref, registry.Options{Anonymous: true})
	if err != nil {
		return nil, err
	}
	for i, version := range []string{"1.0.0", "1.1.0", latestExt} {
		if err := l.publish(ctx, client, version); err != nil {
			return nil, err
		}
		state, err := indexFiles(ctx, ref)
		if err != nil {
			return nil, err
		}
		l.states = append(l.states, state)
		if i == 1 {
			if _, err := index.Sync(ctx, client.Index(), filepath.Join(l.root, "index"), l.alice.IndexRoot); err != nil {
				return nil, err
			}
		}
	}
	last := l.states[2]
	for name, data := range last {
		role, _, _ := strings.Cut(strings.TrimSuffix(name, ".json"), ".")
		if _, after, ok := strings.Cut(strings.TrimSuffix(name, ".json"), "."); ok && role != "" {
			role = after
		}
		l.named[role] = named{"/index/blobs/" + install.Digest(data), data}
	}
	l.named["latest"] = named{path: "/index/manifests/latest"}
	return l, l.nameTree(ctx, ref)
}

// nameTree finds the node and the bin of ext.
func (l *lab) nameTree(ctx context.Context, ref string) error {
	var targets struct {
		Signed struct {
			Targets map[string]struct{ Hashes map[string]string }
		}
	}
	if err := json.Unmarshal(l.named["targets"].data, &targets); err != nil {
		return err
	}
	add := func(name, hash string) error {
		path := "/index/blobs/sha256:" + hash
		data, err := httpGet(ctx, ref, path)
		l.named[name] = named{path, data}
		return err
	}
	for _, f := range targets.Signed.Targets {
		if err := add("node", f.Hashes["sha256"]); err != nil {
			return err
		}
	}
	var node struct {
		Bins map[string]struct{ SHA256 string }
	}
	if err := json.Unmarshal(l.named["node"].data, &node); err != nil {
		return err
	}
	for _, b := range node.Bins {
		if err := add("bin", b.SHA256); err != nil {
			return err
		}
	}
	return nil
}

// serveStore runs the embedded registry over a folder, in this process.
func serveStore(ctx context.Context, dir string) (ref string, done func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	end := make(chan error, 1)
	go func() { end <- registry.Serve(ctx, registry.ServeOptions{Dir: dir, Listener: ln}) }()
	return "http://" + ln.Addr().String() + "/test", func() { <-end }, nil
}

// publish is what the verb does, with alice's keys.
func (l *lab) publish(ctx context.Context, client *registry.Client, version string) error {
	pkg, m, err := extPackage(version)
	if err != nil {
		return err
	}
	if pkg.KernelSig, err = l.alice.SignObject(pkg.Object); err != nil {
		return err
	}
	raw, _, err := registry.Pack(pkg)
	if err != nil {
		return err
	}
	digest, err := client.Push(ctx, pkg)
	if err != nil {
		return err
	}
	st, err := statementOf(m, digest)
	if err != nil {
		return err
	}
	bundle, err := l.alice.SignStatement(st)
	if err != nil {
		return err
	}
	if err := client.Attach(ctx, "ext", digest, bundleAttachment(signing.PredicateType, bundle)); err != nil {
		return err
	}
	blob := func(name string, data []byte) {
		l.named[name+"@"+version] = named{"/packages/ext/blobs/" + install.Digest(data), data}
		l.named[name] = l.named[name+"@"+version] // in the end, the newest
	}
	blob("object", pkg.Object)
	blob("config", pkg.Manifest)
	blob("kernelsig", pkg.KernelSig)
	blob("readme", pkg.Readme)
	blob("bundle", bundle)
	for name, n := range map[string]named{
		"manifest":  {"/packages/ext/manifests/" + digest, raw},
		"referrers": {"/packages/ext/manifests/" + strings.Replace(digest, ":", "-", 1), nil},
	} {
		l.named[name], l.named[name+"@"+version] = n, n
	}
	return (&index.Publisher{Remote: client.Index(), Keys: l.alice}).Publish(ctx, index.EntryOf(m, digest))
}

// extPackage is a version of ext that nobody has signed.
func extPackage(version string) (*registry.Package, *manifest.Manifest, error) {
	object, m, err := extParts(version)
	if err != nil {
		return nil, nil, err
	}
	text, err := m.Encode()
	return &registry.Package{Manifest: text, Object: object, Readme: []byte("# ext " + version + "\n"), Version: version}, m, err
}

// indexFiles is the files of the index's current state, without those that have
// their hash in their name, as anybody can read them.
func indexFiles(ctx context.Context, ref string) (map[string][]byte, error) {
	raw, err := httpGet(ctx, ref, "/index/manifests/latest")
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, d := range m.Layers {
		if files[d.Annotations[ocispec.AnnotationTitle]], err = httpGet(ctx, ref, "/index/blobs/"+d.Digest.String()); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// apiURL is the URL of a path in the registry, without any help of a client.
func apiURL(ref, path string) string {
	host, prefix, _ := strings.Cut(strings.TrimPrefix(ref, "http://"), "/")
	return "http://" + host + "/v2/" + prefix + path
}

func httpGet(ctx context.Context, ref, path string) ([]byte, error) {
	return httpDo(ctx, http.MethodGet, apiURL(ref, path), "", nil)
}

func httpDo(ctx context.Context, method, url, mediaType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if req.Header.Set("Accept", ocispec.MediaTypeImageManifest+", "+ocispec.MediaTypeImageIndex); mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, data)
	}
	return data, err
}

// pushRaw puts a blob or a manifest where a registry will take it, whatever it says.
func pushRaw(ctx context.Context, ref, repository string, data []byte, mediaType, reference string) error {
	if reference != "" {
		_, err := httpDo(ctx, http.MethodPut, apiURL(ref, "/"+repository+"/manifests/"+reference), mediaType, data)
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, apiURL(ref, "/"+repository+"/blobs/uploads/"), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	at, err := resp.Location()
	if err != nil {
		return err
	}
	q := at.Query()
	q.Set("digest", install.Digest(data))
	at.RawQuery = q.Encode()
	_, err = httpDo(ctx, http.MethodPut, at.String(), "application/octet-stream", data)
	return err
}

func digestOfBytes(b []byte) digest.Digest { return digest.Digest(install.Digest(b)) }
