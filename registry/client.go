// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/iupkg/iupkg/manifest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// Options tune a Client. The zero value is right.
type Options struct {
	// UserAgent is sent with each request; "iupkg" if empty.
	UserAgent string
	// Anonymous leaves docker's and podman's credentials alone.
	Anonymous bool

	// CAs are certificates in PEM of authorities that count beside the system's.
	CAs []byte
	// Certificate and Key, in PEM, are shown to a registry that asks who we are.
	Certificate, Key []byte

	timing *timing // tests wait less
}

// Client talks to one registry. It is safe for concurrent use.
type Client struct {
	host, prefix string
	plain        bool
	layout       string // path of an OCI layout, "" for a registry
	auth         *auth.Client
	// settle is how long to wait before looking whether a change of ours is still
	// there, where a registry cannot compare and swap.
	settle time.Duration
}

// A RefError is about a registry reference that does not parse.
type RefError struct {
	Ref, Reason string
}

func (e *RefError) Error() string { return fmt.Sprintf("registry %q: %s", e.Ref, e.Reason) }

// Open prepares a client. It does not connect.
func Open(ref string, o Options) (*Client, error) {
	c := &Client{settle: 300 * time.Millisecond}
	if path, ok := strings.CutPrefix(ref, LayoutScheme); ok {
		return openLayoutClient(ref, path)
	}
	rest := ref
	if scheme, after, ok := strings.Cut(ref, "://"); ok {
		switch scheme {
		case "http":
			c.plain = true
		case "https":
		default:
			return nil, &RefError{ref, fmt.Sprintf("scheme %q is neither http nor https", scheme)}
		}
		rest = after
	}
	c.host, c.prefix, _ = strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if _, err := registry.ParseReference(c.host + "/" + c.repository("index")); err != nil {
		return nil, &RefError{ref, "want HOST[:PORT]/PREFIX, lower case, or http:// and the same"}
	}
	t := defaultTiming
	if o.timing != nil {
		t = *o.timing
	}
	secure, err := o.tls()
	if err != nil {
		return nil, &RefError{ref, err.Error()}
	}
	if o.UserAgent == "" {
		o.UserAgent = "iupkg"
	}
	c.auth = &auth.Client{
		Client: &http.Client{Transport: newTransport(t, secure), CheckRedirect: checkRedirect},
		Header: http.Header{"User-Agent": {o.UserAgent}},
		Cache:  auth.NewCache(),
	}
	// Credentials do not go over the wire in the clear.
	if !o.Anonymous && (!c.plain || loopback(c.host)) {
		store, err := credentialStore()
		if err != nil {
			return nil, err
		}
		c.auth.Credential = credentials.Credential(store)
	}
	return c, nil
}

// credentialStore is docker's configuration with its helpers, then podman's
// (https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md).
func credentialStore() (credentials.Store, error) {
	docker, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("read docker's credentials: %w", err)
	}
	var more []credentials.Store
	for _, path := range podmanFiles() {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		s, err := credentials.NewStore(path, credentials.StoreOptions{})
		if err != nil {
			return nil, fmt.Errorf("read podman's credentials in %s: %w", path, err)
		}
		more = append(more, s)
	}
	return credentials.NewStoreWithFallbacks(docker, more...), nil
}

// podmanFiles is where podman looks, in order.
func podmanFiles() []string {
	if f := os.Getenv("REGISTRY_AUTH_FILE"); f != "" {
		return []string{f}
	}
	var files []string
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		files = append(files, filepath.Join(d, "containers", "auth.json"))
	}
	if d, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(d, "containers", "auth.json"))
	}
	return files
}

// tls is how HTTPS is spoken, nil if there is nothing to be said of it.
func (o *Options) tls() (*tls.Config, error) {
	if len(o.CAs) == 0 && len(o.Certificate) == 0 && len(o.Key) == 0 {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.CAs) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(o.CAs) {
			return nil, errors.New("there is no certificate of an authority in PEM")
		}
		c.RootCAs = pool
	}
	if len(o.Certificate) > 0 || len(o.Key) > 0 {
		pair, err := tls.X509KeyPair(o.Certificate, o.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// LayoutScheme begins a reference to an OCI layout, a folder or a tar file.
const LayoutScheme = "oci:"

// openLayoutClient is Open for a layout. Nobody else is waited for there.
func openLayoutClient(ref, path string) (*Client, error) {
	if path == "" {
		return nil, &RefError{ref, "want oci: and the path of a folder or a tar file"}
	}
	l, err := openLayout(path)
	if err != nil {
		return nil, &RefError{ref, err.Error()}
	}
	return &Client{
		host: layoutHost, plain: true, layout: path, settle: time.Nanosecond,
		auth: &auth.Client{Client: &http.Client{Transport: l}, Cache: auth.NewCache()},
	}, nil
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// String is the reference that Open was given, with its scheme.
func (c *Client) String() string {
	if c.layout != "" {
		return LayoutScheme + c.layout
	}
	scheme := "https://"
	if c.plain {
		scheme = "http://"
	}
	return strings.TrimSuffix(scheme+c.host+"/"+c.prefix, "/")
}

func (c *Client) repository(path string) string {
	if c.prefix == "" {
		return path
	}
	return c.prefix + "/" + path
}

// open makes a handle of one repository.
func (c *Client) open(path string) (*remote.Repository, error) {
	r, err := remote.NewRepository(c.host + "/" + c.repository(path))
	if err != nil {
		return nil, &RefError{c.host + "/" + c.repository(path), err.Error()}
	}
	r.PlainHTTP = c.plain
	r.Client = c.auth
	r.ManifestMediaTypes = []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex}
	r.MaxMetadataBytes = MaxManifest
	r.TagListMaxPages = 100
	r.ReferrerListMaxPages = 100
	// The fall-back for referrers would delete the list it has replaced, which
	// registries commonly forbid, the embedded one among them.
	r.SkipReferrersGC = true
	return r, nil
}

// openPackage is open for a package; its name becomes part of a URL.
func (c *Client) openPackage(name string) (*remote.Repository, error) {
	if err := manifest.CheckName(name); err != nil {
		return nil, err
	}
	return c.open("packages/" + name)
}

// Resolve is the digest of a version.
func (c *Client) Resolve(ctx context.Context, name, version string) (string, error) {
	r, err := c.openPackage(name)
	if err != nil {
		return "", err
	}
	raw, err := fetchManifest(ctx, r, version)
	if err != nil {
		return "", err
	}
	return digestOf(raw), nil
}

// Tags is every tag of a package, as the registry orders them.
func (c *Client) Tags(ctx context.Context, name string) ([]string, error) {
	r, err := c.openPackage(name)
	if err != nil {
		return nil, err
	}
	var tags []string
	err = r.Tags(ctx, "", func(page []string) error {
		if tags = append(tags, page...); len(tags) > maxTags {
			return errors.New("too many tags")
		}
		return nil
	})
	return tags, fail("list tags of", r.Reference.String(), "", err)
}

const maxTags = 100_000
