// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"slices"

	"github.com/iupkg/iupkg/manifest"
)

// The solver keeps, for each package, the domain: which of its versions, or its
// absence, are still possible. An incompatibility says that not all of its
// terms can hold together, a term that a package is one of a set. A term holds
// when the domain is within the set, and cannot hold when they share nothing.
// Both kinds of PubGrub's terms, positive and negative, are such sets: a
// negative one has "absent" in it.

// pack is a package in the search.
type pack struct {
	*versions
	id       int
	n        int // size of the domain: versions and absence
	dom      set
	steps    []int // indices of its steps in the trail
	decided  bool
	expanded []bool // by version: its incompatibilities are in
	yankedOK []bool // by version: the user named exactly it
	incs     []*incompat
}

// term says that a package is one of set.
type term struct {
	p *pack
	s set
}

// incompat is a set of terms that cannot all hold, and why: a fact, or the two
// incompatibilities that it follows from.
type incompat struct {
	terms []term
	fact  fact
	from  [2]*incompat
}

// fact is a leaf of an explanation; see explain.go for the kinds.
type fact interface{ isFact() }

// step narrows the domain of a package: by decision if cause is nil.
type step struct {
	p         *pack
	prev, now set
	level     int
	cause     *incompat
}

type solver struct {
	in      *input
	ctx     context.Context
	lenient bool

	packs  []*pack // by id, in the order in which they are decided
	byName map[string]*pack
	trail  []step
	level  int
	first  int // no pack before this waits for a decision
	dirty  []*pack
	dead   *incompat // one without terms: there is no solution
}

// solve searches. If there is no solution, it returns an incompatibility
// without terms, the root of the explanation.
func (in *input) solve(ctx context.Context, want []manifest.Spec, lenient bool) (*solver, *incompat, error) {
	s := &solver{in: in, ctx: ctx, lenient: lenient, byName: map[string]*pack{}}
	if err := s.addRoots(want); err != nil {
		return s, nil, err
	}
	swept := -1
	for {
		if fail := s.propagate(); fail != nil {
			return s, fail, nil
		}
		if err := ctx.Err(); err != nil {
			return s, nil, err
		}
		p := s.next()
		if p == nil {
			// What was learnt late may have more to say of packages that
			// were settled early.
			if len(s.trail) == swept {
				return s, nil, nil
			}
			swept = len(s.trail)
			s.dirty = append(s.dirty, s.packs...)
			continue
		}
		i := s.pick(p)
		if !p.expanded[i] {
			if err := s.expand(p, i); err != nil {
				return s, nil, err
			}
			continue
		}
		s.level++
		p.decided = true
		s.narrow(p, setOf(p.n, i+1), nil)
	}
}

// next returns the first package that must be there and has no version yet.
// narrow and undo see to it that there is none before s.first.
func (s *solver) next() *pack {
	for ; s.first < len(s.packs); s.first++ {
		if p := s.packs[s.first]; !p.decided && !p.dom.has(0) {
			return p
		}
	}
	return nil
}

// pick is the version to try: the best, unless a package that is there anyway
// provides the name.
func (s *solver) pick(p *pack) int {
	if own := len(p.list); own > 0 && p.list[own-1].via != "" {
		for _, i := range p.order {
			v := &p.list[i]
			if v.via == "" || !p.dom.has(i+1) {
				continue
			}
			q := s.byName[v.via]
			if q == nil || q.dom.has(0) {
				continue
			}
			if k := q.find(v.viaV); k >= 0 && q.dom.has(k+1) {
				return i
			}
		}
	}
	return p.best()
}

// find is the number of the package's own version, or -1.
func (vs *versions) find(text string) int {
	return slices.IndexFunc(vs.list, func(v version) bool { return v.via == "" && v.Version == text })
}

func (p *pack) best() int {
	for _, i := range p.order {
		if p.dom.has(i + 1) {
			return i
		}
	}
	panic("resolve: a package that must be there has no version left")
}

// get returns the package of a name, loading it first.
func (s *solver) get(name string) (*pack, error) {
	if p := s.byName[name]; p != nil {
		return p, nil
	}
	vs, err := s.in.load(s.ctx, name)
	if err != nil {
		return nil, err
	}
	n := len(vs.list) + 1
	p := &pack{versions: vs, id: len(s.packs), n: n, dom: fullSet(n),
		expanded: make([]bool, n-1), yankedOK: make([]bool, n-1)}
	s.packs = append(s.packs, p)
	s.byName[name] = p
	return p, nil
}

func (p *pack) covered(c manifest.Constraint) set {
	m := newSet(p.n)
	for i, v := range p.list {
		if v.via == "" && c.Covers(v.v) {
			m.add(i + 1)
		}
	}
	return m
}

func (p *pack) not(s set) set { return fullSet(p.n).minus(s) }

// mayStay says whether version i is one that an installed package may have when
// nobody asks for another: the installed one, or one that is not a pre-release,
// nor older if it is upgraded.
func (p *pack) mayStay(in *Pinned, i int) bool {
	v := &p.list[i]
	switch {
	case v.pinned:
		return true
	case v.via != "": // it stays itself
		return false
	}
	older := i > slices.IndexFunc(p.list, func(o version) bool { return o.pinned })
	if in.Upgrade && older {
		return false
	}
	// A constraint that names a pre-release lets it in.
	return p.match(in.Constraint).has(i + 1)
}

func (s *solver) addRoots(want []manifest.Spec) error {
	asked := map[string]bool{}
	for _, w := range want {
		p, err := s.get(w.Name)
		if err != nil {
			return err
		}
		asked[w.Name] = true
		if v, ok := w.Constraint.Exact(); ok {
			for i := range p.list {
				p.yankedOK[i] = p.yankedOK[i] || p.list[i].v.Compare(v) == 0
			}
		}
		s.add(&incompat{terms: []term{{p, p.not(p.match(w.Constraint))}}, fact: wantFact{w, p}})
		for _, f := range w.Features {
			q, err := s.get(manifest.WithFeature(w.Name, f))
			if err != nil {
				return err
			}
			s.add(&incompat{terms: []term{{q, setOf(q.n, 0)}}, fact: wantFact{w, q}})
		}
	}
	for i := range s.in.installed {
		in := &s.in.installed[i]
		if in.Auto || asked[in.Name] {
			continue
		}
		p, err := s.get(in.Name)
		if err != nil {
			return err
		}
		keep := newSet(p.n)
		for i := range p.list {
			if p.mayStay(in, i) {
				keep.add(i + 1)
			}
		}
		s.add(&incompat{terms: []term{{p, p.not(keep)}}, fact: keepFact{in}})
		for _, f := range in.Enabled {
			q, err := s.get(manifest.WithFeature(in.Name, f))
			if err != nil {
				return err
			}
			s.add(&incompat{terms: []term{{q, setOf(q.n, 0)}}, fact: keepFact{in}})
		}
	}
	return nil
}

// expand adds what follows from choosing version i of p. Versions that share a
// dependency share its incompatibility, which keeps explanations short and
// spares finding each out.
func (s *solver) expand(p *pack, i int) error {
	p.expanded[i] = true
	v := s.in.relations(p.name, &p.list[i])
	only := func(f fact) {
		s.add(&incompat{terms: []term{{p, setOf(p.n, i+1)}}, fact: f})
	}
	// link says that this one is had with exactly version k of q.
	link := func(q *pack, k int) {
		s.add(&incompat{terms: []term{{p, setOf(p.n, i+1)}, {q, q.not(setOf(q.n, k+1))}}, fact: linkFact{p, i, q, k}})
	}
	switch {
	case v.via != "":
		q, err := s.get(v.via)
		if err != nil {
			return err
		}
		link(q, q.find(v.viaV))
		return nil
	case v.lacks:
		only(lackFact{p, i})
		return nil
	case p.feature != "":
		q, err := s.get(p.base)
		if err != nil {
			return err
		}
		link(q, q.find(v.Version))
	}
	switch f := s.in.bars(v, s.lenient); {
	case v.broken != nil:
		only(brokenFact{p, i})
		return nil
	case v.Yanked != "" && !v.pinned && !p.yankedOK[i]:
		only(yankedFact{p, i})
		return nil
	case len(f) > 0:
		only(kernelFact{p, i, f})
		return nil
	}
	for _, d := range v.deps {
		q, err := s.get(d.name)
		if err != nil {
			return err
		}
		same := p.sharing(false, d)
		s.add(&incompat{terms: []term{{p, same}, {q, q.not(q.match(d.c))}}, fact: needFact{p, same, q, d.c}})
	}
	for _, d := range v.confl {
		q, err := s.get(d.name)
		if err != nil {
			return err
		}
		same := p.sharing(true, d)
		if m := q.covered(d.c); !m.empty() {
			s.add(&incompat{terms: []term{{p, same}, {q, m}}, fact: conflictFact{p, same, q, m, d.c, ""}})
		}
		// Who provides the name conflicts as well, but not with itself.
		if err := s.conflictProviders(p, same, q, d); err != nil {
			return err
		}
	}
	return nil
}

func (s *solver) conflictProviders(p *pack, same set, q *pack, d relation) error {
	bad := map[*pack]set{}
	var order []*pack
	for i := range q.list {
		v := &q.list[i]
		if v.via == "" || v.via == p.name || !d.c.Covers(v.v) {
			continue
		}
		r, err := s.get(v.via)
		if err != nil {
			return err
		}
		if bad[r] == nil {
			bad[r] = newSet(r.n)
			order = append(order, r)
		}
		bad[r].add(r.find(v.viaV) + 1)
	}
	for _, r := range order {
		s.add(&incompat{terms: []term{{p, same}, {r, bad[r]}}, fact: conflictFact{p, same, r, bad[r], d.c, q.name}})
	}
	return nil
}

// add puts an incompatibility into the search.
func (s *solver) add(inc *incompat) {
	kept := inc.terms[:0]
	for _, t := range inc.terms {
		// A term that always holds says nothing.
		if t.s.len() < t.p.n {
			kept = append(kept, t)
		}
	}
	inc.terms = kept
	for _, t := range inc.terms {
		t.p.incs = append(t.p.incs, inc)
		s.dirty = append(s.dirty, t.p)
	}
	if len(inc.terms) == 0 {
		s.dead = inc
	}
}

func (s *solver) narrow(p *pack, to set, cause *incompat) {
	p.steps = append(p.steps, len(s.trail))
	s.trail = append(s.trail, step{p, p.dom, to, s.level, cause})
	p.dom = to
	s.dirty = append(s.dirty, p)
	if !to.has(0) {
		s.first = min(s.first, p.id)
	}
}

// propagate draws every conclusion. It returns the root of an explanation if
// there is no solution.
func (s *solver) propagate() *incompat {
	for {
		if s.dead != nil {
			return s.dead
		}
		if len(s.dirty) == 0 {
			return nil
		}
		p := s.dirty[len(s.dirty)-1]
		s.dirty = s.dirty[:len(s.dirty)-1]
		// Newest first: what was learnt last decides most.
		for k := len(p.incs) - 1; k >= 0; k-- {
			inc := p.incs[k]
			open, conflict := inc.judge()
			if conflict {
				learnt := s.learn(inc)
				if learnt == nil || len(learnt.terms) == 0 {
					return learnt
				}
				s.dirty = s.dirty[:0]
				if learnt != inc {
					s.add(learnt)
				}
				for _, t := range learnt.terms {
					s.dirty = append(s.dirty, t.p)
				}
				break
			}
			if open != nil {
				s.narrow(open.p, open.p.dom.minus(open.s), inc)
			}
		}
	}
}

// judge reports whether all terms hold (conflict), or the only one that may
// yet hold or not, while all others hold.
func (inc *incompat) judge() (open *term, conflict bool) {
	for i := range inc.terms {
		t := &inc.terms[i]
		switch {
		case t.p.dom.subset(t.s):
		case t.p.dom.disjoint(t.s):
			return nil, false
		case open != nil:
			return nil, false
		default:
			open = t
		}
	}
	return open, open == nil
}

// learn finds why all terms of inc hold: it resolves inc with the causes of the
// latest steps until only one decision, or nothing, is to blame, and takes back
// what came after. What it returns leaves one term open then, or has none.
func (s *solver) learn(inc *incompat) *incompat {
	for len(inc.terms) > 0 {
		last, level := -1, 0
		var pivot term
		for _, t := range inc.terms {
			at := s.since(t)
			if at > last {
				if last >= 0 {
					level = max(level, s.trail[last].level)
				}
				last, pivot = at, t
			} else {
				level = max(level, s.trail[at].level)
			}
		}
		st := &s.trail[last]
		var rest set
		if st.cause != nil {
			// Before this step the package was already in rest.
			rest = pivot.s.or(st.cause.of(pivot.p))
			if rest.len() < pivot.p.n {
				level = max(level, s.trail[s.since(term{pivot.p, rest})].level)
			}
		}
		if st.cause == nil || level < st.level {
			s.undo(level)
			return inc
		}
		inc = resolvent(inc, st.cause, pivot.p, rest)
	}
	return inc
}

// since returns the step after which t held.
func (s *solver) since(t term) int {
	for _, i := range t.p.steps {
		if s.trail[i].now.subset(t.s) {
			return i
		}
	}
	panic("resolve: a term that should hold does not")
}

// of returns the set of p's term.
func (inc *incompat) of(p *pack) set {
	for _, t := range inc.terms {
		if t.p == p {
			return t.s
		}
	}
	panic("resolve: a package is not in its incompatibility")
}

// resolvent is what follows from a and b together: of the pivot that it is in
// neither, of every other package that it is in both.
func resolvent(a, b *incompat, pivot *pack, rest set) *incompat {
	out := &incompat{from: [2]*incompat{a, b}}
	for _, t := range a.terms {
		if t.p != pivot {
			out.terms = append(out.terms, t)
		}
	}
	for _, t := range b.terms {
		if t.p == pivot {
			continue
		}
		found := false
		for i := range out.terms {
			if out.terms[i].p == t.p {
				out.terms[i].s = out.terms[i].s.and(t.s)
				found = true
			}
		}
		if !found {
			out.terms = append(out.terms, t)
		}
	}
	if rest.len() < pivot.n {
		out.terms = append(out.terms, term{pivot, rest})
	}
	return out
}

// undo takes back every step above a level.
func (s *solver) undo(level int) {
	for len(s.trail) > 0 && s.trail[len(s.trail)-1].level > level {
		st := s.trail[len(s.trail)-1]
		s.trail = s.trail[:len(s.trail)-1]
		s.first = min(s.first, st.p.id)
		st.p.dom = st.prev
		st.p.steps = st.p.steps[:len(st.p.steps)-1]
		if st.cause == nil {
			st.p.decided = false
		}
	}
	s.level = level
}
