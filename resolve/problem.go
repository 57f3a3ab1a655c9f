// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/manifest"
)

// versions is what is known of a package, whatever is asked of it.
type versions struct {
	name  string
	known bool      // the source has the name, it is installed, or others provide it
	list  []version // newest first, then those of other packages that provide the name
	order []int     // of list, best first
	// base and feature: these are the versions of base seen by who needs the
	// feature. They depend on what the feature needs, and on themselves.
	base, feature string

	// Found out once, however often the problem is solved.
	matched map[string]set      // by constraint
	shared  map[relationKey]set // by what versions may have in common
}

// relationKey is a relation as it is written.
type relationKey struct {
	conflict   bool
	name, text string
}

type version struct {
	*Candidate // the source's own, which is not changed here, or one made here
	v          manifest.Version
	pinned     bool
	// via is the package that is had in the place of this name, in version viaV.
	via, viaV string
	lacks     bool // it does not have the feature
	// preferred: pinned, and not to be upgraded.
	preferred bool

	// first is the variant to be tried before the others, the installed one; unlisted:
	// it is the last, which the source does not have.
	first    int
	unlisted bool

	// See relations and fit, which fill them in for versions that come up.
	parsed  bool
	deps    []relation // sorted by name
	confl   []relation
	broken  error
	checked bool
	fit     fit
}

type relation struct {
	name string
	text string // as it is written
	c    manifest.Constraint
}

// load asks the source for a package, once.
func (in *input) load(ctx context.Context, name string) (*versions, error) {
	if v := in.cache[name]; v != nil {
		return v, nil
	}
	base, feature, err := manifest.SplitFeature(name)
	if err != nil {
		return nil, err
	}
	if feature != "" {
		vs, err := in.loadFeature(ctx, name, base, feature)
		in.cache[name] = vs
		return vs, err
	}
	cands, err := in.src.Versions(ctx, name)
	vs := &versions{name: name, known: err == nil, list: make([]version, 0, len(cands)+1),
		matched: map[string]set{}, shared: map[relationKey]set{}}
	if err != nil && !errors.Is(err, ErrUnknownPackage) {
		return nil, &SourceError{name, err}
	}
	for i := range cands {
		v, err := manifest.ParseVersion(cands[i].Version)
		if err != nil {
			return nil, &SourceError{name, err}
		}
		vs.list = append(vs.list, version{Candidate: &cands[i], v: v})
	}
	if p := in.pinned(name); p != nil {
		vs.known = true
		if err := in.pin(vs, p); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(vs.list, func(a, b version) int { return b.v.Compare(a.v) })
	for i := 1; i < len(vs.list); i++ {
		if vs.list[i].v.Compare(vs.list[i-1].v) == 0 {
			return nil, &SourceError{name, fmt.Errorf("%s stands twice", vs.list[i].Version)}
		}
	}
	if err := in.loadProvided(ctx, vs); err != nil {
		return nil, err
	}
	for i, v := range vs.list {
		vs.order = append(vs.order, i)
		if v.preferred {
			copy(vs.order[1:], vs.order)
			vs.order[0] = i
		}
	}
	in.cache[name] = vs
	return vs, nil
}

// loadFeature makes the versions of a package as who needs a feature sees them.
func (in *input) loadFeature(ctx context.Context, name, base, feature string) (*versions, error) {
	of, err := in.load(ctx, base)
	if err != nil {
		return nil, err
	}
	vs := &versions{name: name, known: of.known, base: base, feature: feature,
		matched: map[string]set{}, shared: map[relationKey]set{}}
	for _, v := range of.list {
		if v.via != "" { // features are the package's own
			continue
		}
		needs, has := v.Features[feature]
		vs.list = append(vs.list, version{v: v.v, pinned: v.pinned, preferred: v.preferred, checked: true, lacks: !has,
			Candidate: &Candidate{Version: v.Version, Dependencies: needs}})
	}
	for _, i := range of.order {
		if i < len(vs.list) {
			vs.order = append(vs.order, i)
		}
	}
	return vs, nil
}

// loadProvided adds what others provide under the name.
func (in *input) loadProvided(ctx context.Context, vs *versions) error {
	names, err := in.src.Providers(ctx, vs.name)
	if err != nil {
		return &SourceError{vs.name, err}
	}
	for _, p := range in.installed {
		if _, ok := p.Provides[vs.name]; ok {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	var out []version
	for _, name := range slices.Compact(names) {
		if name == vs.name {
			continue
		}
		// Its own versions, which need not be loaded whole: that would go round where
		// two provide each other's names.
		add := func(of, as string) {
			v, err := manifest.ParseVersion(as)
			if err == nil {
				out = append(out, version{v: v, via: name, viaV: of, checked: true, parsed: true, Candidate: &Candidate{Version: as}})
			}
		}
		pin := in.pinned(name)
		if pin != nil && pin.Provides[vs.name] != "" {
			add(pin.Version, pin.Provides[vs.name])
		}
		cands, err := in.src.Versions(ctx, name)
		if err != nil && !errors.Is(err, ErrUnknownPackage) {
			return &SourceError{name, err}
		}
		for _, c := range cands {
			if as := c.Provides[vs.name]; as != "" && !(pin != nil && pin.Version == c.Version) {
				add(c.Version, as)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b version) int {
		av, aerr := manifest.ParseVersion(a.viaV)
		bv, berr := manifest.ParseVersion(b.viaV)
		order := cmp.Or(b.v.Compare(a.v), strings.Compare(a.via, b.via))
		if order == 0 && aerr == nil && berr == nil {
			order = bv.Compare(av)
		}
		return order
	})
	vs.list = append(vs.list, out...)
	vs.known = vs.known || len(out) > 0
	return nil
}

// pin puts the installed version in, in place of the source's account of it.
func (in *input) pin(vs *versions, p *Pinned) error {
	c := &Candidate{Version: p.Version, Digest: p.Digest, Requires: p.Requires, Dependencies: p.Dependencies, Conflicts: p.Conflicts,
		Provides: p.Provides, Features: p.Features}
	sv, err := manifest.ParseVersion(p.Version)
	if err != nil {
		return fmt.Errorf("installed %s: %w", p.Name, err)
	}
	v := version{Candidate: c, v: sv}
	v.pinned, v.preferred = true, !p.Upgrade
	i := slices.IndexFunc(vs.list, func(o version) bool { return o.v.Compare(v.v) == 0 })
	if i < 0 {
		vs.list = append(vs.list, v)
		return nil
	}
	v.Yanked = vs.list[i].Yanked
	if o := &vs.list[i]; len(o.Variants) > 0 {
		v.take(p, o.Candidate)
	}
	vs.list[i] = v
	return nil
}

// relations parses what v of the package self depends on and conflicts with. A
// mistake there keeps this version from being chosen, not the package.
func (in *input) relations(self string, v *version) *version {
	if v.parsed {
		return v
	}
	v.parsed = true
	list := func(what string, of map[string]string) []relation {
		if len(of) == 0 {
			return nil
		}
		out := make([]relation, 0, len(of))
		for name, text := range of {
			out = append(out, relation{name: name, text: text})
		}
		slices.SortFunc(out, func(a, b relation) int { return strings.Compare(a.name, b.name) })
		good := out[:0]
		for _, r := range out {
			var err error
			base, feature := "", ""
			if r.c, err = in.constraint(r.text); err == nil {
				base, feature, err = manifest.SplitFeature(r.name)
			}
			switch {
			case err != nil:
			case base == self:
				err = errors.New("it is the package itself")
			case feature != "" && what == "conflict":
				err = errors.New("a feature is none to conflict with")
			}
			if err == nil {
				good = append(good, r)
			} else if v.broken == nil {
				v.broken = fmt.Errorf("%s on %s: %w", what, r.name, err)
			}
		}
		return good
	}
	v.deps, v.confl = list("dependency", v.Dependencies), list("conflict", v.Conflicts)
	return v
}

// match returns the versions in a constraint.
func (vs *versions) match(c manifest.Constraint) set {
	key := c.String()
	m, ok := vs.matched[key]
	if !ok {
		m = newSet(len(vs.list) + 1)
		for i := range vs.list {
			if c.Match(vs.list[i].v) {
				m.add(i + 1)
			}
		}
		vs.matched[key] = m
	}
	return m
}

// sharing returns the versions that have a relation in common.
func (vs *versions) sharing(conflict bool, r relation) set {
	key := relationKey{conflict, r.name, r.text}
	m, ok := vs.shared[key]
	if !ok {
		m = newSet(len(vs.list) + 1)
		for i := range vs.list {
			of := vs.list[i].Dependencies
			if conflict {
				of = vs.list[i].Conflicts
			}
			if text, has := of[r.name]; has && text == r.text {
				m.add(i + 1)
			}
		}
		vs.shared[key] = m
	}
	return m
}

// fit finds out how v goes with this kernel.
func (in *input) fit(v *version) *fit {
	if !v.checked {
		v.fit, v.checked = fitOn(in.host, v), true
	}
	return &v.fit
}

// bars returns the findings that keep v from being chosen.
func (in *input) bars(v *version, lenient bool) []manifest.Finding {
	f := in.fit(v).findings
	if lenient && manifest.Fits(f) {
		return nil
	}
	return f
}
