// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/manifest"
)

// maxRetries bounds how often plan solves again to say why a version was not
// chosen.
const maxRetries = 8

// maxRetryWork bounds the packages gone over for that where the user has named
// neither the package nor has it installed: in a large plan nobody asks.
const maxRetryWork = 2000

// plan writes down what the solver decided.
func (in *input) plan(ctx context.Context, s *solver) (*Plan, error) {
	plan := &Plan{}
	w := newReasons(in, s)
	stands := s.stands()
	for _, p := range s.sorted() {
		v := p.chosen()
		c := Choice{
			Name: p.name, Version: v.Version, Digest: v.Digest,
			Wanted: slices.ContainsFunc(in.want, func(w manifest.Spec) bool {
				return w.Name == p.name || slices.Contains(stands[p].provides, w.Name)
			}),
			Features: stands[p].features, Provides: stands[p].provides,
			Unproven: in.fit(v).findings,
		}
		in.build(&c, v)
		c.Installed = v.pinned && c.Builds == nil && c.Digest == in.pinned(p.name).Digest
		if pin := in.pinned(p.name); pin != nil && !c.Installed {
			c.Replaces = pin.Version
		}
		for i := range p.best() {
			r, err := w.why(ctx, p, i)
			if err != nil {
				return nil, err
			}
			c.Rejected = append(c.Rejected, r)
		}
		plan.Packages = append(plan.Packages, c)
	}
	for _, pin := range in.installed {
		if plan.Find(pin.Name) == nil {
			plan.Remove = append(plan.Remove, pin.Name)
		}
	}
	slices.Sort(plan.Remove)
	return plan, nil
}

// stood is what else was decided of a package.
type stood struct{ features, provides []string }

// stands says for each package with which features and for what names it is there.
func (s *solver) stands() map[*pack]stood {
	out := map[*pack]stood{}
	for _, p := range s.packs {
		if !p.decided {
			continue
		}
		v := p.chosen()
		switch {
		case p.feature != "":
			q := s.byName[p.base]
			x := out[q]
			x.features = append(x.features, p.feature)
			slices.Sort(x.features)
			out[q] = x
		case v.via != "":
			q := s.byName[v.via]
			x := out[q]
			x.provides = append(x.provides, p.name)
			slices.Sort(x.provides)
			out[q] = x
		}
	}
	return out
}

// real is the package that is installed where p was decided: itself, unless it is
// a feature or a name that another provides.
func (s *solver) real(p *pack) *pack {
	switch {
	case p.feature != "":
		return s.byName[p.base]
	case p.chosen().via != "":
		return s.byName[p.chosen().via]
	}
	return p
}

// sorted returns the decided packages, each after those it depends on where
// there is no cycle, else by name.
func (s *solver) sorted() []*pack {
	var all, out []*pack
	deps := map[*pack][]relation{}
	for _, p := range s.packs {
		if !p.decided {
			continue
		}
		q := s.real(p)
		if q == p {
			all = append(all, p)
		}
		deps[q] = append(deps[q], p.chosen().deps...)
	}
	slices.SortFunc(all, func(a, b *pack) int { return strings.Compare(a.name, b.name) })
	seen := map[*pack]bool{}
	var visit func(p *pack)
	visit = func(p *pack) {
		if seen[p] {
			return
		}
		seen[p] = true
		for _, d := range deps[p] {
			visit(s.real(s.byName[d.name]))
		}
		out = append(out, p)
	}
	for _, p := range all {
		visit(p)
	}
	return out
}

// reasons says why versions were not chosen.
type reasons struct {
	in *input
	s  *solver
	// needed has, for each package, who in the plan needs it.
	needed map[string][]need
	wants  map[string][]manifest.Spec
	// features has those with which a package is in the plan.
	features map[*pack][]string
	retries  int
}

type need struct {
	by *pack
	c  manifest.Constraint
}

func newReasons(in *input, s *solver) *reasons {
	w := &reasons{in: in, s: s, needed: map[string][]need{}, wants: map[string][]manifest.Spec{}, features: map[*pack][]string{}}
	for p, x := range s.stands() {
		w.features[p] = x.features
	}
	for _, q := range s.packs {
		if q.decided {
			for _, d := range q.chosen().deps {
				w.needed[d.name] = append(w.needed[d.name], need{q, d.c})
			}
		}
	}
	for _, spec := range in.want {
		w.wants[spec.Name] = append(w.wants[spec.Name], spec)
	}
	return w
}

// why says why version i of p, newer than the chosen one, was not chosen. What
// the kernel lacks comes first, then what holds whatever else is chosen, then
// what this plan asks for.
func (w *reasons) why(ctx context.Context, p *pack, i int) (Rejection, error) {
	in, s := w.in, w.s
	v := in.relations(p.name, &p.list[i])
	r := Rejection{Name: p.name, Version: v.Version}
	set := func(k Kind, reason string) (Rejection, error) {
		r.Kind, r.Reason = k, reason
		return r, nil
	}
	if f := in.bars(v, s.lenient); len(f) > 0 {
		r.Findings = f
		return set(KindKernel, joinFindings(f))
	}
	switch {
	case v.via != "":
		return set(KindConstraint, "is provided by "+v.via+" "+v.viaV)
	case v.broken != nil:
		return set(KindBroken, "is broken: "+v.broken.Error())
	case v.Yanked != "" && !v.pinned && !p.yankedOK[i]:
		return set(KindYanked, "was yanked: "+v.Yanked)
	}
	for _, feature := range w.features[p] {
		if _, has := v.Features[feature]; !has {
			return set(KindFeature, "does not have the feature "+feature)
		}
	}
	for _, spec := range w.wants[p.name] {
		if !p.match(spec.Constraint).has(i + 1) {
			if v.v.Prerelease() && spec.Constraint.Covers(v.v) {
				return set(KindPrerelease, "is a pre-release")
			}
			return set(KindConstraint, "is not in "+spec.Constraint.String())
		}
	}
	for _, n := range w.needed[p.name] {
		if !p.match(n.c).has(i + 1) {
			if v.v.Prerelease() && n.c.Covers(v.v) {
				return set(KindPrerelease, "is a pre-release")
			}
			return set(KindConstraint, "is not in "+n.c.String()+", which "+n.by.name+" "+n.by.chosen().Version+" needs")
		}
	}
	if pin := in.pinned(p.name); pin != nil && len(w.wants[p.name]) == 0 && !p.match(pin.Constraint).has(i+1) {
		if !pin.Constraint.Covers(v.v) {
			return set(KindConstraint, "is not in "+pin.Constraint.String()+", which it was installed by")
		}
		return set(KindPrerelease, "is a pre-release")
	}
	if c := p.chosen(); c.preferred {
		return set(KindInstalled, "is newer than "+c.Version+", which is installed and was kept")
	}
	return w.retry(ctx, p, i, r)
}

// retry asks for the very version and reads the reason off what happens.
func (w *reasons) retry(ctx context.Context, p *pack, i int, r Rejection) (Rejection, error) {
	in, s := w.in, w.s
	r.Kind, r.Reason = KindDependency, "does not go with the rest of this plan"
	named := len(w.wants[p.name]) > 0 || in.pinned(p.name) != nil
	if w.retries++; w.retries > maxRetries || !named && w.retries*len(s.packs) > maxRetryWork {
		return r, nil
	}
	exact, err := manifest.ParseConstraint("=" + p.list[i].Version)
	if err != nil {
		return r, err
	}
	alt, fail, err := in.solve(ctx, slices.Concat(in.want, []manifest.Spec{{Name: p.name, Constraint: exact}}), s.lenient)
	if err != nil {
		return r, err
	}
	if fail == nil {
		// It could be had, at the price of something decided before it.
		for _, q := range s.packs {
			o := alt.byName[q.name]
			if q != p && q.decided && (o == nil || !o.decided || o.chosen().Version != q.chosen().Version) {
				r.Reason = "does not go with " + q.name + " " + q.chosen().Version
				break
			}
		}
		return r, nil
	}
	st := newStory(fail.leaves())
	var lines []string
	for _, q := range st.packs {
		for _, f := range st.byPack[q] {
			if c, ok := f.(conflictFact); ok && (c.p.name == p.name || c.q.name == p.name) {
				r.Kind = KindConflict
			}
			if l, ok := f.(linkFact); !ok || l.p.feature == "" {
				lines = append(lines, alt.line(f))
			}
		}
	}
	self := r.Name + " " + r.Version + " "
	switch {
	case len(lines) > 0 && strings.HasPrefix(lines[0], self):
		r.Reason = strings.TrimPrefix(strings.Join(lines, "; "), self)
	case len(lines) > 0:
		r.Reason = "cannot be used: " + strings.Join(lines, "; ")
	}
	return r, nil
}
