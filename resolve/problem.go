// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/iupkg/iupkg/manifest"
)

// versions is what is known of a package, whatever is asked of it.
type versions struct {
	name  string
	known bool      // the source has the name, or it is installed
	list  []version // newest first
}

type version struct {
	Candidate
	v      manifest.Version
	pinned bool
	// preferred: pinned, and not to be upgraded.
	preferred bool
	deps      []relation // sorted by name
	confl     []relation
	broken    error

	checked  bool // findings is valid
	findings []manifest.Finding
}

type relation struct {
	name string
	c    manifest.Constraint
}

// load asks the source for a package, once.
func (in *input) load(ctx context.Context, name string) (*versions, error) {
	if v := in.cache[name]; v != nil {
		return v, nil
	}
	cands, err := in.src.Versions(ctx, name)
	vs := &versions{name: name, known: err == nil}
	if err != nil && !errors.Is(err, ErrUnknownPackage) {
		return nil, &SourceError{name, err}
	}
	for _, c := range cands {
		v, err := in.newVersion(name, c)
		if err != nil {
			return nil, &SourceError{name, err}
		}
		vs.list = append(vs.list, v)
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
	in.cache[name] = vs
	return vs, nil
}

// pin puts the installed version in, in place of the source's account of it.
func (in *input) pin(vs *versions, p *Pinned) error {
	c := Candidate{Version: p.Version, Digest: p.Digest, Requires: p.Requires, Dependencies: p.Dependencies, Conflicts: p.Conflicts}
	v, err := in.newVersion(p.Name, c)
	if err != nil {
		return fmt.Errorf("installed %s: %w", p.Name, err)
	}
	v.pinned, v.preferred = true, !p.Upgrade
	i := slices.IndexFunc(vs.list, func(o version) bool { return o.v.Compare(v.v) == 0 })
	if i < 0 {
		vs.list = append(vs.list, v)
		return nil
	}
	v.Yanked = vs.list[i].Yanked
	vs.list[i] = v
	return nil
}

func (in *input) newVersion(name string, c Candidate) (version, error) {
	v := version{Candidate: c}
	var err error
	if v.v, err = manifest.ParseVersion(c.Version); err != nil {
		return v, err
	}
	v.deps = in.relations(&v, name, "dependency", c.Dependencies)
	v.confl = in.relations(&v, name, "conflict", c.Conflicts)
	return v, nil
}

// relations parses a list; a mistake in it keeps this version from being
// chosen, not the package.
func (in *input) relations(v *version, self, what string, list map[string]string) []relation {
	var out []relation
	for _, name := range slices.Sorted(maps.Keys(list)) {
		c, err := in.constraint(list[name])
		if err == nil {
			err = manifest.CheckName(name)
		}
		if err == nil && name == self {
			err = errors.New("it is the package itself")
		}
		if err != nil {
			if v.broken == nil {
				v.broken = fmt.Errorf("%s on %s: %w", what, name, err)
			}
			continue
		}
		out = append(out, relation{name, c})
	}
	return out
}

// findings returns what speaks against v on this kernel, or might.
func (in *input) findings(v *version) []manifest.Finding {
	if !v.checked {
		v.findings, v.checked = in.host.Check(v.Requires), true
	}
	return v.findings
}

// bars returns the findings that keep v from being chosen.
func (in *input) bars(v *version, lenient bool) []manifest.Finding {
	f := in.findings(v)
	if lenient && manifest.Fits(f) {
		return nil
	}
	return f
}
