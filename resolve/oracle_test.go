// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// The oracle tries every combination of versions. It shares nothing with the
// solver but the meaning of a single constraint.

const (
	fits = iota
	unfit
	untold
)

// randomHost reads its answer off the requirement.
type randomHost struct{}

func (randomHost) Check(r manifest.Requirements) []manifest.Finding {
	switch r.ABI {
	case unfit:
		return []manifest.Finding{{Requirement: "X=y", Answer: manifest.No, Found: "it is off"}}
	case untold:
		return []manifest.Finding{{Requirement: "X=y", Answer: manifest.Unknown, Found: "could not be told"}}
	}
	return nil
}

type problem struct {
	names     []string
	src       graphSource
	want      []manifest.Spec
	installed []Pinned
}

var (
	oracleVersions    = []string{"1.0.0", "1.1.0", "2.0.0-rc.1", "2.0.0"}
	oracleConstraints = []string{"*", "*", "^1", "^2", "1.0.0", "1.1", ">=1.1", "<2", ">=2.0.0-rc.1", "^3", "1.0.0 || 2.0.0", "!=1.1.0"}
)

func randomProblem(r *rand.Rand) problem {
	p := problem{src: graphSource{}}
	all := []string{"a", "b", "c", "d", "e"}
	p.names = all[:2+r.IntN(4)]
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	relations := func(self string, chance float64) map[string]string {
		m := map[string]string{}
		for _, n := range append(slices.Clone(p.names), "nosuch") {
			c := chance
			if n == "nosuch" {
				c /= 8
			}
			if n != self && r.Float64() < c {
				m[n] = pick(oracleConstraints)
			}
		}
		return m
	}
	density, unfits := r.Float64()*0.8, r.Float64()*0.4
	for _, n := range p.names {
		p.src[n] = []Candidate{}
		for _, v := range oracleVersions {
			if r.Float64() < 0.3 {
				continue
			}
			c := Candidate{Version: v, Dependencies: relations(n, density), Conflicts: relations(n, density/3)}
			if r.Float64() < unfits {
				c.Requires.ABI = 1 + r.IntN(2)
			}
			if r.IntN(4) == 0 {
				for k := range 1 + r.IntN(3) {
					v := manifest.CandidateVariant{Digest: fmt.Sprint(n, v, k)}
					if r.Float64() < 2*unfits {
						v.Requires.ABI = 1 + r.IntN(2)
					}
					c.Variants = append(c.Variants, v)
				}
			}
			if r.Float64() < 0.1 {
				c.Yanked = "it is bad"
			}
			p.src[n] = append(p.src[n], c)
		}
		if k := len(p.src[n]); k > 0 && r.Float64() < 0.2 {
			c := p.src[n][r.IntN(k)]
			p.installed = append(p.installed, Pinned{Name: n, Version: c.Version, Requires: c.Requires,
				Dependencies: c.Dependencies, Conflicts: c.Conflicts, Auto: r.IntN(3) == 0, Upgrade: r.IntN(2) == 0})
			if r.IntN(3) == 0 {
				c, err := manifest.ParseConstraint(pick(oracleConstraints))
				if err != nil {
					panic(err)
				}
				p.installed[len(p.installed)-1].Constraint = c
			}
			if k := len(c.Variants); k > 0 {
				v := c.Variants[r.IntN(k)]
				in := &p.installed[len(p.installed)-1]
				in.Digest, in.Requires = v.Digest, v.Requires
			}
		}
	}
	for range 1 + r.IntN(2) {
		s := pick(p.names)
		if r.IntN(2) == 0 {
			s += "@" + pick(oracleConstraints)
		}
		spec, err := manifest.ParseSpec(s)
		if err != nil {
			panic(err)
		}
		p.want = append(p.want, spec)
	}
	return p
}

// table has the problem in numbers: version -1 is absence, and ok[i][x][j][y]
// says that version x of package i goes with version y of package j.
type table struct {
	count []int
	may   [][]bool // version may be chosen at all
	ok    [][][][]bool
	need  []bool // package must be there
	rank  [][]int
	roots []int // packages that must be there, in the order of preference
}

func (p problem) table(lenient bool) table {
	var t table
	index := map[string]int{}
	for i, n := range p.names {
		index[n] = i
		t.count = append(t.count, len(p.src[n]))
	}
	t.need = make([]bool, len(p.names))
	t.may = make([][]bool, len(p.names))
	t.rank = make([][]int, len(p.names))
	t.ok = make([][][][]bool, len(p.names))
	pin := make([]int, len(p.names))
	within := make([]string, len(p.names))
	upgrade := make([]bool, len(p.names))
	for i, n := range p.names {
		pin[i] = -1
		for _, in := range p.installed {
			if in.Name == n {
				pin[i] = slices.IndexFunc(p.src[n], func(c Candidate) bool { return c.Version == in.Version })
				upgrade[i] = in.Upgrade
				within[i] = in.Constraint.String()
			}
		}
	}
	for _, w := range p.want {
		if i := index[w.Name]; !t.need[i] {
			t.need[i] = true
			t.roots = append(t.roots, i)
		}
	}
	wanted := slices.Clone(t.need)
	for _, in := range p.installed {
		if i := index[in.Name]; !in.Auto && !t.need[i] {
			t.need[i] = true
			t.roots = append(t.roots, i)
		}
	}
	for i, n := range p.names {
		for x, c := range p.src[n] {
			abi := oneABI(c)
			may := abi == fits || lenient && abi == untold
			exact := false
			for _, w := range p.want {
				if w.Name == n {
					may = may && meets(w.Constraint.String(), c.Version, false)
					exact = exact || w.Constraint.String() == c.Version
				}
			}
			if c.Yanked != "" && !exact && pin[i] != x {
				may = false
			}
			if t.need[i] && !wanted[i] && pin[i] != x && (!meets(within[i], c.Version, false) || upgrade[i] && x < pin[i]) {
				may = false
			}
			rank := x // the source is oldest first
			if pin[i] == x && !upgrade[i] {
				rank = 100
			}
			t.may[i] = append(t.may[i], may)
			t.rank[i] = append(t.rank[i], rank)
			row := make([][]bool, len(p.names))
			for j, m := range p.names {
				row[j] = make([]bool, t.count[j]+1) // [0] is absence
				dep, hasDep := c.Dependencies[m]
				con, hasCon := c.Conflicts[m]
				row[j][0] = !hasDep
				for y, d := range p.src[m] {
					ok := true
					if hasDep {
						ok = meets(dep, d.Version, false)
					}
					if hasCon && meets(con, d.Version, true) {
						ok = false
					}
					row[j][y+1] = ok
				}
			}
			if _, bad := c.Dependencies["nosuch"]; bad {
				t.may[i][x] = false
			}
			t.ok[i] = append(t.ok[i], row)
		}
	}
	return t
}

// oneABI is how a version fits in the best of its variants.
func oneABI(c Candidate) int {
	if len(c.Variants) == 0 || c.Requires.ABI == unfit {
		return c.Requires.ABI
	}
	best := unfit
	for _, v := range c.Variants {
		if v.Requires.ABI == fits {
			best = fits
		} else if v.Requires.ABI == untold && best == unfit {
			best = untold
		}
	}
	if best == fits {
		return c.Requires.ABI
	}
	return best
}

// meets reports whether v is in the constraint; covers counts pre-releases as
// any version.
func meets(constraint, v string, covers bool) bool {
	type key struct {
		constraint, v string
		covers        bool
	}
	k := key{constraint, v, covers}
	ok, known := meetsCache[k]
	if !known {
		c, err := manifest.ParseConstraint(constraint)
		if err != nil {
			panic(err)
		}
		version, err := manifest.ParseVersion(v)
		if err != nil {
			panic(err)
		}
		ok = c.Match(version)
		if covers {
			ok = c.Covers(version)
		}
		meetsCache[k] = ok
	}
	return ok
}

var meetsCache = map[any]bool{}

// valid checks a whole combination.
func (t table) valid(pick []int) bool {
	for i, x := range pick {
		if x < 0 {
			if t.need[i] {
				return false
			}
			continue
		}
		if !t.may[i][x] {
			return false
		}
		for j, y := range pick {
			if j != i && !t.ok[i][x][j][y+1] {
				return false
			}
		}
	}
	return true
}

// each calls f with every combination in which no single version is barred.
func (t table) each(f func(pick []int)) {
	pick := make([]int, len(t.count))
	var rec func(i int)
	rec = func(i int) {
		if i == len(pick) {
			f(pick)
			return
		}
		for x := -1; x < t.count[i]; x++ {
			if x < 0 && t.need[i] || x >= 0 && !t.may[i][x] {
				continue
			}
			pick[i] = x
			rec(i + 1)
		}
	}
	rec(0)
}

// best returns the ranks of the roots in the best combination, nil if none.
func (t table) best() []int {
	var best []int
	t.each(func(pick []int) {
		if !t.valid(pick) {
			return
		}
		var ranks []int
		for _, i := range t.roots {
			ranks = append(ranks, t.rank[i][pick[i]])
		}
		if best == nil || slices.Compare(ranks, best) > 0 {
			best = append([]int{-1}, ranks...)[1:]
		}
	})
	return best
}

func (p problem) pinnedDigest(name string) string {
	for _, in := range p.installed {
		if in.Name == name {
			return in.Digest
		}
	}
	return ""
}

func (p problem) String() string {
	return fmt.Sprintf("%+v\nwant %v\ninstalled %+v", p.src, p.want, p.installed)
}

var oracleFirst = flag.Int("oracle-first", 0, "the first of them, to share them out among processes")

var oracleCases = flag.Int("oracle-cases", 20_000, "how many random problems to put to the oracle; make oracle asks for a million")

func cases(t *testing.T) int {
	if testing.Short() {
		return *oracleCases / 10
	}
	return *oracleCases
}

func TestAgainstOracle(t *testing.T) {
	n := cases(t)
	solved, failed, lenientOnly := 0, 0, 0
	for seed := *oracleFirst; seed < *oracleFirst+n; seed++ {
		p := randomProblem(rand.New(rand.NewPCG(uint64(seed), 1)))
		tab := p.table(false)
		best := tab.best()
		if best == nil {
			tab = p.table(true)
			if best = tab.best(); best != nil {
				lenientOnly++
			}
		}
		plan, err := Solve(context.Background(), p.src, randomHost{}, p.want, p.installed)
		if (err == nil) != (best != nil) {
			t.Fatalf("seed %d: solver says %v, oracle %v\n%v", seed, err, best, p)
		}
		if err == nil {
			solved++
			p.checkPlan(t, seed, tab, plan, best)
			continue
		}
		failed++
		var un *Unsatisfiable
		if !errors.As(err, &un) || len(un.Facts)+len(un.Unknown) == 0 && len(un.Hints) == 0 {
			t.Fatalf("seed %d: no explanation: %v\n%v", seed, err, p)
		}
		if seed%2 == 0 {
			p.checkLeaves(t, seed)
		}
	}
	t.Logf("%d solved (%d only with what could not be told), %d without solution", solved, lenientOnly, failed)
	if solved < n/10 || failed < n/10 || lenientOnly < n/200 {
		t.Error("the problems are too much alike to test anything")
	}
}

func (p problem) checkPlan(t *testing.T, seed int, tab table, plan *Plan, best []int) {
	t.Helper()
	pick := make([]int, len(p.names))
	var ranks []int
	for i, n := range p.names {
		pick[i] = -1
		if c := plan.Find(n); c != nil {
			pick[i] = slices.IndexFunc(p.src[n], func(o Candidate) bool { return o.Version == c.Version })
		}
	}
	if !tab.valid(pick) {
		t.Fatalf("seed %d: plan %+v is not valid\n%v", seed, plan, p)
	}
	for _, i := range tab.roots {
		ranks = append(ranks, tab.rank[i][pick[i]])
	}
	if !slices.Equal(ranks, best) {
		t.Fatalf("seed %d: plan %+v has ranks %v, the best is %v\n%v", seed, plan, ranks, best, p)
	}
	// Nothing is there that nobody needs.
	need := slices.Clone(tab.roots)
	for k := 0; k < len(need); k++ {
		i := need[k]
		for d := range p.src[p.names[i]][pick[i]].Dependencies {
			if j := slices.Index(p.names, d); !slices.Contains(need, j) {
				need = append(need, j)
			}
		}
	}
	for _, c := range plan.Packages {
		if !slices.Contains(need, slices.Index(p.names, c.Name)) {
			t.Fatalf("seed %d: %s is there for nothing\n%v", seed, c.Name, p)
		}
		if of := p.src[c.Name][pick[slices.Index(p.names, c.Name)]]; len(of.Variants) > 0 {
			at := of.Variant(c.Digest)
			best := oneABI(Candidate{Variants: of.Variants})
			if at < 0 || at+1 != c.Variant || of.Variants[at].Requires.ABI != best || c.Installed != (c.Digest == p.pinnedDigest(c.Name)) {
				t.Fatalf("seed %d: %s %s is had as variant %d of %+v\n%v", seed, c.Name, c.Version, c.Variant, of.Variants, p)
			}
		}
		for _, r := range c.Rejected {
			if r.Reason == "" || r.Kind == "" {
				t.Fatalf("seed %d: %s %s is rejected without a reason", seed, c.Name, r.Version)
			}
		}
	}
}

// checkLeaves checks that the leaves of a failure are true of the problem and
// leave no way by themselves.
func (p problem) checkLeaves(t *testing.T, seed int) {
	t.Helper()
	in := newInput(p.src, randomHost{}, p.want, p.installed)
	s, fail, err := in.solve(context.Background(), p.want, true)
	if err != nil || fail == nil {
		t.Fatal(seed, err)
	}
	// A table in which everything goes but for the leaves.
	tab := p.table(true)
	real := p.table(true)
	for i := range p.names {
		tab.need[i] = false
		for x := range tab.may[i] {
			tab.may[i][x] = true
			for j := range tab.ok[i][x] {
				for y := range tab.ok[i][x][j] {
					tab.ok[i][x][j][y] = true
				}
			}
		}
	}
	at := func(q *pack) int { return slices.Index(p.names, q.name) }
	index := func(q *pack, i int) int {
		return slices.IndexFunc(p.src[q.name], func(c Candidate) bool { return c.Version == q.list[i].Version })
	}
	bar := func(q *pack, i int) {
		if real.may[at(q)][index(q, i)] {
			t.Fatalf("seed %d: %s %s is said to be barred and is not\n%v", seed, q.name, q.list[i].Version, p)
		}
		tab.may[at(q)][index(q, i)] = false
	}
	pair := func(f *pack, same set, q *pack, bad set) {
		for i := range f.list {
			if !same.has(i + 1) {
				continue
			}
			if at(q) < 0 {
				tab.may[at(f)][index(f, i)] = false
				continue
			}
			for k := range q.n {
				y := -1
				if k > 0 {
					y = index(q, k-1)
				}
				if bad.has(k) {
					if real.ok[at(f)][index(f, i)][at(q)][y+1] {
						t.Fatalf("seed %d: leaf about %s %s and %s is not true\n%v", seed, f.name, f.list[i].Version, q.name, p)
					}
					tab.ok[at(f)][index(f, i)][at(q)][y+1] = false
				}
			}
		}
	}
	for _, f := range fail.leaves() {
		switch f := f.(type) {
		case wantFact:
			i := at(f.p)
			tab.need[i] = true
			for k, v := range f.p.list {
				if !f.spec.Constraint.Match(v.v) {
					bar(f.p, k)
				}
			}
		case keepFact:
			q := s.byName[f.in.Name]
			tab.need[at(q)] = true
			pinAt := slices.IndexFunc(p.src[q.name], func(c Candidate) bool { return c.Version == f.in.Version })
			for k, v := range q.list {
				if !v.pinned && (!meets(f.in.Constraint.String(), v.Version, false) || f.in.Upgrade && index(q, k) < pinAt) {
					bar(q, k)
				}
			}
		case kernelFact:
			bar(f.p, f.i)
		case yankedFact:
			bar(f.p, f.i)
		case needFact:
			pair(f.p, f.same, f.q, f.q.not(f.q.match(f.c)))
		case conflictFact:
			pair(f.p, f.same, f.q, f.bad)
		}
	}
	tab.each(func(pick []int) {
		if tab.valid(pick) {
			t.Fatalf("seed %d: the explanation leaves %v\n%v\n%v", seed, pick, in.explain(context.Background(), s, fail), p)
		}
	})
}
