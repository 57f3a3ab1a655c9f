// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
	"github.com/iupkg/iupkg/toolchain"
)

func (a *app) publishCommand() *cobra.Command {
	var key string
	var noBuild bool
	cmd := &cobra.Command{
		Use:     "publish [DIR]",
		Short:   "Build, sign and push an extension, and list it in the index",
		GroupID: groupPublisher,
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.publish(cmd.Context(), dirArg(args), key, noBuild)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "`publisher` whose keys sign, if there are several")
	cmd.Flags().BoolVar(&noBuild, "no-build", false, "publish what an earlier build left")
	return cmd
}

// published is what publish says with --json.
type published struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
	Signer  string `json:"signer"`
	KeyID   string `json:"keyID"`
}

func (a *app) publish(ctx context.Context, dir, key string, noBuild bool) error {
	keys, keyDir, err := loadKeys(key)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	// First: an artifact that the index will not list is of no use there.
	hadRoot := len(keys.IndexRoot) > 0
	listing, err := a.publisherOf(ctx, client, keys)
	if err != nil {
		return err
	}
	if !noBuild {
		if _, err := a.build(ctx, dir, ""); err != nil {
			return err
		}
	}
	pkg, m, err := readBuilt(dir)
	if err != nil {
		return err
	}
	if err := listing.Check(ctx, m.Name); err != nil {
		return err
	}
	if pkg.KernelSig, err = keys.SignObject(pkg.Object); err != nil {
		return err
	}
	raw, _, err := registry.Pack(pkg)
	if err != nil {
		return err
	}
	out := published{Name: m.Name, Version: m.Version, Digest: install.Digest(raw), Signer: keys.Name}
	if out.KeyID, err = signing.KeyID(keys.Publisher.Public()); err != nil {
		return err
	}
	statement, err := statementOf(m, out.Digest)
	if err != nil {
		return err
	}
	bundle, err := keys.SignStatement(statement)
	if err != nil {
		return err
	}
	attachments := []registry.Attachment{bundleAttachment(signing.PredicateType, bundle)}
	more, err := a.attestBuild(keys, toolchain.OutputDir(dir), m, out.Digest)
	if err != nil {
		return err
	}
	attachments = append(attachments, more...)
	a.ui.working("pushing %s %s", m.Name, m.Version)
	if out.Digest, err = client.Push(ctx, pkg); err != nil {
		return err
	}
	if err := client.Attach(ctx, m.Name, out.Digest, attachments...); err != nil {
		return err
	}
	// Last: what the index lists is there.
	if err := listing.Publish(ctx, index.EntryOf(m, out.Digest)); err != nil {
		return err
	}
	if !hadRoot {
		if err := signing.SaveIndexRoot(keyDir, keys); err != nil {
			return err
		}
	}
	a.ui.step("published %s %s to %s, signed by %s (%s)", m.Name, m.Version, client, keys.Name, short(out.KeyID))
	return a.ui.answer(out, func(w io.Writer) { fmt.Fprintln(w, out.Digest) })
}

// readBuilt collects what a build left, and checks that object and manifest are
// of one build.
func readBuilt(dir string) (*registry.Package, *manifest.Manifest, error) {
	out := toolchain.OutputDir(dir)
	text, err := os.ReadFile(filepath.Join(out, "manifest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, withHint(err, "run iupkg build %s", dir)
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := manifest.Parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", out, err)
	}
	// The canonical form, whatever wrote it.
	if text, err = m.Encode(); err != nil {
		return nil, nil, err
	}
	pkg := &registry.Package{Manifest: text, Version: m.Version}
	if pkg.Object, err = os.ReadFile(filepath.Join(out, m.Name+".o")); err != nil {
		return nil, nil, err
	}
	o, err := kernel.ReadObject(pkg.Object)
	if err == nil && (o.Name != m.Name || o.Version != m.Version || install.Digest(pkg.Object) != m.Object.Digest) {
		err = fmt.Errorf("object and manifest are of different builds (%s %s, %s %s)", o.Name, o.Version, m.Name, m.Version)
	}
	if err != nil {
		return nil, nil, withHint(fmt.Errorf("%s: %w", out, err), "run iupkg build %s", dir)
	}
	for _, f := range []struct {
		to    *[]byte
		paths []string
	}{
		{&pkg.Debug, []string{filepath.Join(out, m.Name+".debug")}},
		{&pkg.Readme, []string{filepath.Join(dir, "README.md")}},
		{&pkg.License, []string{filepath.Join(dir, "LICENSE"), filepath.Join(dir, "LICENSE.txt")}},
	} {
		for _, path := range f.paths {
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			*f.to = data
			break
		}
	}
	return pkg, m, nil
}

// statementOf is what the publisher signs of a package.
func statementOf(m *manifest.Manifest, digest string) (*signing.Statement, error) {
	requires, err := json.Marshal(m.Requires)
	if err != nil {
		return nil, err
	}
	tools, err := json.Marshal(m.Toolchain)
	if err != nil {
		return nil, err
	}
	p := signing.Predicate{Name: m.Name, Version: m.Version, Object: m.Object.Digest, Requires: requires, Toolchain: tools}
	for _, h := range m.Requires.Hooks {
		p.Hooks = append(p.Hooks, string(h))
	}
	return &signing.Statement{Digest: digest, Predicate: p}, nil
}
