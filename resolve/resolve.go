// SPDX-License-Identifier: Apache-2.0

// Package resolve chooses versions: given what is asked for, what is installed,
// what is published and what this kernel offers, it finds a set of packages in
// which every dependency is met, nothing conflicts and everything fits the
// kernel, or says why there is none. It does no I/O of its own and the same
// input gives the same plan.
//
// The solver is PubGrub (https://nex3.medium.com/pubgrub-2fb6470504f,
// https://github.com/dart-lang/pub/blob/master/doc/solver.md): unit
// propagation over incompatibilities, conflict-driven learning, and a
// derivation of every failure whose leaves are facts that can be shown. What a
// kernel lacks is such a fact, like a dependency.
//
// # Preferences
//
// Packages are decided in the order in which they are asked for, then those
// installed, then others as they are met. For each the first of these that can
// be is taken: the installed version unless it is to be upgraded, then the
// newest. So the first that was asked for gets its best version, the second the
// best that leaves, and so on.
//
//   - A name that others provide stands for one package in a plan: the package of
//     that name or, if one that provides it is there anyway, that one.
//   - An installed package stays, in some version, unless it is Auto.
//   - A pre-release is chosen only if a constraint names one of the same
//     MAJOR.MINOR.PATCH, or it is installed.
//   - A yanked version is chosen only if the user names exactly it, or it is
//     installed.
//   - A version of which it could not be told whether it fits the kernel is
//     chosen only if there is no plan without such; see Choice.Unproven.
//   - Of several builds of one version the installed one is had if it fits, else the
//     first that does.
package resolve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/manifest"
)

// Candidate is one published version.
type Candidate = manifest.Candidate

// ErrUnknownPackage is what a Source returns, wrapped or not, for a name that
// it does not have.
var ErrUnknownPackage = manifest.ErrUnknownPackage

// Source lists the versions of a package, in any order. Solve calls it once for
// each name, from one goroutine, and does not change what it returns.
type Source interface {
	Versions(ctx context.Context, name string) ([]Candidate, error)
	// Providers lists the packages of which some version provides the name. A name
	// that only others provide is none that Versions knows.
	Providers(ctx context.Context, name string) ([]string, error)
}

// Host says what keeps requirements from being met on a kernel; see
// manifest.Profile.Check. If it is a fmt.Stringer too, that names the kernel in
// explanations. Solve asks at most once for each candidate and each of its variants,
// from one goroutine.
type Host interface {
	Check(manifest.Requirements) []manifest.Finding
}

// Pinned is an installed or locked version. What it requires is taken from
// here, so that a package stays solvable after it has left the index.
type Pinned struct {
	Name         string
	Version      string
	Digest       string
	Requires     manifest.Requirements
	Dependencies map[string]string
	Conflicts    map[string]string
	Provides     map[string]string
	Features     map[string]manifest.Relations
	// Constraint is what it was asked for by: unless it is asked for anew, no other
	// version outside comes in its place.
	Constraint manifest.Constraint
	// Enabled are the features that it was installed with.
	Enabled []string
	// Upgrade says that its version is not preferred to newer ones. A package that
	// is upgraded does not go back to an older version unless it is Auto or asked
	// for by a constraint.
	Upgrade bool
	// Auto says that it was installed only because another needs it: the plan
	// leaves it out when nothing does.
	Auto bool
}

// Plan is a set of packages that go together: everything that is to be there
// after it is applied. A package comes after those it depends on.
type Plan struct {
	Packages []Choice `json:"packages"`
	// Remove has what is installed and not in Packages: Auto packages that
	// nothing needs any more.
	Remove []string `json:"remove,omitempty"`
}

// Choice is one package of a plan.
type Choice struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Digest is that of the variant, if it is one of several builds. Builds says what
	// each of several kernels is to have, where that is not the same for all.
	Digest  string  `json:"digest"`
	Variant int     `json:"variant,omitempty"` // from 1
	Builds  []Build `json:"builds,omitempty"`
	// Wanted: asked for now. Installed: this very build is pinned already.
	// Replaces: the version that is pinned instead, if there is one; it may be another
	// build of the same.
	Wanted bool `json:"wanted,omitempty"`
	// Features are those that are asked for or needed. Provides are the names in
	// whose place it stands in this plan.
	Features  []string `json:"features,omitempty"`
	Provides  []string `json:"provides,omitempty"`
	Installed bool     `json:"installed,omitempty"`
	Replaces  string   `json:"replaces,omitempty"`
	// Unproven is what could not be told of this kernel.
	Unproven []manifest.Finding `json:"unproven,omitempty"`
	// Rejected has the versions newer than this one, newest first.
	Rejected []Rejection `json:"rejected,omitempty"`
}

// Kind says what kind of thing speaks against a version.
type Kind string

// The kinds.
const (
	KindKernel     Kind = "kernel"     // the kernel does not meet its requirements
	KindYanked     Kind = "yanked"     // withdrawn by its publisher
	KindPrerelease Kind = "prerelease" // a pre-release that nobody asked for
	KindConstraint Kind = "constraint" // not what was asked for, or what another needs
	KindDependency Kind = "dependency" // needs what the plan does not have
	KindConflict   Kind = "conflict"   // it or another of the plan excludes the other
	KindInstalled  Kind = "installed"  // the installed version was kept
	KindBroken     Kind = "broken"     // what the source says of it makes no sense
	KindFeature    Kind = "feature"    // it lacks a feature
)

// Rejection is a version that was not chosen.
type Rejection struct {
	Name     string             `json:"name"`
	Version  string             `json:"version"`
	Kind     Kind               `json:"kind"`
	Reason   string             `json:"reason"` // "needs …; this kernel …": goes after the version
	Findings []manifest.Finding `json:"findings,omitempty"`
}

// String returns version and reason.
func (r Rejection) String() string { return r.Version + " " + r.Reason }

// Find returns the choice of that name, or nil.
func (p *Plan) Find(name string) *Choice {
	for i := range p.Packages {
		if p.Packages[i].Name == name {
			return &p.Packages[i]
		}
	}
	return nil
}

// SourceError is a failure of the source: it could not be read, or what it said
// makes no sense.
type SourceError struct {
	Name string
	Err  error
}

func (e *SourceError) Error() string { return fmt.Sprintf("versions of %s: %v", e.Name, e.Err) }
func (e *SourceError) Unwrap() error { return e.Err }

// Solve finds the best plan that has everything in want and keeps what is
// installed. It fails with *Unsatisfiable if there is none, with *SourceError
// if the source fails.
func Solve(ctx context.Context, src Source, host Host, want []manifest.Spec, installed []Pinned) (*Plan, error) {
	in := newInput(src, host, want, installed)
	if err := in.check(); err != nil {
		return nil, err
	}
	s, fail, err := in.solve(ctx, want, false)
	if fail != nil && err == nil {
		s, fail, err = in.solve(ctx, want, true)
	}
	if err != nil {
		return nil, err
	}
	if fail != nil {
		return nil, in.explain(ctx, s, fail)
	}
	return in.plan(ctx, s)
}

// input is a problem. What is cached outlives the several times it may be
// solved.
type input struct {
	src       Source
	host      Host
	want      []manifest.Spec
	installed []Pinned

	cache       map[string]*versions
	constraints map[string]parsedConstraint
}

type parsedConstraint struct {
	c   manifest.Constraint
	err error
}

func newInput(src Source, host Host, want []manifest.Spec, installed []Pinned) *input {
	return &input{src: src, host: host, want: want, installed: installed,
		cache: map[string]*versions{}, constraints: map[string]parsedConstraint{}}
}

// constraint is ParseConstraint; an index has few different ones.
func (in *input) constraint(s string) (manifest.Constraint, error) {
	p, ok := in.constraints[s]
	if !ok {
		p.c, p.err = manifest.ParseConstraint(s)
		in.constraints[s] = p
	}
	return p.c, p.err
}

func (in *input) check() error {
	for i, p := range in.installed {
		if slices.ContainsFunc(in.installed[:i], func(o Pinned) bool { return o.Name == p.Name }) {
			return fmt.Errorf("%s is installed twice", p.Name)
		}
		if _, err := manifest.ParseVersion(p.Version); err != nil {
			return fmt.Errorf("installed %s: %w", p.Name, err)
		}
	}
	for _, w := range in.want {
		for _, f := range append([]string{""}, w.Features...) {
			if _, _, err := manifest.SplitFeature(manifest.WithFeature(w.Name, f)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *input) pinned(name string) *Pinned {
	for i := range in.installed {
		if in.installed[i].Name == name {
			return &in.installed[i]
		}
	}
	return nil
}

// kernelName returns " (6.12.117+deb12-amd64)" if the host has a name.
func (in *input) kernelName() string {
	if s, ok := in.host.(fmt.Stringer); ok && s.String() != "" {
		return " (" + s.String() + ")"
	}
	return ""
}

func joinFindings(list []manifest.Finding) string {
	parts := make([]string, len(list))
	for i, f := range list {
		parts[i] = f.String()
	}
	return strings.Join(parts, "; also ")
}
