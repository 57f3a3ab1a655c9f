// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/signing"
)

func (a *app) infoCommand() *cobra.Command {
	var provenance, sbom bool
	cmd := &cobra.Command{
		Use:     "info NAME[@CONSTRAINT]",
		Short:   "What the index says of a package and of its newest version that satisfies",
		GroupID: groupPackages,
		Args:    oneArg("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind := ""
			switch {
			case provenance && sbom:
				return usagef("--provenance and --sbom exclude each other")
			case provenance:
				kind = signing.ProvenanceType
			case sbom:
				kind = signing.SBOMType
			}
			return a.info(cmd.Context(), args[0], kind)
		},
	}
	cmd.Flags().BoolVar(&provenance, "provenance", false, "show how it was built, as its publisher signed it")
	cmd.Flags().BoolVar(&sbom, "sbom", false, "show what it is made of, as its publisher signed it; with --json the SPDX document")
	return cmd
}

// packageInfo is one version of a package, and the others by number.
type packageInfo struct {
	Name        string           `json:"name"`
	Description string           `json:"description,omitempty"`
	License     string           `json:"license,omitempty"`
	Repository  string           `json:"repository,omitempty"`
	Version     index.Version    `json:"version"`
	Deprecated  string           `json:"deprecated,omitempty"`
	Advisories  []index.Advisory `json:"advisories,omitempty"` // of that version
	Versions    []string         `json:"versions"`             // newest first, yanked ones too
	Installed   string           `json:"installed,omitempty"`
}

func (a *app) info(ctx context.Context, arg, attestation string) error {
	specs, err := parseSpecs([]string{arg})
	if err != nil {
		return err
	}
	spec := specs[0]
	x, err := a.indexAtHand(ctx)
	if err != nil {
		return err
	}
	p, err := x.Info(spec.Name)
	if err != nil {
		return err
	}
	out := packageInfo{Name: p.Name, Description: p.Description, License: p.License, Repository: p.Repository}
	chosen := newest(p, spec.Constraint)
	if chosen == nil {
		return noSuchVersion{spec}
	}
	if attestation != "" {
		return a.showAttestation(ctx, p.Name, chosen.Version, chosen.Digest, attestation)
	}
	out.Version = *chosen
	out.Deprecated, out.Advisories = p.Deprecated, p.AdvisoriesOf(chosen.Version)
	for _, v := range slices.Backward(p.Versions) {
		out.Versions = append(out.Versions, v.Version)
	}
	g, err := a.root().Current()
	if err != nil {
		return err
	}
	if i := g.Find(p.Name); i != nil {
		out.Installed = i.Version
	}
	return a.ui.answer(out, func(w io.Writer) { out.write(w, p) })
}

// noSuchVersion is a constraint that nothing in the index satisfies.
type noSuchVersion struct{ spec manifest.Spec }

func (e noSuchVersion) Error() string { return fmt.Sprintf("no version satisfies %s", e.spec) }

// newest is the newest version that satisfies and is not yanked, else one that is.
func newest(p *index.Package, c manifest.Constraint) *index.Version {
	var yanked *index.Version
	for i := len(p.Versions) - 1; i >= 0; i-- {
		v := &p.Versions[i]
		sv, err := manifest.ParseVersion(v.Version)
		if err != nil || !c.Match(sv) {
			continue
		}
		if v.Yanked == "" {
			return v
		}
		if yanked == nil {
			yanked = v
		}
	}
	return yanked
}

func (i *packageInfo) write(w io.Writer, p *index.Package) {
	v := &i.Version
	var rows []string
	add := func(what, value string) {
		if value != "" {
			rows = append(rows, row(what, value))
		}
	}
	add("name", i.Name)
	add("version", v.Version)
	add("yanked", v.Yanked)
	add("deprecated", i.Deprecated)
	for _, adv := range i.Advisories {
		add("advisory", strings.TrimSpace(fmt.Sprintf("%s (%s, affects %s): %s %s", adv.ID, adv.Severity, adv.Affects, adv.Summary, adv.URL)))
	}
	add("description", i.Description)
	add("license", i.License)
	add("repository", i.Repository)
	add("digest", v.Digest)
	needs := func(of string, r *manifest.Requirements) {
		add(of+"architecture", r.Arch)
		add(of+"hooks", join(r.Hooks))
		add(of+"kernel release", r.Release)
		add(of+"kernel config", strings.Join(r.Config, ", "))
		add(of+"kernel types", strings.Join(r.BTF, ", "))
		add(of+"kernel symbols", strings.Join(r.Symbols, ", "))
	}
	needs("", &v.Requires)
	for i := range v.Variants {
		add(fmt.Sprintf("variant %d", i+1), v.Variants[i].Digest)
		needs("  ", &v.Variants[i].Requires)
	}
	add("needs", pairs(v.Dependencies))
	add("conflicts", pairs(v.Conflicts))
	var others []string
	for _, o := range slices.Backward(p.Versions) {
		text := o.Version
		if o.Yanked != "" {
			text += " (yanked)"
		}
		others = append(others, text)
	}
	add("versions", strings.Join(others, ", "))
	add("installed", i.Installed)
	table(w, "", rows...)
}
