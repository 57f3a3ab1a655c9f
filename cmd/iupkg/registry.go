// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"

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
	return registry.Open(ref, registry.Options{UserAgent: "iupkg/" + iupkgVersion()})
}

func (a *app) registryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "registry",
		Short:   "The embedded registry, for one machine or a test",
		GroupID: groupPublisher,
	}
	var addr string
	serve := &cobra.Command{
		Use:   "serve [DIR]",
		Short: "Serve a folder as an OCI registry over plain HTTP, until interrupted",
		Long: "Serves a folder as an OCI registry over plain HTTP, until interrupted. There are\n" +
			"no accounts: whoever reaches the address may write. With --json the one\n" +
			"document, with the address, is printed on one line when requests are served.",
		Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "registry"
			if len(args) == 1 {
				dir = args[0]
			}
			return a.registryServe(cmd.Context(), dir, addr)
		},
	}
	serve.Flags().StringVar(&addr, "addr", "127.0.0.1:5000", "`address` to listen at; port 0 takes a free one")
	cmd.AddCommand(serve)
	return cmd
}

func (a *app) registryServe(ctx context.Context, dir, addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return withHint(err, "choose another address with --addr; port 0 takes a free one")
	}
	return registry.Serve(ctx, registry.ServeOptions{
		Dir: dir, Listener: ln, Log: a.ui.err,
		Ready: func(at net.Addr) {
			if a.ui.json {
				_ = a.ui.documentLine(map[string]string{"address": at.String(), "dir": dir})
				return
			}
			a.ui.step("serving %s at http://%s", dir, at)
		},
	})
}

// registrySource brings packages from a registry into the store.
type registrySource struct{ c *registry.Client }

func (s registrySource) Fetch(ctx context.Context, name, digest string, into *install.Store) (*install.Fetched, error) {
	f, err := s.c.Fetch(ctx, name, digest, into)
	if err != nil {
		return nil, err
	}
	refs, err := s.c.Referrers(ctx, name, f.Digest, signing.BundleMediaType)
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
	return out, nil
}
