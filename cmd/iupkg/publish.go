// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

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
	var o publishOptions
	cmd := &cobra.Command{
		Use:   "publish [DIR]",
		Short: "Build, sign and push an extension, and list it in the index",
		Long: "Builds, signs and pushes an extension, and lists it in the index.\n\n" +
			"With --fulcio the package is signed without a key: with a certificate for the account that\n" +
			"the identity token is for, as a CI's job has one. The kernel and the index know keys only, so\n" +
			"those of the publisher sign for them as ever.",
		GroupID: groupPublisher,
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.publish(cmd.Context(), dirArg(args), &o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "`publisher` whose keys sign, if there are several")
	f.BoolVar(&o.noBuild, "no-build", false, "publish what an earlier build left")
	f.StringSliceVar(&o.wrap, "wrap", nil, "make the module ahead for kernels of these `releases`, signed, for machines that take no other")
	f.StringVar(&o.fulcio, "fulcio", "", "`URL` of the authority that certifies who signs")
	f.StringVar(&o.rekor, "rekor", "", "`URL` of the log that signatures are entered in")
	f.StringVar(&o.tsa, "timestamp-server", "", "`URL` of the authority that says when something was signed")
	f.StringVar(&o.token, "identity-token", "", "`file` with a token of an OpenID issuer; else SIGSTORE_ID_TOKEN has it")
	return cmd
}

type publishOptions struct {
	key     string
	noBuild bool
	wrap    []string // releases of kernels

	fulcio, rekor, tsa, token string // to sign without a key
}

// published is what publish says with --json.
type published struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
	Signer  string `json:"signer"`
	KeyID   string `json:"keyID,omitempty"`
	// Variants are the digests of the artifacts of a version that has several.
	Variants []string `json:"variants,omitempty"`
}

func (a *app) publish(ctx context.Context, dir string, o *publishOptions) error {
	keys, keyDir, err := loadKeys(o.key)
	if err != nil {
		return err
	}
	if o.fulcio+o.rekor+o.tsa+o.token != "" {
		if keys.Witness, err = newSigstore(ctx, o.fulcio, o.rekor, o.tsa, o.token); err != nil {
			return err
		}
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
	if !o.noBuild {
		if _, err := a.build(ctx, dir, ""); err != nil {
			return err
		}
	}
	list, err := readVariants(dir)
	if err != nil {
		return err
	}
	m := list[0].manifest
	if err := listing.Check(ctx, m.Name); err != nil {
		return err
	}
	for _, b := range list {
		if b.pkg.KernelSig, err = keys.SignObject(b.pkg.Object); err != nil {
			return err
		}
	}
	for i := range list {
		if err := a.wrapAhead(keys, &list[i], o.wrap); err != nil {
			return err
		}
	}
	out := published{Name: m.Name, Version: m.Version, Signer: keys.Name}
	if s, ok := keys.Witness.(*sigstore); ok {
		if out.Signer, err = s.subject(); err != nil {
			return err
		}
	} else if out.KeyID, err = signing.KeyID(keys.Publisher.Public()); err != nil {
		return err
	}
	entry, err := a.pushBuilt(ctx, client, keys, list)
	if err != nil {
		return err
	}
	out.Digest = entry.Version.Digest
	for _, v := range entry.Version.Variants {
		out.Variants = append(out.Variants, v.Digest)
	}
	// Last: what the index lists is there.
	if err := listing.Publish(ctx, entry); err != nil {
		return err
	}
	if !hadRoot {
		if err := signing.SaveIndexRoot(keyDir, keys); err != nil {
			return err
		}
	}
	who := fmt.Sprintf("%s (%s)", out.Signer, short(out.KeyID))
	if out.KeyID == "" {
		who = out.Signer + ", with a certificate"
	}
	a.ui.step("published %s %s to %s, signed by %s", m.Name, m.Version, client, who)
	if n := len(out.Variants); n > 0 {
		a.ui.step("it has %s; a kernel gets the first whose requirements it meets", count(n, "variant"))
	}
	return a.ui.answer(out, func(w io.Writer) { fmt.Fprintln(w, out.Digest) })
}

// pushBuilt signs and pushes artifacts, of which there are several if the version has
// variants, and says what the index is to list.
func (a *app) pushBuilt(ctx context.Context, client *registry.Client, keys *signing.Keys, list []built) (entry index.Entry, err error) {
	m := list[0].manifest
	attached := map[string][]registry.Attachment{}
	sign := func(b *built, m *manifest.Manifest, digest string) ([]registry.Attachment, error) {
		statement, err := statementOf(m, digest)
		if err != nil {
			return nil, err
		}
		bundle, err := keys.SignStatement(statement)
		if err != nil {
			return nil, err
		}
		more, err := a.attestBuild(keys, b.dir, m, digest)
		return append([]registry.Attachment{bundleAttachment(signing.PredicateType, bundle)}, more...), err
	}
	// Wrappers are of an artifact; an image index has none.
	wrappers := func(b *built, digest string) { attached[digest] = append(attached[digest], b.wrappers...) }
	// Everything that can be refused is made before anything is pushed.
	var order []string
	prepare := func(b *built, m *manifest.Manifest, digest string) error {
		order = append(order, digest)
		attached[digest], err = sign(b, m, digest)
		return err
	}
	var push func() error
	if len(list) == 1 {
		raw, _, err := registry.Pack(list[0].pkg)
		if err != nil {
			return entry, err
		}
		entry = index.EntryOf(m, install.Digest(raw))
		push = func() error { _, err := client.Push(ctx, list[0].pkg); return err }
	} else {
		var pkgs []*registry.Package
		for _, b := range list {
			pkgs = append(pkgs, b.pkg)
		}
		v, err := registry.PackVariants(pkgs)
		if err != nil {
			return entry, err
		}
		entry = index.EntryOfVariants(v.Manifests, v.Digests(), v.Digest())
		for i, digest := range v.Digests() {
			if err := prepare(&list[i], v.Manifests[i], digest); err != nil {
				return entry, err
			}
			wrappers(&list[i], digest)
		}
		push = func() error { _, err := client.PushVariants(ctx, pkgs); return err }
	}
	// Of a version with variants this is the image index, for tools that verify a tag.
	all := *m
	all.Requires = entry.Version.Requires
	if err := prepare(&list[0], &all, entry.Version.Digest); err != nil {
		return entry, err
	}
	if len(list) == 1 {
		wrappers(&list[0], entry.Version.Digest)
	}
	a.ui.working("pushing %s %s", m.Name, m.Version)
	if err := push(); err != nil {
		return entry, err
	}
	for _, digest := range order {
		if err := client.Attach(ctx, m.Name, digest, attached[digest]...); err != nil {
			return entry, err
		}
	}
	return entry, nil
}

// built is what a build left of one object, in a folder.
type built struct {
	dir      string
	pkg      *registry.Package
	manifest *manifest.Manifest
	wrappers []registry.Attachment // modules made ahead
}

// wrapAhead makes the modules that machines with these kernels would make, signed, as
// they cannot sign them.
func (a *app) wrapAhead(keys *signing.Keys, b *built, releases []string) error {
	for _, release := range releases {
		file, err := a.runtimeFile(release)
		if err != nil {
			return err
		}
		ko, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name := kernel.ModuleName(b.manifest.Name, sha256.Sum256(b.pkg.Object))
		module, err := kernel.Wrap(b.pkg.Object, ko, name)
		if err != nil {
			return fmt.Errorf("wrap for Linux %s: %w", release, err)
		}
		signed, err := keys.SignModule(module)
		if err != nil {
			return err
		}
		b.wrappers = append(b.wrappers, registry.Attachment{
			MediaType: registry.MediaTypeModule, ArtifactType: registry.WrapperArtifactType, Payload: signed,
			Annotations: map[string]string{registry.AnnotationKernelRelease: release},
		})
		a.ui.step("made %s for Linux %s", name, release)
	}
	return nil
}

// readVariants collects what a build left: one object, and any variants in the order of
// their numbers.
func readVariants(dir string) ([]built, error) {
	out := toolchain.OutputDir(dir)
	first, err := readBuilt(dir, out)
	if err != nil {
		return nil, err
	}
	list := []built{*first}
	for n := 1; ; n++ {
		at := filepath.Join(out, "variants", strconv.Itoa(n))
		if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
			return list, nil
		}
		b, err := readBuilt(dir, at)
		if err != nil {
			return nil, err
		}
		list = append(list, *b)
	}
}

// readBuilt collects what a build of dir left in out, and checks that object and manifest
// are of one build.
func readBuilt(dir, out string) (*built, error) {
	file := filepath.Join(out, "manifest.json")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(err, "run iupkg build %s", dir)
	}
	if err != nil {
		return nil, err
	}
	m, err := manifest.ParseFile(text, file)
	if err != nil {
		return nil, err
	}
	// The canonical form, whatever wrote it.
	if text, err = m.Encode(); err != nil {
		return nil, err
	}
	pkg := &registry.Package{Manifest: text, Version: m.Version}
	if pkg.Object, err = os.ReadFile(filepath.Join(out, m.Name+".o")); err != nil {
		return nil, err
	}
	o, err := kernel.ReadObject(pkg.Object)
	if err == nil && (o.Name != m.Name || o.Version != m.Version || install.Digest(pkg.Object) != m.Object.Digest) {
		err = fmt.Errorf("object and manifest are of different builds (%s %s, %s %s)", o.Name, o.Version, m.Name, m.Version)
	}
	if err != nil {
		return nil, withHint(fmt.Errorf("%s: %w", out, err), "run iupkg build %s", dir)
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
				return nil, err
			}
			*f.to = data
			break
		}
	}
	return &built{dir: out, pkg: pkg, manifest: m}, nil
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
