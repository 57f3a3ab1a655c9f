// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

// client talks to the registry in use.
func (a *app) client() (*registry.Client, error) {
	ref, err := a.registryRef()
	if err != nil {
		return nil, err
	}
	return a.open(ref)
}

// open prepares to talk to any registry.
func (a *app) open(ref string) (*registry.Client, error) {
	o := registry.Options{UserAgent: "iupkg/" + iupkgVersion()}
	host := ref
	if _, after, ok := strings.Cut(ref, "://"); ok {
		host = after
	}
	host, _, _ = strings.Cut(host, "/")
	t := a.cfg.TLS[host]
	for _, f := range []struct {
		to   *[]byte
		path string
	}{{&o.CAs, t.CA}, {&o.Certificate, t.Certificate}, {&o.Key, t.Key}} {
		if f.path == "" {
			continue
		}
		var err error
		if *f.to, err = readInput(f.path, maxInput); err != nil {
			return nil, usageError{fmt.Errorf("%s: tls of %s: %w", a.configPath, host, err)}
		}
	}
	return registry.Open(ref, o)
}

// sources are the mirrors, in order, and last the registry in use. A registry that
// was named on the command line is the only one.
func (a *app) sources() ([]*registry.Client, error) {
	last, err := a.client()
	if err != nil {
		return nil, err
	}
	var all []*registry.Client
	for _, ref := range a.cfg.Mirrors {
		if a.registry != a.cfg.Registry {
			break
		}
		c, err := a.open(ref)
		if err != nil {
			return nil, fmt.Errorf("%s: mirrors: %w", a.configPath, err)
		}
		all = append(all, c)
	}
	return append(all, last), nil
}

// eachSource asks sources in order until one answers; what it says must be verified
// by whoever asks, so it does not matter which does. The last error counts.
func (a *app) eachSource(ctx context.Context, sources []*registry.Client, ask func(*registry.Client) error) error {
	for i, c := range sources {
		err := ask(c)
		if err == nil || i == len(sources)-1 || ctx.Err() != nil {
			return err
		}
		a.ui.warn("%s: %v; asking %s", c, brief(err), sources[i+1])
	}
	return nil
}

func (a *app) registryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "registry",
		Short:   "The embedded registry, for one machine or a test",
		GroupID: groupPublisher,
	}
	var o registry.ServeOptions
	serve := &cobra.Command{
		Use:   "serve [DIR]",
		Short: "Serve a folder as an OCI registry, until interrupted",
		Long: "Serves a folder as an OCI registry, until interrupted: over HTTPS if there is a certificate,\n" +
			"else over plain HTTP. Without accounts whoever reaches the address may write, unless it is\n" +
			"read-only. DIR may be s3://BUCKET/PREFIX; its keys are found where the AWS tools find them.\n" +
			"With --json the one document, with the address, is printed on one line when\n" +
			"requests are served.",
		Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Dir = "registry"; len(args) == 1 {
				o.Dir = args[0]
			}
			return a.registryServe(cmd.Context(), o)
		},
	}
	f := serve.Flags()
	f.StringVar(&o.Addr, "addr", "127.0.0.1:5000", "`address` to listen at; port 0 takes a free one")
	f.BoolVar(&o.ReadOnly, "read-only", false, "refuse whatever would change something")
	f.StringVar(&o.S3Region, "s3-region", "us-east-1", "`region` of the bucket, if DIR is s3://BUCKET")
	f.StringVar(&o.S3Endpoint, "s3-endpoint", "", "`URL` of the S3 server, if it is not Amazon's")
	f.BoolVar(&o.Delete, "allow-delete", false, "let clients delete, which is refused otherwise")
	f.StringVar(&o.Htpasswd, "htpasswd", "", "`file` of accounts, as htpasswd -B makes them, one of which every request needs")
	f.StringVar(&o.Certificate, "tls-cert", "", "`file` with the certificate for HTTPS")
	f.StringVar(&o.Key, "tls-key", "", "`file` with its key")
	f.StringVar(&o.ClientCAs, "tls-client-ca", "", "`file` of authorities, of which clients must show a certificate")
	cmd.AddCommand(serve)
	return cmd
}

func (a *app) registryServe(ctx context.Context, o registry.ServeOptions) error {
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return withHint(err, "choose another address with --addr; port 0 takes a free one")
	}
	scheme := "http"
	if o.Certificate != "" {
		scheme = "https"
	}
	o.Listener, o.Log = ln, a.ui.err
	o.Ready = func(at net.Addr) {
		if a.ui.json {
			_ = a.ui.documentLine(map[string]string{"address": at.String(), "dir": o.Dir})
			return
		}
		a.ui.step("serving %s at %s://%s", o.Dir, scheme, at)
	}
	return registry.Serve(ctx, o)
}

// registrySource brings packages from registries into the store.
type registrySource struct {
	a       *app
	sources []*registry.Client
	// signedFor is the release of a kernel that takes signed modules only, for which
	// wrappers made ahead are brought along; "" of one that takes any.
	signedFor string
}

func (s registrySource) Fetch(ctx context.Context, name, digest string, into *install.Store) (out *install.Fetched, err error) {
	err = s.a.eachSource(ctx, s.sources, func(c *registry.Client) (err error) {
		out, err = fetchFrom(ctx, c, name, digest, s.signedFor, into)
		if err == nil && len(out.Bundles) == 0 && c != s.sources[len(s.sources)-1] {
			return errNoSignatures // a mirror may have lost them
		}
		return err
	})
	return out, err
}

var errNoSignatures = errors.New("there are no signatures")

func fetchFrom(ctx context.Context, c *registry.Client, name, digest, signedFor string, into *install.Store) (*install.Fetched, error) {
	// Both at once: what is attached is known by the same digest.
	type attached struct {
		refs []registry.Referrer
		err  error
	}
	side, cancel := context.WithCancel(ctx)
	defer cancel()
	signatures := make(chan attached, 1)
	go func() {
		refs, err := c.Referrers(side, name, digest, signing.BundleMediaType)
		signatures <- attached{refs, err}
	}()
	f, err := c.Fetch(ctx, name, digest, into)
	if err != nil {
		return nil, err
	}
	got := <-signatures
	refs, err := got.refs, got.err
	if err != nil {
		return nil, err
	}
	out := &install.Fetched{Manifest: f.Config, Object: f.Object, KernelSig: f.KernelSig, Debug: f.Debug}
	for _, d := range []string{f.Digest, f.Config, f.Object, f.KernelSig, f.Debug, f.Readme, f.License} {
		if d != "" {
			out.Blobs = append(out.Blobs, d)
		}
	}
	for _, r := range refs {
		if r.Err != nil || len(r.Payload) > signing.MaxBundle {
			continue // the policy says what is missing
		}
		d, err := into.Add(r.Payload)
		if err != nil {
			return nil, err
		}
		out.Bundles = append(out.Bundles, d)
	}
	if signedFor == "" {
		return out, nil
	}
	wrappers, err := c.Wrappers(ctx, name, f.Digest, signedFor)
	if err != nil {
		return nil, err
	}
	for _, r := range wrappers {
		if r.Err != nil {
			continue // the kernel says what is missing
		}
		d, err := into.Add(r.Payload)
		if err != nil {
			return nil, err
		}
		out.Wrappers = append(out.Wrappers, d)
	}
	return out, nil
}
