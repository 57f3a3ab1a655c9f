// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// The second oracle knows features and names that others provide: it goes over
// every combination of versions, works out which features are on, and looks whether
// everything that is needed is there, under its own name or another's.

type offers struct {
	names []string // of packages; "v" is only ever provided
	src   graphSource
	want  []manifest.Spec
}

func randomOffers(r *rand.Rand) offers {
	o := offers{src: graphSource{}, names: []string{"a", "b", "c", "d"}[:2+r.IntN(3)]}
	targets := slices.Concat(o.names, []string{"v"})
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	relations := func(self string, chance float64, feature bool) map[string]string {
		m := map[string]string{}
		for _, n := range targets {
			if n == self || r.Float64() > chance {
				continue
			}
			if feature && n != "v" && r.IntN(3) == 0 {
				n = manifest.WithFeature(n, pick("f", "g"))
			}
			m[n] = pick("*", "*", "^1", "^2", ">=1.1")
		}
		return m
	}
	density := r.Float64() * 0.6
	for _, n := range o.names {
		for _, v := range []string{"1.0.0", "1.1.0", "2.0.0"} {
			if r.Float64() < 0.25 {
				continue
			}
			c := Candidate{Version: v, Dependencies: relations(n, density, true), Conflicts: relations(n, density/3, false)}
			for _, f := range []string{"f", "g"} {
				if r.IntN(2) == 0 {
					if c.Features == nil {
						c.Features = map[string]manifest.Relations{}
					}
					c.Features[f] = relations(n, density, true)
				}
			}
			if r.IntN(3) == 0 {
				c.Provides = map[string]string{pick(targets...): pick("1.0.0", "1.2.0", "2.0.0")}
				delete(c.Provides, n)
			}
			if r.IntN(8) == 0 {
				c.Requires.ABI = unfit
			}
			o.src[n] = append(o.src[n], c)
		}
		if o.src[n] == nil {
			o.src[n] = []Candidate{}
		}
	}
	for range 1 + r.IntN(2) {
		s := manifest.Spec{Name: pick(targets...)}
		if s.Name != "v" && r.IntN(3) == 0 {
			s.Features = []string{pick("f", "g")}
		}
		if r.IntN(3) == 0 {
			s.Constraint, _ = manifest.ParseConstraint(pick("^1", "^2", "1.0.0"))
		}
		o.want = append(o.want, s)
	}
	return o
}

// valid says whether a choice of versions is a solution.
func (o offers) valid(pick map[string]Candidate) bool {
	type need struct{ base, feature, constraint string }
	var needs []need
	add := func(m map[string]string) {
		for n, c := range m {
			base, feature, _ := manifest.SplitFeature(n)
			needs = append(needs, need{base, feature, c})
		}
	}
	for _, w := range o.want {
		needs = append(needs, need{w.Name, "", w.Constraint.String()})
		for _, f := range w.Features {
			needs = append(needs, need{w.Name, f, w.Constraint.String()})
		}
	}
	for name, c := range pick {
		if c.Requires.ABI == unfit {
			return false
		}
		add(c.Dependencies)
		for n, constraint := range c.Conflicts {
			for other, oc := range pick {
				if other == name {
					continue
				}
				as, provides := oc.Provides[n]
				if other == n && meets(constraint, oc.Version, true) || provides && meets(constraint, as, true) {
					return false
				}
			}
		}
	}
	on := map[string]bool{}
	byName := map[string][]string{}
	for k := 0; k < len(needs); k++ {
		n := needs[k]
		own, there := pick[n.base]
		if n.feature != "" {
			needed, has := own.Features[n.feature]
			if !there || !has || !meets(n.constraint, own.Version, false) {
				return false
			}
			if key := manifest.WithFeature(n.base, n.feature); !on[key] {
				on[key] = true
				add(needed)
			}
			continue
		}
		byName[n.base] = append(byName[n.base], n.constraint)
	}
	// A name stands for one package, the one of that name if it is there.
	for name, constraints := range byName {
		all := func(version string) bool {
			return !slices.ContainsFunc(constraints, func(c string) bool { return !meets(c, version, false) })
		}
		own, there := pick[name]
		ok := there && all(own.Version)
		for _, c := range pick {
			as, provides := c.Provides[name]
			ok = ok || !there && provides && all(as)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (o offers) solvable() bool {
	pick := map[string]Candidate{}
	var rec func(i int) bool
	rec = func(i int) bool {
		if i == len(o.names) {
			return o.valid(pick)
		}
		n := o.names[i]
		if rec(i + 1) {
			return true
		}
		for _, c := range o.src[n] {
			pick[n] = c
			if rec(i + 1) {
				return true
			}
		}
		delete(pick, n)
		return false
	}
	return rec(0)
}

func TestOffersAgainstOracle(t *testing.T) {
	n := cases(t) / 4
	solved, failed, provided, featured := 0, 0, 0, 0
	for seed := range n {
		o := randomOffers(rand.New(rand.NewPCG(uint64(seed), 2)))
		plan, err := Solve(context.Background(), o.src, randomHost{}, o.want, nil)
		if want := o.solvable(); (err == nil) != want {
			t.Fatalf("seed %d: solver says %v, oracle %v\n%+v\nwant %v", seed, err, want, o.src, o.want)
		}
		var un *Unsatisfiable
		if err != nil {
			if failed++; !errors.As(err, &un) || len(un.Facts)+len(un.Unknown)+len(un.Hints) == 0 {
				t.Fatalf("seed %d: no explanation: %v", seed, err)
			}
			continue
		}
		solved++
		pick := map[string]Candidate{}
		for _, c := range plan.Packages {
			at := slices.IndexFunc(o.src[c.Name], func(x Candidate) bool { return x.Version == c.Version })
			if at < 0 {
				t.Fatalf("seed %d: %s %s is made up", seed, c.Name, c.Version)
			}
			pick[c.Name] = o.src[c.Name][at]
			provided += len(c.Provides)
			featured += len(c.Features)
		}
		if !o.valid(pick) {
			t.Fatalf("seed %d: plan %+v is not valid\n%+v\nwant %v", seed, plan, o.src, o.want)
		}
	}
	t.Logf("%d solved, %d without solution; %d names provided by others, %d features", solved, failed, provided, featured)
	if solved < n/10 || failed < n/10 || provided < n/50 || featured < n/50 {
		t.Error("the problems are too much alike to test anything")
	}
}
