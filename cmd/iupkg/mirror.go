// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

func (a *app) mirrorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "mirror SRC DST [NAME[@CONSTRAINT]…]",
		Short: "Copy packages, all that is attached to them, and the index to another registry",
		Long: "Copies packages with everything attached to them from registry to registry, and\n" +
			"the index, which is signed as a whole. Without names it copies every version; of\n" +
			"packages that are named, the versions that satisfy and what they depend on. Only what\n" +
			"this machine trusts is copied. A registry may be oci:DIR, an OCI layout.",
		Example: "  iupkg mirror registry.example.org/iupkg http://localhost:5000/iupkg bmc",
		GroupID: groupPublisher,
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := a.open(args[0])
			if err != nil {
				return err
			}
			dst, err := a.open(args[1])
			if err != nil {
				return err
			}
			out, err := a.ship(cmd.Context(), src, dst, args[2:], true)
			if err != nil {
				return err
			}
			a.ui.step("mirrored %s to %s", count(len(out.Packages), "version"), dst)
			if err := a.ui.answer(out, func(w io.Writer) { out.write(w) }); err != nil {
				return err
			}
			return out.err()
		},
	}
}

// shipped is one version that was copied, or not.
type shipped struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Digest    string `json:"digest"`
	Referrers int    `json:"referrers"`
	Refused   string `json:"refused,omitempty"` // why it was not copied
	untrusted error
	variants  []string // digests of its artifacts, if it has several
}

// shipment is what mirror and bundle say with --json.
type shipment struct {
	Packages []shipped `json:"packages"`
	Index    int64     `json:"index"` // its version
	Expires  string    `json:"expires"`
}

func (s *shipment) write(w io.Writer) {
	var rows []string
	for _, p := range s.Packages {
		state := count(p.Referrers, "referrer")
		if p.Refused != "" {
			state = "refused"
		}
		rows = append(rows, row(p.Name, p.Version, p.Digest, state))
	}
	if len(rows) > 0 {
		table(w, "NAME\tVERSION\tDIGEST\tCOPIED", rows...)
	}
}

// err is what was not trusted, if anything.
func (s *shipment) err() error {
	var first error
	n := 0
	for _, p := range s.Packages {
		if p.untrusted != nil {
			first = cmp.Or(first, p.untrusted)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s of %d not copied: %w", count(n, "version"), len(s.Packages), first)
}

// ship copies what the arguments name, with what it depends on, and the index. With
// every, all versions that satisfy, otherwise the newest.
func (a *app) ship(ctx context.Context, src, dst *registry.Client, args []string, every bool) (*shipment, error) {
	specs, err := parseSpecs(args)
	if err != nil {
		return nil, err
	}
	policy, err := a.policy()
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "iupkg-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	root, err := indexRoot(ctx, policy, src, scratch+"/index")
	if err != nil {
		return nil, err
	}
	x, err := index.Open(scratch + "/index")
	if err != nil {
		return nil, err
	}
	list, err := choose(x, specs, every)
	if err != nil {
		return nil, err
	}
	out := &shipment{Packages: []shipped{}}
	store := install.Open(scratch + "/store").Store
	for _, p := range list {
		a.ui.working("copying %s %s", p.Name, p.Version)
		err := a.shipOne(ctx, src, dst, policy, store, &p)
		switch {
		case isA[*signing.Untrusted](err), isA[*signing.SignatureError](err), isA[*install.Mismatch](err):
			p.Refused, p.untrusted = err.Error(), err
			a.ui.warn("not copied: %v", err)
		case err != nil:
			return nil, err
		}
		out.Packages = append(out.Packages, p)
	}
	// Last: what the index lists is there.
	a.ui.working("copying the index")
	res, err := index.Copy(ctx, src.Index(), dst.Index(), root)
	a.ui.clearProgress()
	if err != nil {
		return nil, err
	}
	out.Index, out.Expires = res.Version, res.Expires.Format("2006-01-02")
	return out, nil
}

// indexRoot finds the trusted root that a registry's index holds to, and makes a copy
// of the index in dir.
func indexRoot(ctx context.Context, policy *signing.Policy, src *registry.Client, dir string) ([]byte, error) {
	roots := policy.IndexRoots()
	if len(roots) == 0 {
		return nil, errNoIndexRoot
	}
	var first error
	for _, publisher := range slices.Sorted(maps.Keys(roots)) {
		_, err := index.Sync(ctx, src.Index(), dir, roots[publisher])
		var untrusted *index.Untrusted
		switch {
		case err == nil:
			return roots[publisher], nil
		case !errors.As(err, &untrusted) || untrusted.Reason != index.BadSignature:
			return nil, err
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

// choose is the versions that are named, with those of what they depend on; of no
// names, all there are.
func choose(x *index.Index, specs []manifest.Spec, every bool) ([]shipped, error) {
	var out []shipped
	seen := map[string]bool{}
	add := func(p *index.Package, v *index.Version) bool {
		if seen[v.Digest] {
			return false
		}
		seen[v.Digest] = true
		one := shipped{Name: p.Name, Version: v.Version, Digest: v.Digest}
		for _, o := range v.Variants {
			one.variants = append(one.variants, o.Digest)
		}
		out = append(out, one)
		return true
	}
	if len(specs) == 0 {
		names, err := x.Names()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			p, err := x.Info(name)
			if err != nil {
				return nil, err
			}
			for i := range p.Versions {
				add(p, &p.Versions[i])
			}
		}
		return out, nil
	}
	for len(specs) > 0 {
		spec := specs[0]
		specs = specs[1:]
		p, err := x.Info(spec.Name)
		if err != nil {
			return nil, err
		}
		var chosen []*index.Version
		for i := range p.Versions {
			if v, err := manifest.ParseVersion(p.Versions[i].Version); every && err == nil && spec.Constraint.Match(v) {
				chosen = append(chosen, &p.Versions[i])
			}
		}
		if v := newest(p, spec.Constraint); len(chosen) == 0 && v != nil {
			chosen = append(chosen, v)
		}
		if len(chosen) == 0 {
			return nil, noSuchVersion{spec}
		}
		for _, v := range chosen {
			if !add(p, v) {
				continue
			}
			for _, name := range slices.Sorted(maps.Keys(v.Dependencies)) {
				c, err := manifest.ParseConstraint(v.Dependencies[name])
				if err != nil {
					return nil, fmt.Errorf("%s %s needs %s: %w", p.Name, v.Version, name, err)
				}
				specs = append(specs, manifest.Spec{Name: name, Constraint: c})
			}
		}
	}
	slices.SortFunc(out, func(a, b shipped) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), compareVersions(a.Version, b.Version))
	})
	return out, nil
}

func compareVersions(a, b string) int {
	va, errA := manifest.ParseVersion(a)
	vb, errB := manifest.ParseVersion(b)
	if errA != nil || errB != nil {
		return cmp.Compare(a, b)
	}
	return va.Compare(vb)
}

// shipOne copies one version with its referrers, if this machine would install it: all
// of its artifacts, and then what lists them.
func (a *app) shipOne(ctx context.Context, src, dst *registry.Client, policy *signing.Policy, store *install.Store, p *shipped) error {
	if len(p.variants) == 0 {
		return a.shipArtifact(ctx, src, dst, policy, store, p, p.Digest)
	}
	raw, digests, err := src.FetchVariants(ctx, p.Name, p.Digest)
	if err != nil {
		return err
	}
	if !slices.Equal(digests, p.variants) {
		return &install.Mismatch{Name: p.Name, Version: p.Version, What: fmt.Sprintf("%s lists other variants than the index of packages", p.Digest)}
	}
	for _, d := range digests {
		if err := a.shipArtifact(ctx, src, dst, policy, store, p, d); err != nil {
			return err
		}
	}
	if err := dst.PushFetchedVariants(ctx, p.Name, p.Version, raw); err != nil {
		return err
	}
	return a.shipReferrers(ctx, src, dst, store, p, p.Digest)
}

// shipArtifact copies one artifact of a version.
func (a *app) shipArtifact(ctx context.Context, src, dst *registry.Client, policy *signing.Policy, store *install.Store, p *shipped, digest string) error {
	f, err := src.Fetch(ctx, p.Name, digest, store)
	if err != nil {
		return err
	}
	refs, err := src.Referrers(ctx, p.Name, digest, signing.BundleMediaType)
	if err != nil {
		return err
	}
	var bundles [][]byte
	for _, r := range refs {
		if r.Err == nil {
			bundles = append(bundles, r.Payload)
		}
	}
	v, err := policy.Verify(p.Name, p.Version, digest, bundles)
	if err != nil {
		return err
	}
	if v.Statement.Predicate.Object != f.Object || f.Manifest.Version != p.Version {
		return &install.Mismatch{Name: p.Name, Version: p.Version,
			What: fmt.Sprintf("object is %s of version %s, the signature says %s", f.Object, f.Manifest.Version, v.Statement.Predicate.Object)}
	}
	object, err := store.Get(f.Object)
	if err != nil {
		return err
	}
	sig, err := store.Get(f.KernelSig)
	if err != nil {
		return err
	}
	if _, err := signing.VerifyObject(object, sig, v.KernelCertificates); err != nil {
		return err
	}
	if err := dst.PushFetched(ctx, f, store, digest != p.Digest); err != nil {
		return err
	}
	return a.shipReferrers(ctx, src, dst, store, p, digest)
}

// shipReferrers copies what is attached to an artifact.
func (a *app) shipReferrers(ctx context.Context, src, dst *registry.Client, store *install.Store, p *shipped, digest string) error {
	copied, err := src.CopyReferrers(ctx, dst, p.Name, digest, store)
	if err != nil {
		return err
	}
	p.Referrers += copied.Referrers
	for _, err := range copied.Skipped {
		a.ui.warn("%v", err)
	}
	return nil
}
