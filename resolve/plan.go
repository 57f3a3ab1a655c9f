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

// plan writes down what the solver decided.
func (in *input) plan(ctx context.Context, s *solver) (*Plan, error) {
	plan := &Plan{}
	w := newReasons(in, s)
	for _, p := range s.sorted() {
		v := p.chosen()
		c := Choice{
			Name: p.name, Version: v.Version, Digest: v.Digest, Installed: v.pinned,
			Wanted:   slices.ContainsFunc(in.want, func(w manifest.Spec) bool { return w.Name == p.name }),
			Unproven: in.findings(v),
		}
		if pin := in.pinned(p.name); pin != nil && !v.pinned {
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

// sorted returns the decided packages, each after those it depends on where
// there is no cycle, else by name.
func (s *solver) sorted() []*pack {
	var all, out []*pack
	for _, p := range s.packs {
		if p.decided {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *pack) int { return strings.Compare(a.name, b.name) })
	seen := map[*pack]bool{}
	var visit func(p *pack)
	visit = func(p *pack) {
		if seen[p] {
			return
		}
		seen[p] = true
		for _, d := range p.chosen().deps {
			visit(s.byName[d.name])
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
	needed  map[string][]need
	wants   map[string][]manifest.Spec
	retries int
}

type need struct {
	by *pack
	c  manifest.Constraint
}

func newReasons(in *input, s *solver) *reasons {
	w := &reasons{in: in, s: s, needed: map[string][]need{}, wants: map[string][]manifest.Spec{}}
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
	case v.broken != nil:
		return set(KindBroken, "is broken: "+v.broken.Error())
	case v.Yanked != "" && !v.pinned && !p.yankedOK[i]:
		return set(KindYanked, "was yanked: "+v.Yanked)
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
	if c := p.chosen(); c.preferred {
		return set(KindInstalled, "is newer than "+c.Version+", which is installed and was kept")
	}
	if v.v.Prerelease() && in.pinned(p.name) != nil {
		return set(KindPrerelease, "is a pre-release")
	}
	return w.retry(ctx, p, i, r)
}

// retry asks for the very version and reads the reason off what happens.
func (w *reasons) retry(ctx context.Context, p *pack, i int, r Rejection) (Rejection, error) {
	in, s := w.in, w.s
	r.Kind, r.Reason = KindDependency, "does not go with the rest of this plan"
	if w.retries++; w.retries > maxRetries {
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
			lines = append(lines, alt.line(f))
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
