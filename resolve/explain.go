// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/manifest"
)

// The facts that explanations end in.
type (
	wantFact struct {
		spec manifest.Spec
		p    *pack
	}
	keepFact struct{ in *Pinned }
	needFact struct {
		p    *pack
		same set // these versions of p
		q    *pack
		c    manifest.Constraint
	}
	conflictFact struct {
		p    *pack
		same set
		q    *pack
		bad  set // with these versions of q
		c    manifest.Constraint
		as   string // the name in the place of which q stands; empty: its own
	}
	// linkFact: version i of p, a feature's or a provided name, is version k of q.
	linkFact struct {
		p *pack
		i int
		q *pack
		k int
	}
	lackFact struct {
		p *pack
		i int
	}
	kernelFact struct {
		p        *pack
		i        int
		findings []manifest.Finding
	}
	yankedFact struct {
		p *pack
		i int
	}
	brokenFact struct {
		p *pack
		i int
	}
)

func (wantFact) isFact()     {}
func (keepFact) isFact()     {}
func (needFact) isFact()     {}
func (conflictFact) isFact() {}
func (linkFact) isFact()     {}
func (lackFact) isFact()     {}
func (kernelFact) isFact()   {}
func (yankedFact) isFact()   {}
func (brokenFact) isFact()   {}

// Unsatisfiable says that there is no plan, and why. Every line is a fact, and
// together they leave no way.
type Unsatisfiable struct {
	Title string // "no version of bmc satisfies bmc@^1.3 on this kernel (6.12.117)"
	// Facts are what stands in the way, Hints what would work instead.
	Facts []string
	Hints []string
	// Rejections are the versions among the facts that cannot be used here.
	Rejections []Rejection
	// Unknown are names that were asked for and do not exist.
	Unknown []string
}

// Error returns the title and, indented below it, the facts and the hints.
func (e *Unsatisfiable) Error() string {
	var b strings.Builder
	b.WriteString(e.Title)
	sep := ":\n  "
	for _, l := range slices.Concat(e.Facts, e.Hints) {
		b.WriteString(sep + l)
		sep = "\n  "
	}
	return b.String()
}

// Is makes an Unsatisfiable for want of a name an ErrUnknownPackage.
func (e *Unsatisfiable) Is(target error) bool {
	return target == ErrUnknownPackage && len(e.Unknown) > 0
}

// leaves returns the facts that inc follows from, each once.
func (inc *incompat) leaves() []fact {
	var out []fact
	seen := map[*incompat]bool{}
	stack := []*incompat{inc}
	for len(stack) > 0 {
		inc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[inc] {
			continue
		}
		seen[inc] = true
		if inc.fact != nil {
			out = append(out, inc.fact)
			continue
		}
		stack = append(stack, inc.from[1], inc.from[0])
	}
	return out
}

// story sorts the leaves of a failure for the reader.
type story struct {
	wants  []wantFact
	keeps  []keepFact
	packs  []*pack // in the order in which the facts lead from one to the next
	byPack map[*pack][]fact
}

func newStory(leaves []fact) *story {
	st := &story{byPack: map[*pack][]fact{}}
	needs := map[*pack][]*pack{}
	for _, f := range leaves {
		var p *pack
		switch f := f.(type) {
		case wantFact:
			st.wants = append(st.wants, f)
			continue
		case keepFact:
			st.keeps = append(st.keeps, f)
			continue
		case needFact:
			p = f.p
			needs[p] = append(needs[p], f.q)
		case conflictFact:
			p = f.p
		case linkFact:
			p = f.p
			needs[p] = append(needs[p], f.q)
		case lackFact:
			p = f.p
		case kernelFact:
			p = f.p
		case yankedFact:
			p = f.p
		case brokenFact:
			p = f.p
		}
		st.byPack[p] = append(st.byPack[p], f)
	}
	byID := func(a, b *pack) int { return a.id - b.id }
	slices.SortFunc(st.wants, func(a, b wantFact) int { return a.p.id - b.p.id })
	slices.SortFunc(st.keeps, func(a, b keepFact) int { return strings.Compare(a.in.Name, b.in.Name) })
	var visit func(p *pack)
	visit = func(p *pack) {
		if slices.Contains(st.packs, p) || st.byPack[p] == nil {
			return
		}
		st.packs = append(st.packs, p)
		next := needs[p]
		slices.SortFunc(next, byID)
		for _, q := range next {
			visit(q)
		}
	}
	for _, w := range st.wants {
		visit(w.p)
	}
	// The rest belongs to what is installed.
	var rest []*pack
	for p := range st.byPack {
		rest = append(rest, p)
	}
	slices.SortFunc(rest, byID)
	for _, p := range rest {
		visit(p)
	}
	for _, p := range st.packs {
		slices.SortStableFunc(st.byPack[p], compareFacts)
	}
	return st
}

// compareFacts puts what speaks against single versions first, newest first,
// then needs, then conflicts.
func compareFacts(a, b fact) int {
	key := func(f fact) (rank, at int) {
		switch f := f.(type) {
		case kernelFact:
			return 0, f.i
		case yankedFact:
			return 0, f.i
		case brokenFact:
			return 0, f.i
		case lackFact:
			return 0, f.i
		case linkFact:
			return 1, f.i
		case needFact:
			return 2, f.q.id
		case conflictFact:
			return 3, f.q.id
		}
		return 4, 0
	}
	ar, ai := key(a)
	br, bi := key(b)
	if ar != br {
		return ar - br
	}
	return ai - bi
}

func (in *input) explain(ctx context.Context, s *solver, fail *incompat) error {
	st := newStory(fail.leaves())
	e := &Unsatisfiable{}
	kernel := false
	for _, p := range st.packs {
		for _, f := range st.byPack[p] {
			e.Facts = append(e.Facts, s.lines(f)...)
			if r, ok := s.rejection(f); ok {
				e.Rejections = append(e.Rejections, r)
				kernel = kernel || r.Kind == KindKernel
			}
		}
	}
	for _, w := range st.wants {
		e.Facts = append(e.Facts, w.missing(len(st.packs) == 0)...)
		if !w.p.known {
			e.Unknown = append(e.Unknown, w.p.name)
		}
	}
	told := map[string]bool{}
	for _, k := range st.keeps {
		if !k.in.Constraint.Any() && !told[k.in.Name] {
			told[k.in.Name] = true
			e.Facts = append(e.Facts, k.in.Name+" was installed by "+k.in.Constraint.String()+", which it keeps to unless it is asked for anew")
		}
	}
	if len(e.Facts) == 0 && len(st.wants) > 1 {
		e.Facts = append(e.Facts, "no version is in all of these: "+st.wants[0].p.all())
	}
	e.Title = st.title(e.Unknown)
	if kernel {
		on := " on this kernel"
		if _, several := in.host.(joint); several {
			on = " on all of these kernels"
		}
		e.Title += on + in.kernelName()
	}
	hints, err := in.hints(ctx, st)
	e.Hints = hints
	if err != nil {
		return err
	}
	return e
}

func (st *story) title(unknown []string) string {
	if len(unknown) > 0 {
		return "there is no package " + unknown[0]
	}
	alone := len(st.wants) == 1 && len(st.keeps) == 0 &&
		!slices.ContainsFunc(st.packs, func(p *pack) bool { return p != st.wants[0].p })
	if alone {
		w := st.wants[0]
		if w.spec.Constraint.Any() {
			return "no version of " + w.p.name + " can be used"
		}
		return "no version of " + w.p.name + " satisfies " + w.spec.String()
	}
	var have, kept []string
	for _, w := range st.wants {
		have = append(have, w.spec.String())
	}
	for _, k := range st.keeps {
		kept = append(kept, k.in.Name+" "+k.in.Version)
	}
	// With its features something may be there more than once.
	have, kept = slices.Compact(have), slices.Compact(kept)
	switch {
	case len(kept) == 0:
		return "no set of versions satisfies " + join(have)
	case len(have) == 0:
		return "the installed " + join(kept) + " cannot stay"
	}
	return "no set of versions satisfies " + join(have) + " beside the installed " + join(kept)
}

func join(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// missing says which versions there are, where none is in what was asked for.
func (w wantFact) missing(alone bool) []string {
	if !w.p.match(w.spec.Constraint).empty() || !w.p.known {
		return nil
	}
	var pre []string
	for _, v := range w.p.list {
		if w.spec.Constraint.Covers(v.v) && v.v.Prerelease() {
			pre = append(pre, fmt.Sprintf("%s %s is a pre-release: ask for %s@%s", w.p.name, v.Version, w.p.name, v.Version))
		}
	}
	switch {
	case len(pre) > 0:
		return pre[:min(len(pre), 3)]
	case !alone && len(w.p.list) > 0:
		return []string{w.p.name + " has no version in " + w.spec.Constraint.String() + ": " + w.p.all()}
	}
	return []string{w.p.all()}
}

// all says which versions there are, newest first.
func (p *pack) all() string {
	var all []string
	for _, v := range p.list {
		all = append(all, v.Version)
	}
	switch len(all) {
	case 0:
		return p.name + " has no versions"
	case 1:
		return p.name + " has only " + all[0]
	}
	return p.name + " has " + shorten(all)
}

func shorten(list []string) string {
	if len(list) > 6 {
		return strings.Join(list[:5], ", ") + " and " + fmt.Sprint(len(list)-5) + " older"
	}
	return join(list)
}

// hints tries what would be found if one of the wants were not so narrow.
func (in *input) hints(ctx context.Context, st *story) ([]string, error) {
	var out []string
	for _, w := range st.wants {
		if w.spec.Constraint.Any() || !w.p.known {
			continue
		}
		var relaxed []manifest.Spec
		for _, o := range in.want {
			if o.Name != w.p.name {
				relaxed = append(relaxed, o)
			}
		}
		relaxed = append(relaxed, manifest.Spec{Name: w.p.name})
		s, fail, err := in.solve(ctx, relaxed, true)
		if err != nil {
			return nil, err
		}
		if fail != nil {
			continue
		}
		p := s.byName[w.p.name]
		if w.spec.Constraint.Match(p.chosen().v) {
			continue // another want of the same name is what it does not meet
		}
		line := p.name + " " + p.chosen().Version + " works here but is not in " + w.spec.Constraint.String()
		if !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out, nil
}

// lines words a fact, with a line for each thing that a kernel lacks.
func (s *solver) lines(f fact) []string {
	if l, ok := f.(linkFact); ok && l.p.feature != "" {
		return nil // that goes without saying
	}
	k, ok := f.(kernelFact)
	if !ok {
		return []string{s.line(f)}
	}
	var out []string
	for _, finding := range k.findings {
		out = append(out, k.p.name+" "+k.p.list[k.i].Version+" "+finding.String())
	}
	return out
}

// line words a fact.
func (s *solver) line(f fact) string {
	switch f := f.(type) {
	case needFact:
		who, verb := f.p.versionsText(f.same, "needs", "need")
		text := who + " " + verb + " " + manifest.Spec{Name: f.q.name, Constraint: f.c}.String()
		switch {
		case !f.q.known:
			return text + ", which does not exist"
		case f.q.match(f.c).empty():
			return text + "; " + f.q.all()
		}
		return text
	case conflictFact:
		who, verb := f.p.versionsText(f.same, "conflicts", "conflict")
		if f.as != "" {
			what, provides := f.q.versionsText(f.bad, "provides", "provide")
			return who + " " + verb + " with " + manifest.Spec{Name: f.as, Constraint: f.c}.String() + ", which " + what + " " + provides
		}
		return who + " " + verb + " with " + manifest.Spec{Name: f.q.name, Constraint: f.c}.String()
	case linkFact:
		return f.p.name + " " + f.p.list[f.i].Version + " is provided by " + f.q.name + " " + f.q.list[f.k].Version
	}
	r, _ := s.rejection(f)
	return r.Name + " " + r.String()
}

// rejection turns a fact about one version into a Rejection.
func (s *solver) rejection(f fact) (Rejection, bool) {
	switch f := f.(type) {
	case kernelFact:
		return Rejection{f.p.name, f.p.list[f.i].Version, KindKernel, joinFindings(f.findings), f.findings}, true
	case yankedFact:
		return Rejection{f.p.name, f.p.list[f.i].Version, KindYanked, "was yanked: " + f.p.list[f.i].Yanked, nil}, true
	case lackFact:
		return Rejection{f.p.base, f.p.list[f.i].Version, KindFeature, "does not have the feature " + f.p.feature, nil}, true
	case brokenFact:
		return Rejection{f.p.name, f.p.list[f.i].Version, KindBroken, "is broken: " + f.p.list[f.i].broken.Error(), nil}, true
	}
	return Rejection{}, false
}

// versionsText names a set of versions, and picks the verb.
func (p *pack) versionsText(s set, one, many string) (who, verb string) {
	var in []string // oldest first
	for i := len(p.list) - 1; i >= 0; i-- {
		if s.has(i + 1) {
			in = append(in, p.list[i].Version)
		}
	}
	switch {
	case len(in) == 1:
		return p.name + " " + in[0], one
	case len(in) == len(p.list):
		return "every version of " + p.name, one
	}
	// A run without a gap is named by its ends.
	run := true
	for i := 1; i+1 < p.n; i++ {
		if s.has(i+1) && !s.has(i) && slices.ContainsFunc(p.list[:i-1], func(v version) bool { return slices.Contains(in, v.Version) }) {
			run = false
		}
	}
	if run && len(in) > 3 {
		return p.name + " " + in[0] + " to " + in[len(in)-1], many
	}
	return p.name + " " + join(in), many
}

// chosen returns the version that was decided on.
func (p *pack) chosen() *version {
	if !p.decided {
		return nil
	}
	return &p.list[p.best()]
}
